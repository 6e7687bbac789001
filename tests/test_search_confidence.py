"""Confidence where the truth is known: planted probabilities, foreign queries, answers taken away."""

from __future__ import annotations

import numpy as np
import pytest

from resurvey.errors import ResurveyError
from resurvey.search.confidence import (
    FIRST,
    UNFITTED,
    UNJUDGED,
    WHOLE,
    Assessor,
    Calibration,
    Confidence,
    Cover,
    Limits,
    judged,
    limits_of,
    load_calibration,
    whole,
)  # fmt: skip
from resurvey.search.index import Index
from resurvey.search.logistic import Logistic, columns, fit, load_logistic
from resurvey.search.signs import HIT, Facts, Words, of_hits, of_query
from resurvey.settings import Settings
from resurvey.types import Query, Ranking, Stage

KNOWN = Facts(1.0, 10.0)


def ranking(scores: list[float], lexical: list[float] | None = None) -> Ranking:
    """Documents d0, d1, … with these scores, which a dense branch gave; a lexical one too if asked."""
    dense = np.array(scores, dtype=np.float32)
    places = np.arange(1, len(scores) + 1, dtype=np.int64)
    stages = {"dense": Stage(places, dense)}
    if lexical is not None:
        words = np.array(lexical, dtype=np.float32)
        stages["lexical"] = Stage(np.where(np.isnan(words), 0, places), words)
    return Ranking([f"d{place}" for place in range(len(scores))], dense, stages)


def cover(best: float = 0.7, spread: float = 0.05) -> Cover:
    """One's own queries: their best cosines lie around `best`."""
    plain = Cover(("best cosine",), (best,), (spread,), ())
    own = [plain.far({"best cosine": float(x)}) for x in np.random.default_rng(3).normal(best, spread, 500)]
    return Cover(plain.names, plain.means, plain.spreads, tuple(sorted(own)))


def answer_model() -> Logistic:
    """As probable as the best hit."""
    zeros = tuple(0.0 for _ in WHOLE)
    return Logistic(WHOLE, zeros, tuple(10.0 for _ in WHOLE), tuple(10.0 * (name == "best hit") for name in WHOLE), 0.0)


def hits_model(weight: float = 4.0) -> Logistic:
    """The score alone decides: even odds at a cosine of 0.6."""
    weights = tuple(weight if name == "score" else 0.0 for name in HIT)
    return Logistic(HIT, tuple(0.6 if name == "score" else 0.0 for name in HIT), tuple(0.1 for _ in HIT), weights, 0.0)


def calibration(**changed: object) -> Calibration:
    fields = {
        "recipe": "key", "stages": ("dense",), "queries": 500, "cover": cover(), "hits": hits_model(),
        "found": answer_model(), "why": "",
    }  # fmt: skip
    return Calibration(**{**fields, **changed})  # type: ignore[arg-type]


def test_planted_probabilities_are_recovered() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(20_000, 3))
    truth = 1 / (1 + np.exp(-(0.8 * rows[:, 0] - 1.5 * rows[:, 1] - 1)))
    model = fit(rows, rng.random(len(rows)) < truth, ("a", "b", "c"))
    assert np.abs(model.probabilities(rows) - truth).max() < 0.05
    assert np.array_equal(load_logistic(model.dump()).probabilities(rows), model.probabilities(rows))


def test_few_judgments_say_little_more_than_the_base_rate() -> None:
    rng = np.random.default_rng(1)
    rows, true = rng.normal(size=(12, 8)), np.arange(12) < 3
    loose, drawn = fit(rows, true, "abcdefgh", 1e-6), fit(rows, true, "abcdefgh", 100.0)
    assert np.abs(drawn.probabilities(rows) - 0.25).max() < 0.1 < np.abs(loose.probabilities(rows) - 0.25).max()


def test_a_reading_that_is_missing_counts_as_average() -> None:
    rows = columns([{"a": 1.0}, {"a": -1.0, "b": 2.0}, {}], ("a", "b"))
    model = Logistic(("a", "b"), (0.0, 2.0), (1.0, 1.0), (1.0, 5.0), 0.5)
    assert model.logits(rows).tolist() == [1.5, -0.5, 0.5]


def test_hits_have_their_probabilities_and_better_ones_higher() -> None:
    found = judged(calibration(), ranking([0.8, 0.6, 0.3]), KNOWN)
    assert found.probabilities == pytest.approx((0.99966, 0.5, 0.0), abs=1e-3)
    assert found.found is not None
    assert found.found >= max(p for p in found.probabilities if p is not None)
    assert found.claims == ()


def test_a_foreign_query_is_not_covered_and_one_of_ones_own_is() -> None:
    foreign, own = judged(calibration(), ranking([0.4, 0.35]), KNOWN), judged(calibration(), ranking([0.7, 0.4]), KNOWN)
    assert foreign.not_covered
    assert foreign.claims[0].startswith("Not covered: at most 2 % of your own queries")
    assert not own.not_covered
    assert own.beyond is not None
    assert own.beyond > 0.5


def test_as_many_of_ones_own_queries_as_the_limit_says_are_not_covered() -> None:
    drawn = np.random.default_rng(3).normal(0.7, 0.05, 500)
    limits = Limits(not_covered=0.1)
    flagged = [judged(calibration(), ranking([float(x), 0.2]), KNOWN, limits).not_covered for x in drawn]
    assert sum(flagged) == pytest.approx(50, abs=2)


