"""Measures are trec_eval's, intervals and tests do what their formulas say, slices say whom they hold."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isnan, log2, sqrt

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.errors import ResurveyError
from resurvey.evaluate.compare import compare, detectable, holm, interval, randomisation_p
from resurvey.evaluate.measures import MEASURES, Scores, parse, score, score_mapping
from resurvey.evaluate.slices import Facts, facts, slices
from resurvey.types import Comparison, Doubles, Floats, Query, Ranking, Run

SOME = tried(max_examples=60, deadline=None, derandomize=True, database=None)
TREC_NAMES = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "RR": "recip_rank", "AP": "map", "P@10": "P_10"}
GRADES = {"q1": {"a": 3, "b": 1, "x": 0}, "q2": {"c": 1}, "q3": {"d": 2}}
RUN = {"q1": {"x": 9.0, "a": 8.0, "b": 7.0}, "q2": {"y": 2.0, "c": 1.0}}


def ranking(*documents: str) -> Ranking:
    return Ranking(documents, np.arange(len(documents), 0, -1, dtype=np.float32))


def scores(values: Doubles, name: str = "x") -> Scores:
    return Scores(name, "nDCG@10", tuple(f"q{n}" for n in range(len(values))), values)


def test_hand_computed_values_come_out() -> None:
    found = score_mapping("run", RUN, GRADES, MEASURES)
    assert {m: s.measure for m, s in found.items()} == {m: m for m in MEASURES}
    assert all(s.name == "run" and s.queries == ("q1", "q2", "q3") for s in found.values())
    ideal = 3 + 1 / log2(3)
    assert found["nDCG@10"].values == pytest.approx([(3 / log2(3) + 1 / log2(4)) / ideal, 1 / log2(3), 0])
    assert found["R@100"].values == pytest.approx([1, 1, 0])
    assert found["RR"].values == pytest.approx([1 / 2, 1 / 2, 0])
    assert found["AP"].values == pytest.approx([(1 / 2 + 2 / 3) / 2, 1 / 2, 0])
    assert found["P@10"].values == pytest.approx([0.2, 0.1, 0])
    assert found["Judged@10"].values == pytest.approx([1, 1 / 2, 0])
    assert found["RR"].mean == pytest.approx(1 / 3)


def test_a_query_the_run_lacks_scores_zero_and_one_nobody_judged_is_left_out() -> None:
    run = Run("r", {"q2": ranking("c"), "q9": ranking("a"), "q3": Ranking((), np.zeros(0, dtype=np.float32))})
    found = score(run, GRADES, ("RR", "nDCG@10"))
    assert found["RR"].queries == ("q1", "q2", "q3")
    assert found["RR"].values.tolist() == found["nDCG@10"].values.tolist() == [0, 1, 0]
    assert score(Run("r", {}), GRADES)["nDCG@10"].values.tolist() == [0, 0, 0]
    assert isnan(score(run, {})["nDCG@10"].mean)


def test_values_of_some_queries_come_in_the_order_asked() -> None:
    found = Scores("r", "RR", ("a", "b", "c"), np.array([0.1, 0.2, 0.3]))
    assert found.of(["c", "a"]).tolist() == [0.3, 0.1]
    with pytest.raises(KeyError):
        found.of(["z"])


DOCUMENTS = [f"d{n}" for n in range(130)]


@st.composite
def judged_runs(draw: st.DrawFn) -> tuple[dict[str, dict[str, int]], Run]:
    qrels, rankings = {}, {}
    for query in [f"q{n}" for n in range(draw(st.integers(1, 4)))]:
        qrels[query] = draw(st.dictionaries(st.sampled_from(DOCUMENTS[:30]), st.integers(0, 4), min_size=1, max_size=8))
        order = draw(st.permutations(DOCUMENTS))
        rankings[query] = ranking(*order[: draw(st.sampled_from([0, 1, 5, 30, 130]))])
    return qrels, Run("r", rankings)


@SOME
@given(judged_runs())
def test_every_measure_is_what_trec_eval_computes_on_the_whole_run(made: tuple[dict[str, dict[str, int]], Run]) -> None:
    qrels, run = made
    whole = {
        query: {d: float(s) for d, s in zip(found.documents, found.scores, strict=True)}
        for query, found in run.rankings.items()
    }
    truth = pytrec_eval.RelevanceEvaluator(qrels, set(TREC_NAMES.values())).evaluate(whole)
    for measures in (tuple(TREC_NAMES), ("nDCG@10", "P@10"), ("nDCG@10",), ("R@100",)):
        found = score(run, qrels, measures)
        for measure in measures:
            expected = [truth.get(query, {}).get(TREC_NAMES[measure], 0.0) for query in qrels]
            assert found[measure].values == pytest.approx(expected)


def test_two_names_of_one_measure_are_both_computed() -> None:
    found = score_mapping("r", RUN, GRADES, ("AP", "MAP", "RR", "MRR"))
    assert found["AP"].mean == found["MAP"].mean > 0
    assert found["RR"].mean == found["MRR"].mean > 0
    assert found["MAP"].measure == "MAP"


def test_a_recall_level_is_no_cut_of_the_ranking() -> None:
    run = Run("r", {query: ranking(*found) for query, found in RUN.items()})
    assert score(run, GRADES, ("IPrec@0.5",))["IPrec@0.5"].values == pytest.approx([2 / 3, 1 / 2, 0])


@pytest.mark.parametrize("measure", ["", "ndcg@10", "nDCG@x", "nDCG@-5", "nDCG(", "P", "1", "nDCG@1.5", "nDCG@10, P@5"])
def test_a_name_that_is_no_measure_is_refused_with_names_that_are(measure: str) -> None:
    with pytest.raises(ResurveyError) as caught:
        parse(measure)
    assert str(caught.value) == (
        f"measure: {measure!r} is not one that ir-measures knows\nNext: use a name such as nDCG@10, R@100, RR, AP, P@10"
    )


@pytest.mark.parametrize(
    ("measure", "rule"),
    [
        ("P@0", "'P@0' cuts at 0, must be 1 or more"),
        ("R(rel=2)@0", "'R(rel=2)@0' cuts at 0, must be 1 or more"),
        ("RBP", "'RBP' cannot be computed with what is installed"),
    ],
)
def test_a_measure_that_cannot_be_computed_is_refused(measure: str, rule: str) -> None:
    with pytest.raises(ResurveyError) as caught:
        score(Run("r", {}), GRADES, (measure,))
    assert caught.value.problems[0].what == rule


@pytest.mark.parametrize("measure", [*MEASURES, "nDCG@5", "P(rel=2)@5", "Rprec"])
def test_a_measure_parses_to_its_own_name(measure: str) -> None:
    assert str(parse(measure)) == measure


def test_the_detectable_difference_is_the_formulas() -> None:
    differences = np.array([0.1, -0.2, 0.4, 0.0, 0.3])
    error = differences.std(ddof=1) / sqrt(5)
    assert detectable(differences) == pytest.approx((1.959964 + 0.841621) * error)
    assert detectable(differences, 0.9) == pytest.approx((1.644854 + 0.841621) * error)
    assert detectable(differences[:1]) == inf


def test_a_detectable_difference_is_shown_four_times_in_five() -> None:
    rng = np.random.default_rng(5)
    needed = (1.959964 + 0.841621) / sqrt(100)
    assert detectable(rng.normal(0, 1, 100_000)) == pytest.approx(needed * sqrt(100 / 100_000), rel=0.02)
    drawn = rng.normal(needed, 1, (4000, 100))
    shown = np.abs(drawn.mean(axis=1)) > 1.959964 * drawn.std(axis=1, ddof=1) / sqrt(100)
    assert np.mean(shown) == pytest.approx(0.8, abs=0.03)


def test_a_comparison_says_what_the_parts_compute() -> None:
    rng = np.random.default_rng(4)
    low, high = rng.uniform(0, 0.5, 40), rng.uniform(0.3, 0.9, 40)
    made = compare(scores(low, "base"), scores(high, "new"), confidence=0.9, seed=3)
    differences = high - low
    assert made == Comparison(
        "base", "new", "nDCG@10", 40, float(low.mean()), float(high.mean()), float(differences.mean()),
        made.standard_error, interval(differences, 0.9, 3),
        randomisation_p(differences, 3), randomisation_p(differences, 3), detectable(differences, 0.9),
    )  # fmt: skip
    assert made.standard_error == pytest.approx(differences.std(ddof=1) / sqrt(40))
    assert made.verdict == "better"
    assert compare(scores(high), scores(low)).verdict == "worse"
    assert compare(scores(low), scores(low)).verdict == "no difference shown"
    assert str(made).startswith(f"new against base: nDCG@10 {high.mean():.3f} ({differences.mean():+.3f}, ")


@pytest.mark.parametrize("count", [0, 1])
def test_a_comparison_of_next_to_nothing_shows_nothing(count: int) -> None:
    made = compare(scores(np.zeros(count)), scores(np.ones(count)))
    assert made.verdict == "no difference shown"
    assert (made.queries, made.standard_error, made.detectable) == (count, 0.0, inf)


def test_a_comparison_refuses_other_queries() -> None:
    other = replace(scores(np.ones(2)), queries=("q1", "q0"))
    with pytest.raises(AssertionError, match="the same queries"):
        compare(scores(np.ones(2)), other)


def family(*values: float) -> list[Comparison]:
    rng = np.random.default_rng(1)
    one = compare(scores(rng.random(5)), scores(rng.random(5)))
    return [replace(one, p=p, challenger=f"c{place}") for place, p in enumerate(values)]


def test_holm_corrects_as_by_hand() -> None:
    made = holm(family(0.01, 0.04, 0.03, 0.005))
    assert [c.p_corrected for c in made] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [c.p for c in made] == [0.01, 0.04, 0.03, 0.005]
    assert [c.challenger for c in made] == ["c0", "c1", "c2", "c3"]
    assert [c.verdict == "no difference shown" for c in made] == [False, True, True, False]
    assert [c.p_corrected for c in holm(family(0.6, 0.9))] == [1.0, 1.0]
    assert holm([]) == []


@SOME
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_its_definition(values: list[float]) -> None:
    order = np.argsort(values, kind="stable")
    steps = np.array(values)[order] * np.arange(len(values), 0, -1)
    expected = [min(1.0, float(steps[: place + 1].max())) for place in range(len(values))]
    found = [c.p_corrected for c in holm(family(*values))]
    assert [found[place] for place in order] == pytest.approx(expected)


def test_facts_hold_lengths_literals_and_novelty() -> None:
    queries = [Query("a", "one two  three"), Query("b", "XR-7 leak")]
    found = facts(queries, lambda text: [w for w in text.split() if "-" in w], frozenset({"a"}))
    assert found == Facts({"a": 3, "b": 2}, frozenset({"b"}), frozenset({"a"}))


def test_slices_are_cut_by_thirds_of_length_literals_and_novelty() -> None:
    lengths = {f"q{n}": n for n in range(1, 10)}
    assert slices(Facts(lengths, frozenset({"q2", "q9"}), frozenset({"q1"}))) == {
        "with literal tokens": ("q2", "q9"),
        "without literal tokens": ("q1", "q3", "q4", "q5", "q6", "q7", "q8"),
        "short queries": ("q1", "q2", "q3"),
        "long queries": ("q7", "q8", "q9"),
        "documents seen in training": tuple(f"q{n}" for n in range(2, 10)),
        "documents unseen in training": ("q1",),
    }


def test_queries_as_long_as_the_lower_third_are_short_and_as_the_upper_third_not_long() -> None:
    found = slices(Facts({"a": 1, "b": 1, "c": 2, "d": 3}, frozenset(), frozenset()))
    assert found == {"short queries": ("a", "b"), "long queries": ("d",)}


def test_slices_that_are_empty_or_hold_everything_are_left_out() -> None:
    assert slices(Facts({}, frozenset(), frozenset())) == {}
    assert slices(Facts({"a": 3, "b": 3}, frozenset({"a", "b"}), frozenset())) == {}
    assert slices(Facts({"a": 1, "b": 3}, frozenset(), frozenset({"a", "b"}))) == {
        "short queries": ("a",),
        "long queries": ("b",),
    }


def test_scores_given_as_float32_keep_their_order() -> None:
    close: Floats = np.array([0.1 + 1e-7, 0.1], dtype=np.float32)
    assert score(Run("r", {"q": Ranking(("b", "a"), close)}), {"q": {"b": 1}}, ("RR",))["RR"].values.tolist() == [1.0]
