"""Boosts: a ranking moved by what its documents' fields say, a little, and always visible as a stage.

A document's standardised score gets the weight of its value, a share of a weight by how recent it is, or
a weight where it meets what the query asks for. Documents without the field get nothing. Knows fields and
constraints; knows nothing about how weights are chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from resurvey.search.compose import reordered
from resurvey.search.conditions import mask
from resurvey.search.constraints import constraints
from resurvey.search.fields import Field, Fields
from resurvey.search.index import Index
from resurvey.search.trace import timed
from resurvey.types import Doubles, Floats, Ints, Json, Query, Ranking, Run

NAME = "boosted"
DAY = np.timedelta64(1, "D")


def by_value(weights: Mapping[str, float]) -> Json:
    """A weight for every value named, by its text; other values get none."""
    return {"kind": "value", "weights": dict(weights)}


def by_recency(weight: float, half_life: float) -> Json:
    """`weight` for the newest documents, half of it after `half_life` days: age counts from the corpus's newest date."""
    return {"kind": "recency", "weight": weight, "half_life": half_life}


def by_asking(weight: float) -> Json:
    """`weight` where a document meets what the query says of this field, if it says anything."""
    return {"kind": "asked", "weight": weight}


class Boosts:
    """Adds to standardised scores what the fields ask for."""

    name = NAME

    def __init__(self, index: Index, fields: Fields, boosts: Mapping[str, Sequence[Json]]) -> None:
        self.index = index
        self.fields = fields
        self._asked = {name: float(b["weight"]) for name, all in boosts.items() for b in all if b["kind"] == "asked"}
        self._always = np.zeros(len(index.documents))
        for name, all in boosts.items():
            for boost in all:
                if name in fields and boost["kind"] != "asked":
                    self._always += standing(fields[name], boost)

    @timed
    def rerank(self, queries: Sequence[Query], run: Run) -> Run:
        """The same documents by standardised score plus boosts."""
        return Run(NAME, {query.id: self._one(query, run[query.id]) for query in queries})

    def _one(self, query: Query, ranking: Ranking) -> Ranking:
        rows = rows_of(self.index, ranking)
        added = self._always[rows]
        for name, met in asked_for(query.text, self.fields).items() if self._asked else ():
            added = added + self._asked.get(name, 0.0) * met[rows]
        return boosted(ranking, added)


def standing(field: Field, boost: Json) -> Doubles:
    """(documents,): what a boost that asks nothing of the query adds to every document."""
    if boost["kind"] == "value":
        named = [float(boost["weights"].get(field.shown(place), 0.0)) for place in range(len(field.levels))]
        return np.append(named, 0.0)[field.level]  # -1, no value, reads the last
    return float(boost["weight"]) * freshness(field, float(boost["half_life"]))


def freshness(field: Field, half_life: float) -> Doubles:
    """(documents,): 1 for the newest date, half of it every `half_life` days; 0 without a date."""
    found = np.zeros(len(field.values))
    if field.kind == "date" and field.present.any():
        dates = field.values[field.present]
        found[field.present] = 0.5 ** ((dates.max() - dates) / DAY / half_life)
    return found


def asked_for(query: str, fields: Fields) -> dict[str, Doubles]:
    """For every field the query says something of, (documents,): 1 where a document meets one of the things said."""
    found: dict[str, Doubles] = {}
    for constraint in constraints(query, fields):
        met = mask(constraint.where, fields).astype(np.float64)
        found[constraint.field] = np.maximum(found.get(constraint.field, 0.0), met)
    return found


def rows_of(index: Index, ranking: Ranking) -> Ints:
    """The index rows of a ranking's documents."""
    return np.array([index.rows[document] for document in ranking.documents], dtype=np.int64)


def standardised(scores: Floats) -> Doubles:
    """Scores with mean 0 and standard deviation 1; all 0 where they are all the same."""
    values = scores.astype(np.float64)
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def boosted(ranking: Ranking, added: Doubles) -> Ranking:
    """The ranking by its standardised scores plus what is added to each; equal ones keep their order."""
    return reordered(ranking, (standardised(ranking.scores) + added).astype(np.float32), NAME)
