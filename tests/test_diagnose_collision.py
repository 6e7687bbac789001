"""Words with another meaning here: planted ones are found and explained, others are left alone, in every half."""

from __future__ import annotations

import functools
import io
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from rich.console import Console

from resurvey.diagnose.collision import MORE, NUMBER, TOP, collision_finding, readings
from resurvey.diagnose.terms import Term, background, choose, contexts, distinguishing, words_of
from resurvey.show.findings import diagnosis_table
from resurvey.types import Diagnosis, Finding, Floats, Ints

SEED = 13
TOPICS = ("bank", "sport", "music", "health", "travel", "garden", "physics", "cinema", "fashion", "history")
"""Topics that the encoder below knows, each an axis of its space."""


def said(topic: str, place: int) -> str:
    """A sentence of one topic, in words that the encoder knows to be of it."""
    return " ".join(f"{topic}{'abcdefghij'[(place + step) % 10]}{'xyz'[step % 3]}" for step in range(8))


class Web:
    """An encoder that knows of which topic a word is: by its first letters, or as it was told about a term."""

    def __init__(self, terms: dict[str, str]) -> None:
        self.terms = terms

    def __call__(self, texts: Sequence[str]) -> Floats:
        rows = np.array([self._vector(text) for text in texts])
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    def _vector(self, text: str) -> Floats:
        row = np.random.default_rng(zlib.crc32(text.encode())).normal(
            scale=0.004 if len(words_of(text)) == 1 else 1, size=len(TOPICS) + 20
        )
        for word in words_of(text):
            topic = self.terms.get(word) or next((t for t in TOPICS if word.startswith(t)), None)
            if topic in TOPICS:
                row[TOPICS.index(topic)] += 1
            else:
                row[len(TOPICS) + sum(map(ord, word)) % 20] += 0.3
        return row


WORDS = [f"zq{a}{b}" for a in "abcdefgh" for b in "klmnop"]
"""Terms of the corpus; every one is used for one topic here."""


def corpus(words: Sequence[str] = WORDS) -> list[str]:
    texts = []
    for place, word in enumerate(words):
        topic = TOPICS[place % len(TOPICS)]
        texts += [f"{said(topic, 2 * use)} {word} {said(topic, use)}" for use in range(24)]
    return texts


def here(words: Sequence[str] = WORDS) -> dict[str, str]:
    """The topic of every term in the corpus."""
    return {word: TOPICS[place % len(TOPICS)] for place, word in enumerate(words)}


def elsewhere(words: Sequence[str], wrong: int) -> dict[str, str]:
    """The web's topic of every term: another one for so many of them."""
    return {
        w: TOPICS[(TOPICS.index(t) + 3) % len(TOPICS)] if k < wrong else t
        for k, (w, t) in enumerate(here(words).items())
    }


def found(texts: Sequence[str], encode: Callable[[Sequence[str]], Floats], own: Sequence[str] = ()) -> Finding:
    passages = encode(texts)

    def nearest(vectors: Floats) -> Ints:
        return np.argsort(-(vectors @ passages.T), axis=1, kind="stable")[:, :TOP]

    terms = [term for term in choose(texts, "en", own or WORDS) if term.word.startswith("zq")]
    return collision_finding(terms, texts, encode, encode, nearest, passages, code="en", seed=SEED)


def test_words_with_another_meaning_here_are_found_and_shown_with_both() -> None:
    texts = corpus(WORDS[:30])
    told = found(texts, Web(elsewhere(WORDS[:30], 10)))
    colliding = {row["term"] for row in told.evidence["terms"] if row["collides"]}
    assert colliding == set(WORDS[:10])
    assert told.value == pytest.approx(100 * 10 / 30)
    assert (told.level, told.suggests) == ("confirmed", "contrast")
    row = next(row for row in told.evidence["terms"] if row["term"] == WORDS[0])
    assert row["bare"] < 0.6
    assert row["own"] > 0.9
    assert all(word.startswith(TOPICS[0]) for word in row["beside"])
    assert len(row["web"]) == 4
    assert told.reading.startswith("10 of 30 words have contexts here that resemble one another")


def test_words_that_mean_what_the_encoder_takes_them_for_are_left_alone() -> None:
    told = found(corpus(), Web(here()))
    assert (told.value, told.level, told.evidence["examined"]) == (0, "healthy", len(WORDS))
    assert not any(row["collides"] for row in told.evidence["terms"])


