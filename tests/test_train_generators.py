"""Every generator reads its part of a document; language models are believed nothing."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.train.generators import GENERATORS, drafts, read
from resurvey.train.prompted import LONGEST, parse, prompt
from resurvey.train.shape import vocabulary
from resurvey.types import Document

SOME = tried(max_examples=60, deadline=None, derandomize=True, database=None)
LENGTHS = np.array([3], dtype=np.int64)
FILLER = "Operators inspect valves weekly and they record what they have seen in the log of the plant."
CODE = 'def readPumpState(path, strict_mode=True):\n    """Read a pump\'s state. More here."""\n    return load_state(path)'


def offered(provenance: str, text: str, title: str = "") -> list[tuple[str, str]]:
    """At most eight (query, what it was lifted from) of one generator."""
    document = Document("d", text, title)
    known = vocabulary([document, Document("e", FILLER)], "english")
    reading = read(document, known, LENGTHS, np.random.default_rng(1))
    found = itertools.islice(GENERATORS[f"synthetic: {provenance}"](reading), 8)
    return [(query, document.full_text[slice(*span)]) for query, span in found]


@pytest.mark.parametrize(
    ("provenance", "title", "text", "expected"),
    [
        ("title", "Manual > Pump seals", FILLER, ("Pump seals", "Pump seals")),
        ("heading", "Pumps", f"## Seal wear\n{FILLER}", ("Seal wear", "Seal wear")),
        ("heading", "Manual > Pumps", f"Intro.\n\nLeaks\n=====\n{FILLER}", ("Pumps Leaks", "Leaks")),
        ("heading", "", f"<h2>Seal wear</h2>{FILLER}", ("Seal wear", "Seal wear")),
        ("heading", "", f"Intro.\n\nSeal wear\n{FILLER}", ("Seal wear", "Seal wear")),
        ("definition", "", f"{FILLER} A rotor pump is a machine that moves oil.", ("rotor pump", "rotor pump")),
        ("definition", "", "Cavitation means the forming of bubbles.", ("what is Cavitation", "Cavitation")),
        ("definition", "", "Seal ring: keeps the oil inside the pump housing.", ("Seal ring", "Seal ring")),
        ("code", "", CODE, ("Read a pump's state.", '"""Read a pump\'s state. More here."""')),
        ("code", "", CODE, ("read pump state", "readPumpState")),
        ("code", "", "void closeValve(int n) { stop(); }", ("close valve", "closeValve")),
    ],
)
def test_a_generator_reads_its_part(provenance: str, title: str, text: str, expected: tuple[str, str]) -> None:
    assert expected in offered(provenance, text, title)


@pytest.mark.parametrize(
    ("provenance", "text"),
    [
        ("definition", "It is a machine. This is the one. Brand: Koss."),
        ("heading", "Not a heading because it is a sentence.\n" + FILLER),
        ("code", "def f(x):\n    return x"),
        ("sentence", "Too few words."),
    ],
)
def test_a_generator_offers_nothing_where_there_is_nothing(provenance: str, text: str) -> None:
    assert offered(provenance, text) == []


def test_the_most_central_sentence_comes_first_and_is_cut_to_the_length_of_queries() -> None:
    text = f"Greetings to all of you. Cavitation erodes pump impellers because cavitation bubbles collapse near pump impellers. {FILLER} Pump impellers."
    query, lifted = offered("sentence", text)[0]
    assert lifted.startswith("Cavitation erodes")
    assert len(query.split()) == 3
    assert query in lifted


def test_shorthand_keeps_the_longer_words_in_order() -> None:
    query, lifted = offered("shorthand", FILLER, "The wear of seals in a pump housing")[0]
    assert lifted == "The wear of seals in a pump housing"
    words = iter(lifted.split())
    assert all(len(word) > 3 and word in words for word in query.split())
    assert len(query.split()) == 3


def test_keywords_are_weighty_words_in_reading_order_and_differ() -> None:
    text = f"Valve XR-7.2 has corroded. {FILLER} It is as it is. Valve corrosion."
    found = [query for query, _ in offered("keywords", text)]
    order = {word.strip(".").lower(): place for place, word in reversed(list(enumerate(text.split())))}
    for query in found:
        places = [order[word.lower()] for word in query.split()]
        assert places == sorted(places)
        assert len(places) == 3
    assert len(set(found)) > 4
    assert any("XR-7.2" in query for query in found), "codes stay whole"


def test_drafts_take_turns_and_are_the_same_each_time() -> None:
    document = Document(
        "d", f"{FILLER} A rotor pump is a machine that moves oil.\n\n## Seal wear\n{FILLER}", "Oil pumps"
    )
    known = vocabulary([document], "english")
    found = drafts(document, known, LENGTHS, 6, 13)
    assert [draft.provenance.split(": ")[1] for draft in found] == [
        "title", "heading", "definition", "sentence", "shorthand", "keywords",
    ]  # fmt: skip
    assert drafts(document, known, LENGTHS, 6, 13) == found
    assert drafts(document, known, LENGTHS, 6, 14) != found
    assert len(drafts(document, known, LENGTHS, 40, 13)) == 40


@SOME
@given(st.text(max_size=80), st.text(max_size=300))
def test_any_document_gives_drafts_that_were_lifted_from_it(title: str, text: str) -> None:
    document = Document("d", text, title)
    for draft in drafts(document, vocabulary([document], "english"), LENGTHS, 9, 0):
        start, end = draft.lifted
        assert 0 <= start <= end <= len(document.full_text)


QUERIES = ["pump leaks oil", "seal wear"]


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps(QUERIES),
        f"Sure! Here are two:\n```json\n{json.dumps(QUERIES)}\n```\nHope this helps.",
        f"<think>[1] maybe ['x']</think>{json.dumps(QUERIES)}",
        json.dumps({"queries": [{"query": text} for text in QUERIES]}),
        '1. pump leaks oil\n2) "seal wear"\n',
        "Here are the queries:\n- pump leaks oil\n\n* seal wear",
        '["pump leaks oil",\n "seal wear",\n',
        "Query 1: pump leaks oil\nQuery 2: Pump leaks oil?\nQuery 3: seal wear",
    ],
)
def test_queries_are_found_in_whatever_a_model_replies(reply: str) -> None:
    assert parse(reply, 5) == QUERIES


@pytest.mark.parametrize("reply", ["", "[]", "[1, 2]", "Sure!", "x" * (LONGEST + 1), "[" * 5000, "<think>pump"])
def test_a_reply_without_queries_gives_none(reply: str) -> None:
    assert parse(reply, 5) == []


@SOME
@given(st.text(), st.integers(0, 4))
def test_no_reply_breaks_the_reading(reply: str, number: int) -> None:
    found = parse(reply, number)
    assert len(found) <= number
    assert all(0 < len(query) <= LONGEST and "\n" not in query for query in found)


def test_a_prompt_shows_real_queries_and_asks_for_as_many() -> None:
    told = prompt("Oil\nruns out.", [("pump leak", "Seals wear. " * 90)], 4)
    assert "Passage: Oil runs out." in told
    assert "Query: pump leak" in told
    assert "Write 4 different queries" in told
    assert len(told) < 1500, "a long passage is cut"
    assert "real" not in prompt("Oil", [], 4)
