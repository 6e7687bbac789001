"""What is computed here equals what ir-measures computes, for any run: ties, duplicates, odd grades, short rankings."""

from __future__ import annotations

from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.errors import ResurveyError
from resurvey.evaluate import grades
from resurvey.evaluate.formulas import ROWS, fast
from resurvey.evaluate.grades import ABSENT, Grades, place
from resurvey.evaluate.measures import MEASURES, score, score_all, score_mapping
from resurvey.types import Floats, Qrels, Ranking, Run

SOME = tried(max_examples=150, deadline=None, derandomize=True, database=None)
EVERY = (
    "nDCG", "NDCG@3", "nDCG@10", "R@1", "Recall@4", "R(rel=2)@4", "P@1", "Precision@5", "P(rel=3)@5", "RR", "MRR(rel=2)",
    "AP", "MAP@3", "AP(rel=2)", "AP(rel=2)@4", "Success@2", "Success(rel=2)@3", "Judged", "Judged@2", "Judged@10",
)  # fmt: skip
IDS = ["a", "b", "B", "ab", "ä", "é", "z", "日本", "10", "9", "d1", "d2", "d3", "d4"]
Mapped = dict[str, dict[str, float]]


def elsewhere(run: Mapped, qrels: Qrels, measures: tuple[str, ...]) -> dict[str, list[float]]:
    """What ir-measures says, one measure at a time; 0 where it says nothing."""
    asked = {query: found for query, found in run.items() if query in qrels and found}
    given = {query: dict(found) for query, found in qrels.items()}
    values = {}
    for measure in measures:
        meant = ir_measures.parse_measure(measure)
        said = {m.query_id: m.value for m in ir_measures.iter_calc([meant], given, asked)} if asked else {}
        values[measure] = [said.get(query, 0.0) for query in qrels]
    return values


@st.composite
def judged(draw: st.DrawFn) -> dict[str, dict[str, int]]:
    """Grades from -2 on. Where a query's best is below 0, pytrec_eval may crash the process: see the test below."""
    grades = st.dictionaries(st.sampled_from(IDS), st.integers(-2, 4), max_size=8)
    qrels = {f"q{n}": draw(grades) for n in range(draw(st.integers(1, 4)))}
    return {query: found if max(found.values(), default=0) >= 0 else {} for query, found in qrels.items()}


TIED = st.sampled_from([0.0, 1.0, 2.0, 2.0 + 1e-12, -1.0, 0.1, np.inf])
"""The third and fourth are one 32-bit float: equal to trec_eval, not to Judged."""


@st.composite
def mapped(draw: st.DrawFn) -> Mapped:
    scores = st.dictionaries(st.sampled_from(IDS), TIED | st.floats(-3, 3), max_size=len(IDS))
    return {f"q{n}": draw(scores) for n in range(draw(st.integers(0, 5)))}


@st.composite
def ranked(draw: st.DrawFn) -> dict[str, Ranking]:
    rankings = {}
    for n in range(draw(st.integers(0, 5))):
        documents = draw(st.lists(st.sampled_from(IDS), max_size=20))
        scores = draw(st.lists(TIED, min_size=len(documents), max_size=len(documents)))
        ordered = sorted(scores, reverse=True) if draw(st.booleans()) else scores
        rankings[f"q{n}"] = Ranking(documents, np.array(ordered, dtype=np.float32))
    return rankings


@SOME
@given(mapped(), judged())
def test_a_mapping_scores_as_ir_measures_scores_it(run: Mapped, qrels: Qrels) -> None:
    found = score_mapping("r", run, qrels, EVERY)
    for measure, expected in elsewhere(run, qrels, EVERY).items():
        assert found[measure].values == pytest.approx(expected, abs=1e-9), measure
        assert found[measure].queries == tuple(qrels)


@SOME
@given(ranked(), judged(), st.sampled_from([None, 1, 4]))
def test_a_run_scores_as_its_first_documents_do_whatever_their_order(
    rankings: dict[str, Ranking], qrels: Qrels, most: int | None
) -> None:
    """A document that comes twice counts once, with its last score; where all measures cut, so is the ranking."""
    measures = tuple(m for m in EVERY if most is None or int(m.partition("@")[2] or ABSENT) <= most)
    cut = {
        query: {d: float(s) for d, s in zip(r.documents[:most], r.scores[:most], strict=True)}
        for query, r in rankings.items()
    }
    found = score(Run("r", rankings), qrels, measures)
    for measure, expected in elsewhere(cut, qrels, measures).items():
        assert found[measure].values == pytest.approx(expected, abs=1e-9), measure