@pytest.mark.parametrize("seed", range(20))
def test_half_of_the_passages_says_what_all_of_them_say(seed: int) -> None:
    """Planted meanings are confirmed in every half; where there are none, none is ever found."""
    texts = corpus(WORDS[:30])
    half = [texts[place] for place in np.random.default_rng(seed).permutation(len(texts))[: len(texts) // 2]]
    assert found(half, _encoder(10)).level == "confirmed"
    assert found(half, _encoder(0)).level == "healthy"


@functools.cache
def _encoder(wrong: int) -> Web:
    return Web(elsewhere(WORDS[:30], wrong))


def test_a_word_whose_contexts_have_nothing_in_common_has_no_meaning_to_be_mistaken() -> None:
    texts = [f"{said(TOPICS[place % len(TOPICS)], place)} zqeverywhere" for place in range(200)]
    term = Term("zqeverywhere", "specific", tuple(range(200)))
    others = [Term(f"{topic}other", "specific", ()) for topic in TOPICS]
    around = contexts(term, texts, 40, np.random.default_rng(SEED))
    around += [said(topic, place) for topic in TOPICS for place in range(8)]
    owners = np.concatenate([np.zeros(40, dtype=np.int64), np.repeat(np.arange(1, 11), 8)])
    encode = Web({})
    read = readings([term, *others], encode(["zqeverywhere", *TOPICS]), encode(around), owners)
    assert not read[0].collides
    assert read[0].own < 0.7


def test_two_heaps_of_what_a_word_finds_are_its_senses() -> None:
    words = WORDS[:30]
    texts = corpus(words)
    two = "zqtwofold"
    texts += [f"{said('bank', use)} {two}" for use in range(5)] + [f"{said('cinema', use)} {two}" for use in range(5)]
    encode = Web({**here(words), two: "none"})
    passages = encode(texts)

    def nearest(vectors: Floats) -> Ints:
        rows = np.argsort(-(vectors @ passages.T), axis=1, kind="stable")[:, :TOP]
        rows[0] = np.arange(len(texts) - 10, len(texts))  # the user's own word stands first
        return rows

    terms = choose(texts, "en", [two])
    assert (terms[0].word, terms[0].kind) == (two, "yours")
    told = collision_finding(terms, texts, encode, encode, nearest, passages, code="en", seed=SEED)
    row = told.evidence["terms"][0]
    assert row["term"] == two
    assert sorted(sense["passages"] for sense in row["senses"]) == [5, 5]
    assert {sense["words"][0][:4] for sense in row["senses"]} == {"bank", "cine"}


def test_terms_are_frequent_here_and_rarer_on_the_web() -> None:
    texts = [f"the pipeline is broken, said plumber {place}" for place in range(30)]
    texts += [f"we went to the flumdrum and saw the garden {place}" for place in range(10)]
    texts += [f"nothing to see at all number {place}" for place in range(200)]
    chosen = {term.word: term.kind for term in choose(texts, "en", ["Broken", "absent"])}
    assert chosen["broken"] == "yours"
    assert chosen["flumdrum"] == "specific"
    assert chosen["garden"] == "ordinary"
    assert "the" not in chosen, "half of all passages hold it"
    assert chosen["absent"] == "yours", "whoever names a word hears of it"
    assert next(term for term in choose(texts, "en", ["absent"]) if term.word == "absent").passages == ()
    assert next(term for term in choose(texts, "en") if term.word == "flumdrum").passages == tuple(range(30, 40))


def test_words_of_ones_own_that_hardly_stand_anywhere_are_named() -> None:
    texts = corpus(WORDS[:30])
    encode = Web(here(WORDS[:30]))
    passages = encode(texts)
    terms = choose(texts, "en", ["zqnowhere", WORDS[0]])
    told = collision_finding(
        terms, texts, encode, encode, lambda v: np.argsort(-(v @ passages.T), axis=1)[:, :TOP], passages, code="en", seed=SEED
    )  # fmt: skip
    assert "Fewer than 8 passages hold your own 'zqnowhere'." in told.reading
    assert told.evidence["few"] == ["zqnowhere"]


def test_more_contexts_are_read_where_the_first_leave_the_level_open() -> None:
    texts = [text for text in corpus(WORDS[:30]) for _ in range(3)]
    clear, edge = found(texts, _encoder(10)), found(texts, Unsure(_encoder(4)))
    assert clear.evidence["contexts"] == 30 * NUMBER
    assert edge.evidence["contexts"] == 30 * MORE
    assert edge.interval is not None
    if edge.level == "unknown":
        assert "more passages that hold these words would tell" in edge.reading


class Unsure:
    """The same encoder with noise on everything: some terms collide in one half of their contexts and not in another."""

    def __init__(self, encode: Web) -> None:
        self.encode = encode

    def __call__(self, texts: Sequence[str]) -> Floats:
        noise = np.array(
            [np.random.default_rng(zlib.crc32(t.encode()) + 1).normal(scale=0.28, size=len(TOPICS) + 20) for t in texts]
        )
        rows = self.encode(texts) + noise
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_contexts_are_what_stands_around_a_term_without_it() -> None:
    texts = [" ".join(f"w{'abcdefghijklmnop'[k]}" for k in range(16)) + " Valve, " + "after " * 30, "no such word"]
    (around,) = contexts(Term("valve", "specific", (0,)), texts, 5, np.random.default_rng(1))
    assert around.split() == [*(f"w{c}" for c in "efghijklmnop"), *["after"] * 12]
    assert contexts(Term("word", "specific", (1,)), ["x", "word"], 5, np.random.default_rng(1)) == []


def test_words_that_distinguish_are_those_held_more_often_than_elsewhere() -> None:
    heap = ["red valve leaks", "valve bursts red", "valve of steel"]
    among = background([*heap, "red car", "red house", "red door", "steel house"])
    assert distinguishing(heap, among, 2) == ["valve"], "red is as frequent elsewhere, steel is held once"


def test_too_few_words_are_unknown() -> None:
    told = found(corpus(WORDS[:2]), Web(elsewhere(WORDS[:2], 2)))
    assert told.level == "unknown"
    assert told.value == 100
    assert "2 words are fewer than the 20" in told.reading
    assert found(["nothing at all"], Web({})).reading.startswith("Too few words")


def test_the_console_says_what_a_word_is_read_as_and_what_stands_beside_it() -> None:
    told = found(corpus(WORDS[:30]), Web(elsewhere(WORDS[:30], 10)))
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(diagnosis_table(Diagnosis((told,), "judgments")))
    shown = console.export_text()
    assert "your encoder reads it as" in shown
    assert WORDS[0] in shown
    assert told.evidence["terms"][0]["beside"][0] in shown
