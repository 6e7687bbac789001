"""Fusion: several branches searched, their candidates united, scored by ranks or by scores.

Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009; ranks from 1) or a convex
combination of standardised scores (Bruch, Gai and Ingber, TOIS 2023). Knows nothing about
what the branches do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.protocols import Retriever
from resurvey.search.compose import Composable, best
from resurvey.search.trace import timed
from resurvey.types import Doubles, Floats, Ints, Query, Ranking, Run, Stage

NAME = "fused"
RRF_K = 60


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """Sum of 1 / (k + rank) over the branches that found a document."""

    k: int = RRF_K

    def score(self, stages: Mapping[str, Stage]) -> Doubles:
        """Fused score of every united document."""
        total = np.zeros(len(next(iter(stages.values())).ranks))
        for stage in stages.values():
            total += np.where(stage.ranks > 0, 1.0 / (self.k + np.maximum(stage.ranks, 1)), 0.0)
        return total


@dataclass(frozen=True, slots=True)
class Convex:
    """Weighted sum of every branch's standardised scores."""

    weights: Mapping[str, float]

    def score(self, stages: Mapping[str, Stage]) -> Doubles:
        """Fused score of every united document."""
        total = np.zeros(len(next(iter(stages.values())).ranks))
        for name, stage in stages.items():
            total += self.weights.get(name, 0.0) * normalised(stage)
        return total


Rule = ReciprocalRank | Convex


def normalised(stage: Stage) -> Doubles:
    """Standard scores over the united candidates; what a branch did not return takes its lowest score.

    Measured on five collections, this beats RRF and division by the maximum at every fixed weight
    (docs/decisions.md, fusion).
    """
    seen = stage.ranks > 0
    if not seen.any():
        return np.zeros(len(stage.ranks))
    scores = stage.scores.astype(np.float64)
    scores = np.where(seen, scores, scores[seen].min())
    spread = scores.std()
    return (scores - scores.mean()) / spread if spread > 0 else np.zeros(len(scores))


class Fuse(Composable):
    """Unites the candidates of several branches and orders them by a rule."""

    name = NAME

    def __init__(self, branches: Sequence[Retriever], rule: Rule, depth: int = 100) -> None:
        names = [branch.name for branch in branches]
        if len(set(names)) != len(names) or len(names) < 2:
            raise ValueError(f"fusion needs two or more branches of different names, got {names}")
        self.branches = tuple(branches)
        self.rule = rule
        self.depth = depth

    @timed
    def search(self, queries: Sequence[Query]) -> Run:
        """The `depth` best united documents for every query."""
        return fuse([branch.search(queries) for branch in self.branches], self.rule, self.depth)


def fuse(runs: Sequence[Run], rule: Rule, depth: int) -> Run:
    """Fuse finished runs over the same queries."""
    return Run(NAME, {q: _fuse_one([(run.name, run[q]) for run in runs], rule, depth) for q in runs[0].rankings})


def _fuse_one(rankings: Sequence[tuple[str, Ranking]], rule: Rule, depth: int) -> Ranking:
    documents, stages = united(rankings)
    order, scores = best(rule.score(stages).astype(np.float32), depth)
    kept = {name: Stage(stage.ranks[order], stage.scores[order]) for name, stage in stages.items()}
    ranks = np.arange(1, len(order) + 1, dtype=np.int64)
    return Ranking([documents[place] for place in order], scores, {**kept, NAME: Stage(ranks, scores)})


def united(rankings: Sequence[tuple[str, Ranking]]) -> tuple[list[str], dict[str, Stage]]:
    """All documents of several rankings, and what each ranking thought of every one of them."""
    documents = list(dict.fromkeys(document for _, ranking in rankings for document in ranking.documents))
    places = {document: place for place, document in enumerate(documents)}
    return documents, {name: _column(ranking, places) for name, ranking in rankings}


def _column(ranking: Ranking, places: Mapping[str, int]) -> Stage:
    ranks: Ints = np.zeros(len(places), dtype=np.int64)
    scores: Floats = np.full(len(places), np.nan, dtype=np.float32)
    rows = [places[document] for document in ranking.documents]
    ranks[rows] = np.arange(1, len(rows) + 1)
    scores[rows] = ranking.scores
    return Stage(ranks, scores)