def test_equal_scores_go_by_id_the_larger_first_and_judged_the_smaller_first() -> None:
    flat = Ranking(("a", "b", "c"), np.ones(3, dtype=np.float32))
    found = score(Run("r", {"q": flat}), {"q": {"b": 1}, "p": {}}, ("RR", "Judged@2", "Judged@1"))
    assert {m: s.values.tolist() for m, s in found.items()} == {
        "RR": [0.5, 0],
        "Judged@2": [0.5, 0],
        "Judged@1": [0, 0],
    }
    almost = {"q": {"a": 1.0 + 1e-12, "b": 1.0}, "p": {"a": 1.0, "b": 1.0 + 1e-12}}  # one 32-bit float
    found = score_mapping("r", almost, {"q": {"a": 1}, "p": {"b": 1}}, ("RR", "Judged@1"))
    assert found["RR"].values.tolist() == [0.5, 1.0]
    assert found["Judged@1"].values.tolist() == [1.0, 1.0]


def test_grades_below_zero_alone_are_nothing_relevant_and_no_crash() -> None:
    found = score_mapping("r", {"q": {"a": 1.0, "b": 0.5}}, {"q": {"a": -2}}, ("nDCG@10", "AP", "R@5", "Judged@2"))
    assert [s.mean for s in found.values()] == [0, 0, 0, 0.5]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    names = [f"d{n}" for n in range(40)]
    qrels = {f"q{n}": {d: int(rng.integers(0, 4)) for d in rng.choice(names, 6)} for n in range(30)}
    run = Run(
        "r", {f"q{n}": Ranking(rng.permutation(names).tolist(), rng.integers(0, 9, 40).astype(np.float32)) for n in range(25)}
    )  # fmt: skip
    whole = score(run, qrels, EVERY)
    for constant, value in (("BLOCK", 50), ("FEW", 0)):
        monkeypatch.setattr(grades, constant, value)
        for measure, found in score(run, qrels, EVERY).items():
            assert found.values.tolist() == whole[measure].values.tolist()
    assert whole["nDCG@10"].mean > 0
    assert whole["nDCG@10"].values[25:].tolist() == [0] * 5


def test_many_runs_score_as_each_alone() -> None:
    falling: Floats = np.array([2, 1], dtype=np.float32)
    runs = [
        Run("one", {"q": Ranking(("a", "b"), falling)}),
        Run("two", {"q": Ranking(("b", "a"), falling)}),
        Run("no", {}),
    ]
    qrels = {"q": {"b": 1}}
    found = score_all(runs, qrels, ("RR", "Rprec"))
    assert [f["RR"].values.tolist() for f in found] == [[0.5], [1.0], [0.0]]
    assert [f["Rprec"].values.tolist() for f in found] == [[0.0], [1.0], [0.0]]
    assert [f["RR"].name for f in found] == ["one", "two", "no"]
    assert score_all([], qrels) == []


def test_ranks_are_kept_for_judged_documents_alone() -> None:
    held = Grades.of({"q": {"x": 1, "a": 3, "n": -1}, "empty": {}, "p": {"a": 0}})
    assert (held.rows.tolist(), held.grades.tolist()) == ([0, 0, 0, 2], [1, 3, -1, 0])
    assert held.ideal.tolist() == [2, 1, 3, 1]
    assert held.relevant(1).tolist() == [2, 0, 0]
    three: Floats = np.array([3, 2, 1], dtype=np.float32)
    placed = place(held, [(("a", "b", "x"), three), (("b",), three[:1]), ((), three[:0])])
    assert placed.ranks.tolist() == [3, 1, ABSENT, ABSENT]
    assert placed.lengths.tolist() == [3, 1, 0]


def test_documents_without_a_score_are_our_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        score(Run("r", {"q": Ranking(("a", "b"), np.ones(1, dtype=np.float32))}), {"q": {"a": 1}})


@pytest.mark.parametrize("measure", [*MEASURES, *EVERY])
def test_the_usual_measures_are_computed_here(measure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("went to ir-measures")

    monkeypatch.setattr(ir_measures, "iter_calc", never)
    assert fast(measure)
    assert score_mapping("r", {"q": {"a": 1.0}}, {"q": {"a": 3}}, (measure,))[measure].mean in (1.0, 0.2, 0.1)


def test_every_row_is_tried_above() -> None:
    assert {m.partition("@")[0].partition("(")[0] for m in (*EVERY, *MEASURES)} == set(ROWS)


@pytest.mark.parametrize(
    "measure", ["RR@10", "Rprec", "nDCG(dcg='exp-log2')@10", "P(judged_only=True)@5", "IPrec@0.5", "Bpref", "ERR@5"]
)
def test_what_has_no_row_goes_to_ir_measures(measure: str) -> None:
    assert fast(measure) is None


@pytest.mark.parametrize(
    "measure", ["P", "R", "RR@0", "P@0", "P@05", "Judged(rel=2)@5", "nDCG(rel=2)@5", "P@5 ", "", "P@٣"]
)
def test_what_is_not_spelt_as_a_row_is_left_to_ir_measures_to_judge(measure: str) -> None:
    assert fast(measure) is None


def test_a_least_grade_below_one_is_refused() -> None:
    with pytest.raises(ResurveyError, match=r"'P\(rel=0\)@5' counts from grade 0, must be 1 or more"):
        score_mapping("r", {"q": {"a": 1.0}}, {"q": {"a": 3}}, ("P(rel=0)@5",))
