"""A trial never judges what it fitted: folds on the training side, dev untouched until the final fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from resurvey.data.collection import Collection
from resurvey.evaluate.measures import Scores
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.settings import Settings
from resurvey.treat.trial import ENOUGH_FOR_GATE, Trial, judged_trial, standin_trial
from resurvey.types import Document, Ints, Query, Ranking, Run

UNUSED = cast(Builder, None)


def made(train: int, dev: int, settings: Settings, **changed: int) -> Trial:
    asked = {f"q{place}": Query(f"q{place}", f"question number{place}") for place in range(train + dev)}
    qrels = {query: {f"d{place // 2}": 1} for place, query in enumerate(asked)}
    sides = {"train": dict(list(qrels.items())[:train]), "dev": dict(list(qrels.items())[train:])}
    documents = tuple(Document(f"d{place}", "text") for place in range(train + dev))
    collection = Collection(documents, asked, {name: part for name, part in sides.items() if part}, {}, "")
    return judged_trial(collection, UNUSED, Settings({**settings.values, **changed}))


def recorded(trial: Trial) -> tuple[list[set[int]], list[tuple[set[int], set[int]]], Run, set[int]]:
    """What `cross_fit` fitted on, which fit predicted which places, the run, and the final fit."""
    fits: list[set[int]] = []
    predictions: list[tuple[set[int], set[int]]] = []

    def fit(places: Ints) -> set[int]:
        fits.append(set(places.tolist()))
        return fits[-1]

    def predict(fitted: set[int], places: Ints) -> Run:
        predictions.append((fitted, set(places.tolist())))
        found = {trial.queries[p].id: Ranking([f"from {len(fits)}"], np.ones(1, np.float32)) for p in places}
        return Run("recorded", found)

    run, final = trial.cross_fit(fit, predict)
    return fits, predictions, run, final


@pytest.mark.parametrize(("train", "dev"), [(30, 12), (30, 0), (0, 30), (2, 9)])
def test_cross_fit_never_predicts_on_what_it_fitted(train: int, dev: int, plain_settings: Settings) -> None:
    _, predictions, _, _ = recorded(made(train, dev, plain_settings))
    for fitted, places in predictions:
        assert not fitted & places


@pytest.mark.parametrize(("train", "dev"), [(30, 12), (30, 0), (0, 30)])
def test_cross_fit_fits_on_all_the_other_folds(train: int, dev: int, plain_settings: Settings) -> None:
    trial = made(train, dev, plain_settings)
    _, predictions, _, _ = recorded(trial)
    training = set(trial.training.tolist())
    for fitted, places in predictions:
        assert fitted == training - places


def test_dev_is_never_fitted_before_the_final_fit(plain_settings: Settings) -> None:
    trial = made(30, 12, plain_settings)
    fits, _, _, final = recorded(trial)
    dev = set(range(30, 42))
    assert len(fits) == plain_settings.integer("folds") + 2  # one a fold, one for dev, the final one
    assert all(not fitted & dev for fitted in fits[:-1])
    assert final == fits[-1] == set(range(42))


def test_cross_fit_predicts_every_query_once_in_the_order_of_the_trial(plain_settings: Settings) -> None:
    trial = made(30, 12, plain_settings)
    _, predictions, run, _ = recorded(trial)
    assert sorted(place for _, places in predictions for place in places) == list(range(42))
    assert list(run.rankings) == [query.id for query in trial.queries]


def test_training_comes_first_and_dev_has_no_fold(plain_settings: Settings) -> None:
    trial = made(30, 12, plain_settings)
    assert trial.training.tolist() == list(range(30))
    assert set(trial.fold[30:].tolist()) == {-1}
    assert set(trial.fold[:30].tolist()) == {0, 1, 2}


def test_without_a_training_side_dev_is_cross_fitted(plain_settings: Settings) -> None:
    trial = made(0, 30, plain_settings)
    assert trial.training.tolist() == list(range(30))
    assert not trial.gated_apart


def test_a_small_dev_side_selects_and_gates_together(plain_settings: Settings) -> None:
    trial = made(30, ENOUGH_FOR_GATE - 1, plain_settings)
    everything = list(range(30 + ENOUGH_FOR_GATE - 1))
    assert not trial.gated_apart
    assert trial.selection.tolist() == everything
    assert trial.gate.tolist() == everything


def test_a_large_dev_side_gates_alone_and_selects_nothing(plain_settings: Settings) -> None:
    trial = made(30, ENOUGH_FOR_GATE, plain_settings)
    assert trial.gated_apart
    assert trial.selection.tolist() == list(range(30))
    assert trial.gate.tolist() == list(range(30, 30 + ENOUGH_FOR_GATE))
    assert not set(trial.selection.tolist()) & set(trial.gate.tolist())


def test_the_gates_slices_hold_only_gated_queries_and_tell_seen_documents_from_unseen(
    plain_settings: Settings,
) -> None:
    trial = made(31, ENOUGH_FOR_GATE + 1, plain_settings)  # q30 (train) and q31 (dev) share document d15
    gated = {trial.queries[place].id for place in trial.gate}
    found = trial.slices()
    assert set().union(*found.values()) <= gated
    assert found["documents seen in training"] == ("q31",)
    assert len(found["documents unseen in training"]) == len(gated) - 1


def test_more_training_queries_than_allowed_are_sampled_but_all_are_remembered(plain_settings: Settings) -> None:
    trial = made(40, 10, plain_settings, train_queries=15)
    fitted = [query.id for query in trial.queries[:15]]
    assert len(trial.queries) == 25
    assert len(trial.training) == 15
    assert fitted == sorted(fitted, key=lambda query: int(query[1:]))
    assert set(fitted) < {f"q{place}" for place in range(40)}
    assert len(trial.memory.texts) == 40
    assert trial.queries == made(40, 10, plain_settings, train_queries=15).queries


def test_the_memory_never_holds_dev_queries(plain_settings: Settings) -> None:
    trial = made(30, 12, plain_settings)
    assert set(trial.memory.texts) == {f"question number{place}" for place in range(30)}


def standins(settings: Settings, groups: Sequence[str]) -> Trial:
    queries = [Query(f"s{place}", f"words about{place}") for place in range(len(groups))]
    return standin_trial(queries, {q.id: {"d0": 1} for q in queries}, groups, UNUSED, settings)


def test_stand_ins_are_cross_fitted_and_remember_nothing(plain_settings: Settings) -> None:
    trial = standins(plain_settings, ["title"] * 6 + ["head"] * 6)
    assert trial.standin
    assert not trial.memory.texts
    assert trial.training.tolist() == list(range(12))
    assert not made(30, 12, plain_settings).standin


def test_parts_keep_queries_and_values_together(plain_settings: Settings) -> None:
    trial = made(6, 0, plain_settings)
    scores = Scores("x", "nDCG@10", tuple(q.id for q in trial.queries), np.arange(6.0))
    part = trial.part(scores, np.array([4, 1]))
    assert part.queries == ("q4", "q1")
    assert part.values.tolist() == [4.0, 1.0]


def test_every_branch_is_searched_once_at_the_trials_depth(plain_settings: Settings) -> None:
    asked: list[dict[str, Any]] = []

    class Counting:
        def node(self, node: dict[str, Any]) -> Counting:
            asked.append(node)
            return self

        def search(self, queries: Sequence[Query]) -> Run:
            found = Ranking([f"d{place}" for place in range(20)], np.arange(20, 0, -1, dtype=np.float32))
            return Run(str(asked[-1]["stage"]), {query.id: found for query in queries})

    trial = replace(made(6, 0, plain_settings), builder=cast(Builder, Counting()))
    lexical, dense = recipe.lexical(20), recipe.dense(20)
    first = trial.run(lexical)
    assert trial.run(dict(reversed(lexical.items()))) is first
    assert {len(ranking) for ranking in trial.run(recipe.lexical(5)).rankings.values()} == {5}
    assert trial.run(recipe.fused([lexical, dense], 20)).name == "fused"
    assert asked == [lexical, dense]
