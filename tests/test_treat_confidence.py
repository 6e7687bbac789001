"""Fitting confidence: what is planted in held-out rankings is found, and nothing is fitted without judgments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from resurvey.evaluate.calibration import auc
from resurvey.search.builder import Builder
from resurvey.search.confidence import UNJUDGED, judged
from resurvey.search.memory import Judged
from resurvey.search.signs import NEARNESS, Words
from resurvey.settings import Settings
from resurvey.treat.confidence import calibrate, calibrated, covering
from resurvey.treat.trial import Trial
from resurvey.types import Query, Ranking, Run, Stage

QUERIES, DOCUMENTS = 300, 20
Planted = tuple[Trial, Run]


def one(documents: list[str], scores: list[float]) -> Ranking:
    order = np.argsort(-np.array(scores), kind="stable")
    kept = np.array(scores, dtype=np.float32)[order]
    return Ranking(
        [documents[p] for p in order], kept, {"dense": Stage(np.arange(1, len(order) + 1, dtype=np.int64), kept)}
    )


def without(ranking: Ranking, gone: set[str]) -> Ranking:
    kept = [(d, float(s)) for d, s in zip(ranking.documents, ranking.scores, strict=True) if d not in gone]
    return one([d for d, _ in kept], [s for _, s in kept])


@pytest.fixture
def planted(builder: Builder, plain_settings: Settings) -> Callable[[float], Planted]:
    """Queries whose one relevant document has a score of 3 more than the noise of the others, in one of `there`."""

    def make(shift: float = 0.0) -> Planted:
        rng = np.random.default_rng(5)
        queries, qrels, rankings = [], {}, {}
        names = [f"d{place}" for place in range(DOCUMENTS)]
        for place in range(QUERIES):
            query = Query(f"q{place}", "valve pump")
            right = names[int(rng.integers(DOCUMENTS))]
            there = place % 3 > 0
            qrels[query.id] = {right: 1}
            scores = [float(rng.normal()) + shift + (3.0 if there and name == right else 0.0) for name in names]
            some = [(n, s) for n, s in zip(names, scores, strict=True) if there or n != right]
            rankings[query.id] = one([n for n, _ in some], [s for _, s in some])
            queries.append(query)
        trial = Trial(builder, tuple(queries), qrels, np.arange(QUERIES) % 5, plain_settings, Judged((), ()))
        return trial, Run("planted", rankings)

    return make


def test_what_is_fitted_holds_on_folds_that_it_did_not_see(planted: Callable[[float], Planted]) -> None:
    trial, run = planted(0.0)
    _, measured = calibrated(trial, {"stage": "dense"}, run)
    assert measured["hits"]["error"] < 0.03
    assert measured["found"]["error"] < measured["found"]["noise"] + 0.05
    assert measured["curve"][0]["coverage"] == 1.0
    assert measured["curve"][-1]["risk"] < measured["curve"][0]["risk"]


def test_shifted_scores_get_a_calibration_of_their_own(planted: Callable[[float], Planted]) -> None:
    trial, run = planted(0.0)
    moved = planted(50.0)[1]
    here, there = calibrated(trial, {"stage": "dense"}, run)[0], calibrated(trial, {"stage": "other"}, moved)[0]
    facts = Words(trial.index).facts(trial.queries[1])
    assert here.recipe != there.recipe
    said = [judged(c, r["q1"], facts).probabilities for c, r in ((here, run), (there, moved))]
    assert np.allclose(np.array(said[0], dtype=float), np.array(said[1], dtype=float), atol=0.01)


def test_an_answer_that_was_taken_away_may_be_missing(planted: Callable[[float], Planted]) -> None:
    trial, run = planted(0.0)
    found = calibrated(trial, {"stage": "dense"}, run)[0]
    facts = Words(trial.index).facts(trial.queries[0])
    there, gone = [], []
    for query in trial.queries:
        right = set(trial.qrels[query.id])
        if right & set(run[query.id].documents[:1]):
            there.append(judged(found, run[query.id], facts))
            gone.append(judged(found, without(run[query.id], right), facts))
    assert auc(np.array([c.found for c in there], dtype=float), np.array([c.found for c in gone], dtype=float)) > 0.9
    assert np.mean([c.may_be_missing for c in gone]) > 0.7
    assert np.mean([c.may_be_missing for c in there]) < 0.2


def test_without_judgments_there_is_none_and_stand_ins_say_what_is_covered(
    planted: Callable[[float], Planted],
) -> None:
    trial, run = planted(0.0)
    trial.groups = ("title",) * QUERIES
    found, measured = calibrated(trial, {"stage": "dense"}, run)
    assert found.hits is None
    assert found.why == measured["why"] == UNJUDGED
    facts = Words(trial.index).facts(trial.queries[0])
    far = judged(found, one(["d0", "d1"], [-8.0, -9.0]), facts)
    assert far.not_covered
    assert far.probabilities == (None, None)


def test_words_of_stand_ins_do_not_say_what_is_covered_and_those_of_judged_queries_do(
    planted: Callable[[float], Planted],
) -> None:
    trial, run = planted(0.0)
    assert "known words" in calibrated(trial, {}, run)[0].cover.names
    trial.groups = ("title",) * QUERIES
    assert calibrated(trial, {}, run)[0].cover.names == ("best cosine", "tenth cosine")
    assert covering([{"known words": 0.5}, {"known words": 0.7}], NEARNESS).names == ("known words",)


def test_a_stage_that_only_some_rankings_carry_is_not_missed_in_others(planted: Callable[[float], Planted]) -> None:
    trial, run = planted(0.0)
    first = run["q0"]
    spoken = Ranking(first.documents, first.scores, {**first.stages, "rewrite": first.stages["dense"]})
    found = calibrated(trial, {}, Run("some", {**run.rankings, "q0": spoken}))[0]
    assert found.stages == ("dense",)


def test_where_every_query_found_its_answer_the_next_one_is_not_certain_to(
    planted: Callable[[float], Planted],
) -> None:
    trial, run = planted(0.0)
    trial.qrels = {query.id: {run[query.id].documents[0]: 1} for query in trial.queries}
    found = judged(calibrated(trial, {}, run)[0], run["q1"], Words(trial.index).facts(trial.queries[1]))
    assert found.found is not None
    assert 0.98 < found.found < 1 - 1e-4


def test_where_no_query_found_an_answer_nothing_can_be_learned(planted: Callable[[float], Planted]) -> None:
    trial, run = planted(0.0)
    trial.qrels = {query.id: {"elsewhere": 1} for query in trial.queries}
    found, measured = calibrated(trial, {}, run)
    assert found.hits is None
    assert "nothing to learn" in measured["why"]


def test_what_is_fitted_is_kept_by_its_hash(planted: Callable[[float], Planted]) -> None:
    trial, run = planted(0.0)
    kept = calibrate(trial, {"stage": "dense"}, run)["artefact"]
    assert trial.artefacts.get(kept) == calibrated(trial, {"stage": "dense"}, run)[0].dump()
