"""Stand-in queries ask with a document's own head, of a document that has lost it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.data.standin import GENERATORS, MIXED, StandIns, head_query, stand_ins, title_query
from resurvey.types import Document, Query

SOME = tried(max_examples=50, deadline=None, derandomize=True, database=None)
BODY = "one two three four five"


def corpus(count: int) -> tuple[Document, ...]:
    return tuple(
        Document(f"d{n}", f"Sentence number{n} asks something here. {BODY} rest{n}.", f"Part > Title of item{n}")
        for n in range(count)
    )


@pytest.mark.parametrize(
    ("title", "asked", "left"),
    [
        ("Pump seal", "Pump seal", ""),
        ("Manual > Pumps > Pump seal", "Pump seal", "Manual > Pumps"),
        ("XR-7.2/b Pump seal", "Pump seal", ""),
        ("3.1 2.4 Pump seal", "2.4 Pump seal", ""),
    ],
)
def test_the_last_part_of_a_title_asks_and_leaves_the_document(title: str, asked: str, left: str) -> None:
    document = Document("d", BODY, title, {"year": 1})
    assert title_query(document) == (asked, Document("d", BODY, left, {"year": 1}))


@pytest.mark.parametrize(
    ("text", "asked", "left"),
    [
        (f"Replace the seal. {BODY}.", "Replace the seal.", f"{BODY}."),
        (f"  Is it leaking?\n\n{BODY}. More.", "Is it leaking?", f"{BODY}. More."),
        (f"Replace the seal\n{BODY}", "Replace the seal", BODY),
        (
            f'def f():\n    """Close the valve. Later more."""\n    {BODY}',
            "Close the valve.",
            f"def f():\n    \n    {BODY}",
        ),
        (f"{BODY} '''\nClose it\nat once'''", "Close it", f"{BODY} "),
        (f'{BODY} """Close the valve', "Close the valve", f"{BODY} "),
    ],
)
def test_the_first_sentence_or_docstring_asks_and_leaves_the_document(text: str, asked: str, left: str) -> None:
    assert head_query(Document("d", text, "T")) == (asked, Document("d", left, "T"))


@pytest.mark.parametrize(
    "document",
    [
        Document("d", BODY, ""),
        Document("d", BODY, "Pump"),
        Document("d", BODY, "Manual > Pump"),
        Document("d", "only four words here", "Pump seal"),
        Document("d", "", "a b c d e f > Pump seal"),
    ],
)
def test_a_title_that_says_too_little_or_leaves_too_little_makes_no_query(document: Document) -> None:
    assert title_query(document) is None


@pytest.mark.parametrize(
    "text", ["", "One. " + BODY, "One sentence of many words but nothing after it.", "Ask this. Too few."]
)
def test_a_first_sentence_that_says_or_leaves_too_little_makes_no_query(text: str) -> None:
    assert head_query(Document("d", text, "")) is None


def check(documents: tuple[Document, ...], made: StandIns, count: int) -> None:
    """The rules every set of stand-ins keeps."""
    assert len(made.queries) == len(made.wanted) == len(made.groups)
    assert len({query.id for query in made.queries}) == len(made.queries)
    each = max(1, count // 4)
    assert all(made.groups.count(group) <= each for group in set(made.groups))
    assert [d.id for d in made.documents] == [d.id for d in documents]
    assert [d.metadata for d in made.documents] == [d.metadata for d in documents]
    whole = {d.id: d for d in documents}
    kept = {d.id: d for d in made.documents}
    assert {id for id in whole if whole[id] != kept[id]} <= set(made.wanted)
    assert len(set(made.wanted)) < max(2, len(documents))
    for query, wanted, group in zip(made.queries, made.wanted, made.groups, strict=True):
        generator = group.removesuffix(f", {MIXED}")
        asked, rest = GENERATORS[generator](whole[wanted]) or ("", None)
        assert kept[wanted] == rest
        assert query.id == f"{group}:{wanted}"
        if group == generator:
            assert query.text == asked
        else:
            words = iter(asked.split())
            assert all(word in words for word in query.text.split()), "keywords keep their order"
            assert 1 <= len(query.text.split()) <= 6


def test_each_generator_asks_in_full_and_in_keywords_about_documents_of_its_own() -> None:
    documents = corpus(100)
    made = stand_ins(documents, 40, 13)
    check(documents, made, 40)
    assert {group: made.groups.count(group) for group in made.groups} == {
        "title": 10,
        "title, keywords": 10,
        "first sentence": 10,
        "first sentence, keywords": 10,
    }
    assert len(set(made.wanted)) == 20


def test_keywords_are_the_longer_words() -> None:
    made = stand_ins(corpus(50), 80, 13)
    short = {query.text for query, group in zip(made.queries, made.groups, strict=True) if group == "title, keywords"}
    assert {text.split()[0] for text in short} == {"Title"}
    assert not any(" of " in f" {text} " for text in short)
    asked = Document("d", BODY, "of it to us")
    found = stand_ins((asked, asked), 4, 13)
    assert set(found.queries[1].text.split()) <= {"of", "it", "to", "us"}


def test_the_same_seed_asks_the_same_and_another_seed_something_else() -> None:
    documents = corpus(60)
    assert stand_ins(documents, 40, 1) == stand_ins(documents, 40, 1)
    assert stand_ins(documents, 40, 1).wanted != stand_ins(documents, 40, 2).wanted


def test_one_document_keeps_its_head() -> None:
    made = stand_ins(corpus(5), 400, 13)
    check(corpus(5), made, 400)
    assert len(set(made.wanted)) == 4


@pytest.mark.parametrize("documents", [(), corpus(1), (Document("a", "x"), Document("b", "y"))])
def test_a_corpus_that_offers_nothing_makes_no_queries(documents: tuple[Document, ...]) -> None:
    assert stand_ins(documents, 40, 13) == StandIns((), (), (), documents)


def test_the_fixture_corpus_makes_known_items(documents: tuple[Document, ...]) -> None:
    made = stand_ins(documents, 40, 13)
    check(documents, made, 40)
    assert isinstance(made.queries[0], Query)
    assert len(made.queries) == 38


PIECES = st.sampled_from(["pump", "seal", "XR-7", "a", ".", "?\n", '"""', "'''", " > ", "5", "valve of"])
PROSE = st.lists(PIECES, max_size=25).map(" ".join)


@SOME
@given(st.lists(st.tuples(PROSE, PROSE | st.text(max_size=10)), max_size=8), st.integers(1, 40), st.integers(0, 3))
def test_stand_ins_of_any_corpus_keep_the_rules(rows: list[tuple[str, str]], count: int, seed: int) -> None:
    documents = tuple(Document(f"d{n}", text, title, {"n": n}) for n, (text, title) in enumerate(rows))
    made = stand_ins(documents, count, seed)
    check(documents, made, count)
    assert stand_ins(documents, count, seed) == made
