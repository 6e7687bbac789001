"""Passages cover their document once, keep to the budget, and carry the title."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.data.chunk import Cut, cut
from resurvey.protocols import Tokenizer
from resurvey.search.encode import SentenceEncoder
from resurvey.types import Document, Passage

SOME = tried(max_examples=100, deadline=None, derandomize=True, database=None)


@dataclass(frozen=True)
class Words:
    """A token is a run of non-blank characters."""

    max_tokens: int = 8

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        return [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]


@dataclass(frozen=True)
class Bytes:
    """A token is one byte of UTF-8, as in byte-level vocabularies: a character may be several tokens."""

    max_tokens: int = 8

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        return [[(at, at + 1) for at, sign in enumerate(text) for _ in sign.encode()] for text in texts]


def check(document: Document, made: Cut, tokenizer: Tokenizer, most: int) -> None:
    """The rules every cut keeps, whatever the tokenizer."""
    budget = min(most or tokenizer.max_tokens, tokenizer.max_tokens)
    assert all(len(spans) <= budget for spans in tokenizer.offsets(made.texts))
    assert {passage.document for passage in made.passages} == {document.id}
    edges = [place for passage in made.passages for place in (passage.start, passage.end)]
    assert edges == sorted(edges), "passages overlap"
    assert 0 <= edges[0] <= edges[-1] <= len(document.text)
    for start, end in tokenizer.offsets([document.text])[0]:
        assert sum(p.start <= start and end <= p.end for p in made.passages) == 1, "a token is lost or cut"
    for passage, text in zip(made.passages, made.texts, strict=True):
        assert text.endswith(document.text[passage.start : passage.end].strip())


def test_a_document_that_fits_is_one_passage_with_its_title() -> None:
    made = cut([Document("d", "c d e", "a b"), Document("e", "x y z w v u", "")], Words(5))
    assert made.passages[0] == Passage("d", 0, 5)
    assert made.texts[0] == "a b c d e"
    assert [p.document for p in made.passages] == ["d", "e", "e"]


def test_what_truncation_would_lose_is_counted() -> None:
    made = cut(
        [Document("d", "c d e", "a b"), Document("e", "x y z w v u", "t"), Document("f", "1 2 3 4 5 6")], Words(5)
    )
    assert (made.long_documents, made.lost_tokens, made.tokens) == (2, 3, 18)


def test_windows_fill_the_room_that_the_title_leaves() -> None:
    made = cut([Document("d", "1 2 3 4 5 6 7", "t")], Words(4))
    assert made.texts == ("t 1 2 3", "t 4 5 6", "t 7")
    assert made.passages == (Passage("d", 0, 5), Passage("d", 6, 11), Passage("d", 12, 13))


def test_a_long_title_is_cut_to_half_the_budget() -> None:
    assert cut([Document("d", "1 2 3 4", "a b c d e")], Words(4)).texts == ("a b 1 2", "a b 3 4")
    assert cut([Document("d", "", "a b c d e")], Words(4)).texts == ("a b",)
    assert cut([Document("d", "1 2", "a b")], Words(1)).texts == ("1", "2")


@pytest.mark.parametrize("stop", [".", "!", "?", '."', ".)", "\n"])
def test_a_window_ends_after_a_sentence_that_ends_late_enough(stop: str) -> None:
    end = "" if stop == "\n" else " "
    made = cut([Document("d", f"1 2 3 4{stop}{end}5 6 7 8 9")], Words(5))
    assert [text.split()[-1].strip(stop) for text in made.texts] == ["4", "9"]


def test_a_sentence_that_ends_early_does_not_close_the_window() -> None:
    assert cut([Document("d", "1 2. 3 4 5 6 7")], Words(5)).texts == ("1 2. 3 4 5", "6 7")


def test_the_budget_is_the_least_of_what_is_asked_and_what_the_encoder_reads() -> None:
    document = Document("d", "1 2 3 4 5 6")
    sizes = [[len(text.split()) for text in cut([document], Words(4), most).texts] for most in (0, 3, 99)]
    assert sizes == [[4, 2], [3, 3], [4, 2]]


def test_no_documents_make_no_passages() -> None:
    assert cut([], Words()) == Cut((), (), 0, 0, 0)


def test_a_character_of_several_tokens_is_never_cut() -> None:
    assert cut([Document("d", "ab😀c😀")], Bytes(5)).texts == ("ab", "😀c", "😀")
    assert cut([Document("d", "a😀b")], Bytes(3)).texts == ("a", "😀", "b")


TEXTS = st.text("ab. !?\n\t)é", max_size=60) | st.lists(
    st.sampled_from(["one", "two.", "three!)", "\n", " ", "four"]), max_size=40
).map(" ".join)


@SOME
@given(TEXTS, TEXTS, st.integers(1, 12), st.integers(0, 14))
@example("1 2", "a b", 1, 0)
def test_cutting_by_words_covers_the_text_within_the_budget(text: str, title: str, room: int, most: int) -> None:
    document = Document("d", text.strip(), title.strip())
    check(document, cut([document], Words(room), most), Words(room), most)


@SOME
@given(st.text("ab é漢😀.", max_size=40), st.integers(4, 12))
def test_cutting_by_bytes_covers_the_text_within_the_budget(text: str, room: int) -> None:
    document = Document("d", text.strip())
    check(document, cut([document], Bytes(room)), Bytes(room), 0)


SENTENCES = st.lists(
    st.sampled_from(
        ["pump", "pumpx", "valve-12.", "(seal)!", "XR-7/b", "leak?", "\n", "thermalcrack", "é", "漢字", "0.5"]
    ),
    max_size=60,
).map(" ".join)


@tried(SOME, max_examples=40)
@given(SENTENCES, SENTENCES, st.integers(2, 20))
def test_cutting_by_the_encoders_tokens_covers_the_text_within_the_budget(
    encoder: SentenceEncoder, text: str, title: str, most: int
) -> None:
    document = Document("d", text.strip(), title.strip())
    check(document, cut([document], encoder, most), encoder, most)


def test_the_fixture_corpus_is_cut_at_what_its_encoder_reads(
    documents: tuple[Document, ...], encoder: SentenceEncoder
) -> None:
    made = cut(documents, encoder)
    for document in documents:
        parts = [place for place, passage in enumerate(made.passages) if passage.document == document.id]
        mine = Cut(tuple(made.passages[p] for p in parts), tuple(made.texts[p] for p in parts), 0, 0, 0)
        check(document, mine, encoder, 0)
        assert all(text.startswith(document.title) for text in mine.texts)
    lengths = [len(spans) for spans in encoder.offsets([d.full_text for d in documents])]
    assert made.tokens == sum(lengths)
    assert made.long_documents == sum(length > encoder.max_tokens for length in lengths) > 0
    assert made.lost_tokens == sum(max(0, length - encoder.max_tokens) for length in lengths)
