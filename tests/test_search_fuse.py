"""Fusion: reciprocal ranks and standardised scores, checked by hand."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resurvey.search.compose import first_stage
from resurvey.search.fuse import NAME, RRF_K, Convex, Fuse, ReciprocalRank, Rule, fuse
from resurvey.types import Query, Ranking, Run

Scored = dict[str, float]


def run(name: str, scores: Scored) -> Run:
    """A run of one query `q`: the documents by their scores, as they come."""
    values = np.array(list(scores.values()), dtype=np.float32)
    return Run(name, {"q": first_stage(name, list(scores), values)})


def fused(first: Scored, second: Scored, rule: Rule, depth: int = 100) -> Ranking:
    return fuse([run("one", first), run("two", second)], rule, depth)["q"]


def as_dict(ranking: Ranking) -> Scored:
    return {hit.document: hit.score for hit in ranking}


class Fixed:
    """A retriever that always finds the same."""

    def __init__(self, name: str, scores: Scored) -> None:
        self.name = name
        self.scores = scores

    def search(self, queries: Sequence[Query]) -> Run:
        ranking = run(self.name, self.scores)["q"]
        return Run(self.name, {query.id: ranking for query in queries})


def test_reciprocal_ranks_by_hand_count_from_one_with_k_60() -> None:
    found = fused({"a": 9, "b": 5, "c": 1}, {"c": 0.9, "d": 0.8, "a": 0.7}, ReciprocalRank())
    wanted = {"a": 1 / 61 + 1 / 63, "c": 1 / 63 + 1 / 61, "b": 1 / 62, "d": 1 / 62}
    assert RRF_K == 60
    assert as_dict(found) == pytest.approx(wanted, rel=1e-6)
    assert list(found.documents) == ["a", "c", "b", "d"], "equal ones stay in the order in which they were found"


def test_another_k_is_obeyed() -> None:
    assert as_dict(fused({"a": 2, "b": 1}, {"b": 1}, ReciprocalRank(1))) == pytest.approx({"b": 5 / 6, "a": 1 / 2})


def test_convex_fusion_by_hand_standardises_and_gives_the_missing_the_lowest_score() -> None:
    found = fused({"a": 9, "b": 5, "c": 1}, {"c": 0.9, "d": 0.5}, Convex({"one": 0.25, "two": 0.75}))
    one, two = {"a": 9, "b": 5, "c": 1, "d": 1}, {"a": 0.5, "b": 0.5, "c": 0.9, "d": 0.5}

    def z(scores: Scored, document: str) -> float:
        values = list(scores.values())
        return (scores[document] - statistics.fmean(values)) / statistics.pstdev(values)

    wanted = {document: 0.25 * z(one, document) + 0.75 * z(two, document) for document in "abcd"}
    assert as_dict(found) == pytest.approx(wanted, abs=1e-5)
    assert list(found.documents) == sorted(wanted, key=lambda d: -wanted[d])


@pytest.mark.parametrize("rule", [ReciprocalRank(), Convex({"one": 0.5, "two": 0.5})])
def test_an_empty_branch_leaves_the_order_of_the_other(rule: Rule) -> None:
    assert list(fused({}, {"x": 3, "y": 2, "z": 1}, rule).documents) == ["x", "y", "z"]
    assert len(fused({}, {}, rule)) == 0


def test_a_branch_whose_scores_are_all_equal_says_nothing() -> None:
    found = fused({"a": 1, "b": 1}, {"b": 3, "a": 2}, Convex({"one": 0.9, "two": 0.1}))
    assert list(found.documents) == ["b", "a"]
    assert as_dict(found) == pytest.approx({"b": 0.1, "a": -0.1})


def test_depth_cuts_after_fusing() -> None:
    found = fused({"a": 9, "b": 5, "c": 1}, {"c": 0.9, "b": 0.8}, ReciprocalRank(), depth=2)
    assert list(found.documents) == ["c", "b"]


def test_every_branch_keeps_its_rank_and_score_and_absence_is_not_a_rank() -> None:
    hits = {hit.document: hit.stages for hit in fused({"a": 9, "b": 5}, {"b": 0.5}, ReciprocalRank())}
    assert hits["b"]["one"] == (2, 5.0)
    assert hits["b"]["two"] == (1, 0.5)
    assert hits["b"][NAME][0] == 1
    assert set(hits["a"]) == {"one", NAME}


def test_the_branches_are_searched_and_fused_to_a_run_named_for_the_stage() -> None:
    fusion = Fuse([Fixed("one", {"a": 2, "b": 1}), Fixed("two", {"b": 2, "c": 1})], ReciprocalRank(), depth=2)
    found = fusion.search([Query("x", ""), Query("y", "")])
    assert (found.name, fusion.name, list(found.rankings)) == (NAME, NAME, ["x", "y"])
    assert list(found["x"].documents) == ["b", "a"]


@pytest.mark.parametrize("names", [["one"], ["one", "one"], ["one", "two", "one"], []])
def test_branches_must_be_several_and_of_different_names(names: list[str]) -> None:
    with pytest.raises(ValueError, match="two or more branches of different names"):
        Fuse([Fixed(name, {}) for name in names], ReciprocalRank())


BRANCH = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(-40, 40), max_size=10)


def descending(scores: dict[str, int]) -> Scored:
    return {document: float(scores[document]) for document in sorted(scores, key=lambda d: (-scores[d], d))}


@given(BRANCH, BRANCH)
def test_reciprocal_rank_fusion_is_the_sum_over_branches(first: dict[str, int], second: dict[str, int]) -> None:
    one, two = descending(first), descending(second)
    wanted: Scored = {}
    for branch in (one, two):
        for rank, document in enumerate(branch, start=1):
            wanted[document] = wanted.get(document, 0.0) + 1 / (60 + rank)
    found = fused(one, two, ReciprocalRank())
    assert as_dict(found) == pytest.approx(wanted, rel=1e-5)
    assert np.all(np.diff(found.scores) <= 0)


@given(BRANCH, BRANCH, st.sampled_from([ReciprocalRank(), Convex({"one": 0.3, "two": 0.7})]), st.integers(1, 12))
def test_fusion_keeps_every_document_once_and_the_best_to_depth(
    first: dict[str, int], second: dict[str, int], rule: Rule, depth: int
) -> None:
    whole = fused(descending(first), descending(second), rule)
    assert sorted(whole.documents) == sorted({*first, *second})
    assert list(whole.top(depth)) == list(fused(descending(first), descending(second), rule, depth))


@given(BRANCH, BRANCH)
def test_a_weight_of_one_and_a_weight_of_none_give_the_single_branch(
    first: dict[str, int], second: dict[str, int]
) -> None:
    one, two = descending(first), descending(second)
    for alone, weights in ((one, {"one": 1.0, "two": 0.0}), (two, {"one": 0.0, "two": 1.0}), (two, {"two": 1.0})):
        found = as_dict(fused(one, two, Convex(weights)))
        own = [document for document in found if document in alone]
        assert [alone[document] for document in own] == sorted(alone.values(), reverse=True)
        if alone:
            least = min(found[document] for document in own)
            assert all(found[document] <= least + 1e-6 for document in found if document not in alone)


@given(BRANCH, BRANCH, st.sampled_from([0.5, 4.0, 100.0]), st.integers(-50, 50))
def test_convex_fusion_knows_no_units(first: dict[str, int], second: dict[str, int], scale: float, shift: int) -> None:
    one, two = descending(first), descending(second)
    moved = {document: score * scale + shift for document, score in one.items()}
    rule = Convex({"one": 0.4, "two": 0.6})
    assert as_dict(fused(moved, two, rule)) == pytest.approx(as_dict(fused(one, two, rule)), abs=1e-4)
