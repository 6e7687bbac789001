"""Identifiers beside words (R14): codes, numbers and dotted names searched as a stream of their own.

Its weight is learned on the word branch alone, bagged and shrunk as the fusion weight is, and the fusion weight
is then fitted anew. Zero is allowed and means that there is nothing to gain.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from resurvey.search import recipe
from resurvey.search.analyse import identifiers as identifiers_of
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.fusing import Fusing
from resurvey.treat.trial import Trial
from resurvey.treat.weigh import WeightTable
from resurvey.types import Ints, Json, Run

GRID = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0])
BLIND = 0.2
"""The weight when nothing is known: on five collections it costs at most 0.11 points and brings up to 1.4 (docs/decisions.md)."""
LEAST = 5
"""Queries that must hold an identifier."""


def identifiers(trial: Trial, state: State) -> Attempt | Nothing:
    """The accepted words, or words and vectors, with identifiers beside the words."""
    searched = [state.root, *state.root.get("inputs", ())]
    if state.lexical not in searched or "identifiers" in state.lexical:
        return Nothing("identifiers can only join words that are searched, before an order is learned on top")
    language = trial.index.language
    holding = [place for place, query in enumerate(trial.queries) if identifiers_of(query.text, language)]
    if len(holding) < LEAST:
        return Nothing(f"{len(holding)} of {len(trial.queries)} queries hold a code, a number or a dotted name")
    nodes = [recipe.lexical(trial.depth, weight) for weight in GRID.tolist()]
    runs = (trial.builder.node(node).search(trial.queries) for node in nodes)  # one at a time: they are large
    values = np.column_stack([trial.scores(run, "identifiers").values for run in runs])
    table, seed = WeightTable(values, GRID), trial.settings.integer("seed")

    @functools.cache
    def fusing(weight: float) -> Fusing:
        return Fusing(trial, recipe.lexical(trial.depth, weight), state.dense)

    def fit(places: Ints) -> tuple[float, float]:
        told = np.intersect1d(places, holding)
        weight = BLIND if trial.standin else table.judged_weight(told, seed, BLIND)
        return weight, fusing(weight).fit(places)

    def predict(weights: tuple[float, float], places: Ints) -> Run:
        run = trial.run(fusing(weights[0]).node(weights[1]))
        return Run("identifiers", {trial.queries[p].id: run[trial.queries[p].id] for p in places})

    run, (weight, dense) = trial.cross_fit(fit, predict)
    if weight == 0:
        return Nothing("the queries give identifiers no weight beside words")
    chosen = fusing(weight).node(dense)
    if chosen == state.dense:
        return Nothing("with identifiers, the queries give the words no weight beside the dense branch")
    detail: Json = {
        "identifier weight": weight,
        "dense weight": dense,
        "queries with identifiers": len(holding),
        "words alone": round(float(values[:, 0].mean()), 4),
        "words and identifiers": round(float(values[:, int(np.flatnonzero(weight == GRID)[0])].mean()), 4),
    }
    return Attempt(replace(state, root=chosen, run=run, lexical=fusing(weight).lexical), detail)
