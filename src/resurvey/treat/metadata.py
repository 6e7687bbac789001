"""Fields as evidence (R62): boosts for values that are relevant more often, for recent documents, for what a query asks.

For every field with few values, the log-odds that a retrieved document with a value is relevant, shrunk towards
none; for dates, how recent; for any field that queries name, whether the document meets them. A field stays
only where it tells relevant from other candidates of the same query (the interval of its AUC lies above one half), and
its strength is bagged and shrunk like every weight. All of it is fitted out of fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from resurvey.evaluate.measures import score
from resurvey.search import recipe
from resurvey.search.boost import (
    asked_for,
    boosted,
    by_asking,
    by_recency,
    by_value,
    freshness,
    rows_of,
    standardised,
    standing,
)
from resurvey.search.fields import Field, Fields
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.treat.weigh import WeightTable
from resurvey.types import Bools, Doubles, Ints, Json, Ranking, Run

LEAST = 40
"""Judged queries that a boost is fitted on."""
VALUES = (2, 50)
"""Fewest and most different values of a field whose values get weights."""
SHARED = 5
"""Documents a value on average: values of one document each would be a memory of judgments."""
LOOKED_AT = 50
"""Candidates of a query whose relevance counts."""
PRIOR = 10.0
"""Relevant documents that must speak for a value before half of what they say is believed."""
GRID = np.array([0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0])
"""Strengths of a boost."""
HALF_LIVES = (30.0, 180.0, 365.0, 1095.0)
"""Days after which a document counts half as recent."""
SURE = 1.96
"""Standard errors that the AUC must lie above one half."""
LEAST_TOLD = 20
"""Queries in which a boost must be able to tell candidates apart."""


@dataclass(frozen=True, slots=True)
class Boost:
    """One boost of one field before its strength is known: `value`, `asked`, or a half-life in days."""

    field: str
    kind: str
    half_life: float = 0.0

    @property
    def name(self) -> str:
        """For people: what is boosted, and how."""
        return f"{self.field} ({self.kind}{f', half after {self.half_life:g} days' if self.half_life else ''})"


Fit = Mapping[str, list[Json]]


def metadata(trial: Trial, state: State) -> Attempt | Nothing:
    """The accepted pipeline, its documents moved by what their fields say."""
    fields = Fields.of(trial.index.documents)
    if not fields:
        return Nothing("the documents carry no fields")
    if trial.standin:
        return Nothing("stand-in queries are drawn from all documents alike, so no value of a field is wanted more")
    if len(trial.training) < LEAST:
        return Nothing(f"{len(trial.training)} judged queries to learn boosts from, at least {LEAST} are needed")
    bench = Bench(trial, state.run, fields)
    if not bench.boosts:
        return Nothing(
            f"none of {len(fields)} fields has {VALUES[0]} to {VALUES[1]} values that documents share, or dates, or values that queries name"
        )
    run, fit = trial.cross_fit(bench.fit, bench.predict)
    if not fit:
        told = ", ".join(f"{name} {low:.2f} to {high:.2f}" for name, (low, high) in bench.separations().items())
        return Nothing(f"no field tells relevant documents from others, or none moves them up; AUC {told}")
    node = recipe.boosted(state.root, fit)
    detail: Json = {
        "boosts": {name: list(boosts) for name, boosts in fit.items()},
        "AUC": {name: [round(low, 3), round(high, 3)] for name, (low, high) in bench.separations().items()},
    }
    return Attempt(replace(state, root=node, run=run), detail)


class Bench:
    """Candidates of every query with their grades, and what each boost would say of them."""

    def __init__(self, trial: Trial, run: Run, fields: Fields) -> None:
        self.trial, self.run, self.fields = trial, run, fields
        self.rows = [rows_of(trial.index, run[query.id]) for query in trial.queries]
        self.grades = [
            np.array([trial.qrels[q.id].get(d, 0) > 0 for d in run[q.id].documents], dtype=np.bool_)
            for q in trial.queries
        ]
        self.met = [asked_for(query.text, fields) for query in trial.queries]
        self.boosts = tuple(self._boosts())

    def _boosts(self) -> list[Boost]:
        found = []
        for name, field in self.fields.items():
            count, there = len(field.levels), int(field.present.sum())
            if field.kind == "date" and count > 1:
                found += [Boost(name, "recency", days) for days in HALF_LIVES]
            elif VALUES[0] <= count <= VALUES[1] and SHARED * count <= there:
                found.append(Boost(name, "value"))
            if sum(name in met for met in self.met) >= LEAST_TOLD:
                found.append(Boost(name, "asked"))
        return found

    def fit(self, places: Ints) -> Fit:
        """The boosts that separate, the most telling first, each with the strength that adds to those before it."""
        seed = self.trial.settings.integer("seed")
        added = [np.zeros(len(rows)) for rows in self.rows]
        chosen: dict[str, list[Json]] = {}
        columns = {boost: self.columns(boost, places) for boost in self.boosts}
        ranges = {boost: self.separation(columns[boost], places) for boost in self.boosts}
        telling = sorted((b for b in self.boosts if ranges[b][0] > 0.5), key=lambda b: -ranges[b][0])
        for field, kind in dict.fromkeys((boost.field, boost.kind) for boost in telling):
            variants = [boost for boost in telling if (boost.field, boost.kind) == (field, kind)]
            tables = {b: WeightTable(self._values(columns[b], added, places), GRID) for b in variants}
            boost = max(variants, key=lambda b: float(tables[b].values.mean(axis=0).max()))
            strength = tables[boost].judged_weight(np.arange(len(places)), seed, 0.0)
            if strength > 0:
                chosen.setdefault(field, []).append(self._node(boost, strength, places))
                for place in places:
                    added[place] = added[place] + strength * columns[boost][place]
        return chosen

    def predict(self, fit: Fit, places: Ints) -> Run:
        """The run with its boosts, for queries they were not fitted on."""
        rankings = {}
        for place in places:
            query, rows = self.trial.queries[place], self.rows[place]
            added = np.zeros(len(rows))
            for name, boosts in fit.items():
                for boost in boosts:
                    if boost["kind"] == "asked":
                        added += boost["weight"] * self._asked(name, int(place))
                    else:
                        added += standing(self.fields[name], boost)[rows]
            rankings[query.id] = boosted(self.run[query.id], added) if fit else self.run[query.id]
        return Run("boosted", rankings)

    def separations(self) -> dict[str, tuple[float, float]]:
        """The AUC's interval of every boost over all queries, for people."""
        places = np.arange(len(self.rows))
        return {boost.name: self.separation(self.columns(boost, places), places) for boost in self.boosts}

    def columns(self, boost: Boost, places: Ints) -> dict[int, Doubles]:
        """What a boost of strength 1 says of the candidates of the queries at `places`.

        Weights of values come from the other folds among them, so that no query has a say in its own.
        """
        if boost.kind == "asked":
            return {int(p): self._asked(boost.field, int(p)) for p in places}
        field = self.fields[boost.field]
        if boost.kind == "recency":
            fresh = freshness(field, boost.half_life)
            return {int(p): fresh[self.rows[p]] for p in places}
        found: dict[int, Doubles] = {}
        for fold in sorted(set(self.trial.fold[places].tolist())):
            inside = places[self.trial.fold[places] == fold]
            others = places[self.trial.fold[places] != fold]
            weights = np.append(self.log_odds(field, others), 0.0)[field.level]
            found.update({int(p): weights[self.rows[p]] for p in inside})
        return found

    def log_odds(self, field: Field, places: Ints) -> Doubles:
        """(levels,): how much more often a candidate with a value is relevant than any, as shrunk log-odds.

        A value is held against what would be expected of it at the ranks where it was found.
        """
        relevant, expected = np.zeros(len(field.levels) + 1), np.zeros(len(field.levels) + 1)
        rates = self._rates(places)
        for place in places:
            levels = field.level[self.rows[place][:LOOKED_AT]]
            np.add.at(relevant, levels, self.grades[place][:LOOKED_AT])
            np.add.at(expected, levels, rates[: len(levels)])
        return np.asarray(np.log((relevant + PRIOR) / (expected + PRIOR))[:-1])

    def _rates(self, places: Ints) -> Doubles:
        """(LOOKED_AT,): share of the queries whose candidate at a rank is relevant."""
        total = np.zeros(LOOKED_AT)
        for place in places:
            grades = self.grades[place][:LOOKED_AT]
            total[: len(grades)] += grades
        return total / max(1, len(places))

    def separation(self, columns: Mapping[int, Doubles], places: Ints) -> tuple[float, float]:
        """The interval of the mean over queries of the chance that a relevant candidate says more than another."""
        areas = [area(columns[int(p)][:LOOKED_AT], self.grades[p][:LOOKED_AT]) for p in places]
        told = np.array([found for found in areas if found is not None])
        if len(told) < LEAST_TOLD:
            return 0.0, 1.0
        error = SURE * float(told.std(ddof=1)) / len(told) ** 0.5
        return float(told.mean()) - error, float(told.mean()) + error

    def _asked(self, name: str, place: int) -> Doubles:
        met = self.met[place].get(name)
        return np.zeros(len(self.rows[place])) if met is None else met[self.rows[place]]

    def _values(self, columns: Mapping[int, Doubles], added: list[Doubles], places: Ints) -> Doubles:
        """(places, strengths): the measure of every query at every strength."""
        measure = self.trial.settings.text("measure")
        asked = [self.trial.queries[place].id for place in places]
        qrels = {query: self.trial.qrels[query] for query in asked}
        base = [standardised(self.run[query].scores) + added[p] for query, p in zip(asked, places, strict=True)]
        found = []
        for strength in GRID.tolist():
            moved = {
                query: _ordered(self.run[query], scores + strength * columns[int(p)])
                for query, scores, p in zip(asked, base, places, strict=True)
            }
            found.append(score(Run("boosted", moved), qrels, [measure])[measure].values)
        return np.column_stack(found)

    def _node(self, boost: Boost, strength: float, places: Ints) -> Json:
        if boost.kind == "asked":
            return by_asking(strength)
        if boost.kind == "recency":
            return by_recency(strength, boost.half_life)
        field = self.fields[boost.field]
        weights = strength * self.log_odds(field, places)
        return by_value({field.shown(place): round(float(weight), 4) for place, weight in enumerate(weights)})


def area(said: Doubles, relevant: Bools) -> float | None:
    """Chance that a relevant candidate says more than another, ties half; None where nothing can be told apart."""
    if relevant.all() or not relevant.any() or np.ptp(said) == 0:
        return None
    differences = said[relevant][:, None] - said[~relevant][None, :]
    return float((np.sign(differences).mean() + 1) / 2)


def _ordered(ranking: Ranking, scores: Doubles) -> Ranking:
    order = np.argsort(-scores, kind="stable")
    return Ranking([ranking.documents[place] for place in order], scores[order].astype(np.float32))
