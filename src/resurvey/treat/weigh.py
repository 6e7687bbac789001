"""Choosing a fusion weight: bagged over the queries, shrunk towards what is right when nothing is known.

Picking the weight with the best mean overfits small samples; the mean of the best weights of many
bootstrap resamples does so less. Knows two runs and their judgments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from resurvey.evaluate.measures import score_mapping
from resurvey.search.fuse import normalised, united
from resurvey.types import Doubles, Ints, Qrels, Run

GRID = np.round(np.linspace(0, 1, 21), 2)
RESAMPLES = 100
BLIND = 0.55
"""Weight of the dense branch when nothing is known: flat optimum over five collections."""
TRUST = 0.8
"""How far stand-in queries may move the weight from BLIND."""
DEEPEST = 100
"""Documents that are scored at every weight."""
HALFWAY = 25
"""Judged queries that move the weight half of the way."""


@dataclass(frozen=True, slots=True)
class WeightTable:
    """A measure's value for every query (rows) at every weight of `grid` (columns)."""

    values: Doubles
    grid: Doubles = field(default_factory=lambda: GRID)

    def mean_best(self, places: Ints, seed: int) -> float:
        """Mean over bootstrap resamples of the weight with the best mean."""
        rng = np.random.default_rng(seed)
        drawn = rng.choice(places, (RESAMPLES, len(places)))
        means = np.stack([self.values[rows].mean(axis=0) for rows in drawn])
        return float(np.mean([self.grid[row == row.max()].mean() for row in means]))

    def judged_weight(self, places: Ints, seed: int, blind: float) -> float:
        """The weight that judged queries at `places` ask for, shrunk by how few they are."""
        if not len(places):
            return blind
        trust = len(places) / (len(places) + HALFWAY)
        return nearest(blind + trust * (self.mean_best(places, seed) - blind), self.grid)

    def standin_weight(self, places: Ints, groups: Sequence[str], seed: int, blind: float) -> float:
        """The weight that stand-in queries ask for: every generator has one vote, all are shrunk."""
        names = sorted({groups[place] for place in places})
        asked = [self.mean_best(np.array([p for p in places if groups[p] == name]), seed) for name in names]
        return nearest(blind + TRUST * (float(np.mean(asked)) - blind), self.grid) if asked else blind


def nearest(weight: float, grid: Doubles = GRID) -> float:
    """The weight of `grid` next to `weight`."""
    return float(grid[int(np.abs(grid - weight).argmin())])


def weight_table(first: Run, second: Run, qrels: Qrels, measure: str) -> WeightTable:
    """Fuse two runs at every weight of GRID and score each."""
    found: list[dict[str, dict[str, float]]] = [{} for _ in GRID]
    for query in first.rankings:
        documents, stages = united([(first.name, first[query]), (second.name, second[query])])
        if not documents:
            continue
        one, other = (normalised(stage) for stage in stages.values())
        scores = np.outer(1 - GRID, one) + np.outer(GRID, other)
        top = np.argpartition(-scores, min(DEEPEST, len(documents)) - 1, axis=1)[:, :DEEPEST]
        for column, places in enumerate(top):
            found[column][query] = {documents[place]: float(scores[column, place]) for place in places}
    asked = {query: qrels[query] for query in first.rankings}
    return WeightTable(np.column_stack([score_mapping("", run, asked, [measure])[measure].values for run in found]))