def test_an_answer_that_may_be_missing_is_another_claim_than_not_covered() -> None:
    found = judged(calibration(cover=cover(0.4)), ranking([0.45, 0.44]), KNOWN)
    assert found.may_be_missing
    assert not found.not_covered
    assert [claim.split(":")[0] for claim in found.claims] == ["The answer may be missing"]


def test_without_judgments_there_is_no_probability_but_covering_is_known() -> None:
    found = judged(calibration(hits=None, found=None, why=UNJUDGED), ranking([0.4, 0.3]), KNOWN)
    assert found.probabilities == (None, None)
    assert found.found is None
    assert found.why == UNJUDGED
    assert found.not_covered
    assert not found.may_be_missing


def test_nothing_is_said_of_a_pipeline_to_which_nothing_was_fitted() -> None:
    found = judged(None, ranking([0.4]), KNOWN)
    assert (found.probabilities, found.beyond, found.claims, found.why) == ((None,), None, (), UNFITTED)


def test_an_answer_without_one_of_the_stages_has_no_probability() -> None:
    found = judged(calibration(stages=("dense", "reranker")), ranking([0.8]), KNOWN)
    assert found.probabilities == (None,)
    assert "without reranker" in found.why


def test_an_empty_ranking_finds_nothing() -> None:
    nothing = Ranking([], np.zeros(0, dtype=np.float32), {})
    found = judged(calibration(), nothing, Facts(0.0, 0.0))
    assert found.found == 0.0
    assert found.may_be_missing


def test_what_was_fitted_survives_being_kept() -> None:
    kept = calibration()
    assert load_calibration(kept.dump()) == kept
    with pytest.raises(ResurveyError, match="format 0"):
        load_calibration(kept.dump().replace(b'"format": 1', b'"format": 0'))


def test_hits_below_the_asked_confidence_are_left_out_and_none_may_be_left() -> None:
    found = judged(calibration(), ranking([0.8, 0.6, 0.3]), KNOWN)
    assert found.kept(0.4) == (0, 1)
    assert found.kept(0.0) == (0, 1, 2)
    assert found.kept(1.0) == ()
    assert found.at((0, 1)).probabilities == found.probabilities[:2]
    with pytest.raises(ResurveyError, match="no judgments were brought"):
        judged(calibration(hits=None, found=None, why=UNJUDGED), ranking([0.8]), KNOWN).kept(0.4)


def test_documents_that_a_filter_lets_through_keep_the_probabilities_of_the_whole_ranking(
    index: Index, plain_settings: Settings
) -> None:
    assessor = Assessor(calibration(), index, limits_of(plain_settings))
    whole_ranking = ranking([0.8, 0.6, 0.3])
    plain = assessor.assess(Query("q", "valve"), whole_ranking)
    some = assessor.assess(Query("q", "valve"), whole_ranking, ["d2", "elsewhere"])
    assert some.probabilities == (plain.probabilities[2], None)
    assert some.found == plain.found


def test_json_says_what_is_claimed_and_why_nothing_is() -> None:
    value = judged(None, ranking([0.4]), KNOWN).to_json()
    assert value == {
        "found": None,
        "beyond": None,
        "not_covered": False,
        "may_be_missing": False,
        "claims": [],
        "why": UNFITTED,
    }
    assert isinstance(judged(calibration(), ranking([0.4]), KNOWN), Confidence)


def test_words_that_the_corpus_lacks_count_by_how_rare_they_are(index: Index) -> None:
    words = Words(index)
    assert words.facts(Query("q", "valve pump")).known == 1.0
    half = words.facts(Query("q", "valve zeppelin"))
    assert 0 < half.known < 0.5  # an unknown word is the rarest
    assert half.possible == pytest.approx(words.facts(Query("q", "valve")).possible)
    assert words.facts(Query("q", "zeppelin")) == Facts(0.0, 0.0)
    assert words.facts(Query("q", "?")) == Facts(1.0, 0.0)


def test_signs_of_hits_do_not_move_with_the_scale_of_the_scores_but_for_the_score() -> None:
    one, other = ranking([0.9, 0.5, 0.1]), ranking([9.0, 5.0, 1.0])
    same = [place for place, name in enumerate(HIT) if name not in ("score", "cosine")]
    assert np.allclose(of_hits(one, KNOWN, 3)[:, same], of_hits(other, KNOWN, 3)[:, same], equal_nan=True, atol=1e-6)


def test_signs_of_a_branch_that_is_not_there_are_missing_and_of_one_that_found_nothing_are_low() -> None:
    alone, silent = ranking([0.9, 0.5]), ranking([0.9, 0.5], [np.nan, np.nan])
    assert "best matched" not in of_query(alone, KNOWN)
    assert of_query(silent, KNOWN)["best matched"] == 0.0
    column = HIT.index("matched")
    assert np.isnan(of_hits(alone, KNOWN, 2)[:, column]).all()
    assert (of_hits(silent, KNOWN, 2)[:, column] == 0).all()


def test_any_of_several_independent_hits_is_more_probable_than_the_best() -> None:
    signs = whole({}, np.zeros(FIRST))
    assert signs["best hit"] == 0.0
    assert 1 / (1 + np.exp(-signs["any hit"])) == pytest.approx(1 - 0.5**FIRST)
