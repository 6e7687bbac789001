"""Reranking: the first documents reordered, the rest below as they were, and a search without a late scorer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reranking import Planted

from resurvey.search.breaker import Breaker
from resurvey.search.compose import Then, first_stage
from resurvey.search.dense import Dense
from resurvey.search.index import Index
from resurvey.search.rerank import BEFORE, NAME, Reranking, best_passages, blended, wholes
from resurvey.search.scorers import UnansweredError
from resurvey.types import Floats, Query, Ranking, Run

ASKED = Query("q", "a question")
OTHER = Query("p", "another")


def ranking(count: int) -> Ranking:
    return first_stage("dense", [f"d{place}" for place in range(count)], np.linspace(0.9, 0.1, count, dtype=np.float32))


def plain(query: Query, documents: Sequence[str]) -> list[str]:
    return list(documents)


def backwards(query: str, text: str) -> float:
    """The higher a document's number, the better."""
    return float(text[1:])


FINITE = st.floats(-1e3, 1e3, width=32)


@given(st.integers(1, 12), st.data())
def test_a_blend_moves_only_what_was_scored_and_loses_nothing(count: int, data: st.DataObject) -> None:
    scores = data.draw(st.lists(FINITE, max_size=count, min_size=1))
    blend = data.draw(st.floats(0, 1))
    before, depth = ranking(count), len(scores)
    after = blended(before, np.array(scores, dtype=np.float32), blend)
    assert sorted(after.documents[:depth]) == sorted(before.documents[:depth])
    assert list(after.documents[depth:]) == list(before.documents[depth:])
    assert (np.diff(after.scores) <= 0).all()
    assert np.isfinite(after.scores).all()


def test_no_weight_keeps_the_order_and_all_of_it_forgets_it() -> None:
    before, scores = ranking(4), np.array([1, 2, 3], dtype=np.float32)
    assert list(blended(before, scores, 0).documents) == ["d0", "d1", "d2", "d3"]
    assert list(blended(before, scores, 1).documents) == ["d2", "d1", "d0", "d3"]


def test_a_hit_says_what_the_reranker_thought_and_where_it_stood_before() -> None:
    hits = list(blended(ranking(4), np.array([1, 5, 3], dtype=np.float32), 1))
    assert [hit.document for hit in hits] == ["d1", "d2", "d0", "d3"]
    assert [hit.stages[BEFORE][0] for hit in hits] == [2, 3, 1, 4]
    assert [hit.stages["dense"][0] for hit in hits] == [2, 3, 1, 4]
    assert [hit.stages[NAME] for hit in hits[:3]] == [(1, 5.0), (2, 3.0), (3, 1.0)]
    assert NAME not in hits[3].stages  # nobody asked about it


def test_a_scorer_without_an_opinion_changes_nothing() -> None:
    assert list(blended(ranking(5), np.zeros(5, dtype=np.float32), 0.9).documents) == [f"d{n}" for n in range(5)]


def test_only_the_first_documents_are_asked_about() -> None:
    scorer = Planted(backwards)
    found = Reranking(scorer, plain, depth=3).rerank([ASKED], Run("dense", {"q": ranking(6)}))["q"]
    assert list(found.documents) == ["d2", "d1", "d0", "d3", "d4", "d5"]
    assert scorer.asked == [("a question", ("d0", "d1", "d2"), None)]


def test_a_query_that_found_nothing_is_not_asked_about() -> None:
    scorer = Planted(backwards)
    made = Reranking(scorer, plain, depth=3)
    assert len(made.rerank([ASKED], Run("dense", {"q": ranking(0)}))["q"]) == 0
    assert (scorer.asked, made.skipped) == ([], 0)


def test_somebody_waits_for_one_query_and_nobody_for_a_batch() -> None:
    scorer = Planted(backwards)
    made = Reranking(scorer, plain, depth=2, deadline=0.5)
    run = Run("dense", {"q": ranking(2), "p": ranking(2)})
    made.rerank([ASKED], run)
    made.rerank([ASKED, OTHER], run)
    assert [seconds for _, _, seconds in scorer.asked] == [0.5, None, None]


class Down:
    name = "down"
    cut_short = None

    def __init__(self) -> None:
        self.calls = 0
        self.well = False

    def scores(self, query: str, texts: Sequence[str], seconds: float | None = None) -> Floats:
        self.calls += 1
        if not self.well:
            raise UnansweredError("late: 500 ms")
        return np.arange(len(texts), dtype=np.float32)


def test_a_scorer_that_fails_is_done_without_counted_and_left_alone_for_a_while() -> None:
    now, scorer = [0.0], Down()
    made = Reranking(scorer, plain, depth=3, breaker=Breaker(2, 10.0, clock=lambda: now[0]))
    run = Run("dense", {"q": ranking(4)})
    for _ in range(4):
        found = made.rerank([ASKED], run)["q"]
        assert list(found.documents) == ["d0", "d1", "d2", "d3"]
        assert all(NAME not in hit.stages for hit in found)
    assert (scorer.calls, made.skipped, made.why) == (2, 4, "late: 500 ms")
    now[0] = 10.0
    made.rerank([ASKED], run)  # one is let through, and fails
    made.rerank([ASKED], run)
    assert (scorer.calls, made.skipped) == (3, 6)
    now[0], scorer.well = 20.0, True
    assert list(made.rerank([ASKED], run)["q"].documents) == ["d2", "d1", "d0", "d3"]
    scorer.well = False
    made.rerank([ASKED], run)  # one failure after a success opens nothing
    assert scorer.calls == 5
    made.rerank([ASKED], run)
    assert scorer.calls == 6


@pytest.mark.parametrize("failures", [1, 3])
def test_a_breaker_opens_after_so_many_failures_in_a_row(failures: int) -> None:
    breaker = Breaker(failures, 5.0, clock=lambda: 0.0)
    for _ in range(failures):
        assert breaker.allows()
        breaker.failed()
    assert not breaker.allows()


def test_whole_documents_are_read_with_their_titles(index: Index) -> None:
    document = index.documents[3]
    assert wholes(index)(ASKED, [document.id]) == [document.full_text]


def test_of_a_long_document_the_passage_nearest_to_the_query_is_read(index: Index) -> None:
    long = next(d for d in index.documents if sum(p.document == d.id for p in index.cut.passages) > 2)
    owned = [text for text, p in zip(index.cut.texts, index.cut.passages, strict=True) if p.document == long.id]
    for wanted in owned:
        assert best_passages(index)(Query("q", wanted), [long.id, "d1"])[0] == wanted


def test_a_retriever_and_a_reranker_compose(index: Index) -> None:
    scorer = Planted(lambda query, text: float(len(text)))
    made = Dense(index, "truncated") >> Reranking(scorer, wholes(index), depth=20)
    assert isinstance(made, Then)
    documents = made.search([ASKED])["q"].documents
    lengths = [len(index.documents[index.rows[d]].full_text) for d in documents]
    assert lengths == sorted(lengths, reverse=True)
