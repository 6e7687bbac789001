"""Fitting a query-side adapter: a short path of linear maps that starts at the identity.

Every step is a softmax lesson: queries move towards what answers them and away from what is mistaken for it, the
other queries' answers and the nearest other passages (van den Oord et al. 2018, with hard negatives). The gradient
is whitened on both sides by ridge inverses of the queries' and the passages' covariances, a fixed curvature for the
softmax (Böhning 1992), so that a handful of steps over all queries do what hundreds of plain ones would, without a
learning rate to tune. How far to go along the path is for held-out queries to say. Knows nothing about trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from resurvey.search.adapter import Adapter
from resurvey.search.mapped import slices
from resurvey.types import Floats, Ints

TEMPERATURE = 0.05
QUERY_RIDGE = 0.01
"""Added to the queries' covariance, whose trace is at most 1: directions in which they hardly differ stay as they are."""
PASSAGE_RIDGE = 0.01
STEP = 0.02
SAMPLE = 4096
"""Most passages that the covariance, and most answers that a query's softmax, look at."""
BLOCK = 256
"""Queries whose hard negatives are gathered at a time."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is to be learned from; rows are those of `passages` (rows, dimensions), which may be mapped.

    `queries` (n, dimensions), unit rows; `answers` (pairs) are rows, those of query i being
    `answers[offsets[i] : offsets[i + 1]]`; `hard` (n, k) rows that look like answers, -1 where there are fewer;
    `owners` (rows) the document of every row; `relevant` (n, documents), not 0 where a document answers a query.
    """

    queries: Floats
    passages: Floats
    answers: Ints
    offsets: Ints
    hard: Ints
    owners: Ints
    relevant: csr_array

    def teaching(self, places: Ints) -> Ints:
        """Those of the queries at `places` that have an answer."""
        return np.asarray(places[np.diff(self.offsets)[places] > 0], dtype=np.int64)


def path(lesson: Lesson, places: Ints, steps: int) -> list[Floats]:
    """What is added to a query vector after each of so many steps: (dimensions, dimensions), from the left."""
    chosen = lesson.teaching(places)
    asked = lesson.queries[chosen]
    rows = [lesson.answers[lesson.offsets[place] : lesson.offsets[place + 1]] for place in chosen]
    wanted = np.stack([lesson.passages[row].mean(axis=0) for row in rows])
    others = _spread(np.unique(np.concatenate(rows)))
    left, right = _inverse(asked, QUERY_RIDGE), _inverse(_sample(lesson.passages), PASSAGE_RIDGE)
    moved: Floats = np.zeros((asked.shape[1], asked.shape[1]), dtype=np.float32)
    found: list[Floats] = []
    for _ in range(steps):
        pulled = np.zeros_like(moved)
        for part in slices(len(chosen), BLOCK):
            vectors = asked[part] + asked[part] @ moved
            pulled += asked[part].T @ _pull(lesson, chosen[part], vectors, wanted[part], others)
        moved = np.asarray(moved + np.float32(STEP / len(chosen)) * (left @ pulled @ right), dtype=np.float32)
        found.append(moved)
    return found


def _pull(lesson: Lesson, chosen: Ints, vectors: Floats, wanted: Floats, others: Ints) -> Floats:
    """(queries, dimensions): the answer's mean passage less what the softmax expects in its place."""
    hard, answers = lesson.hard[chosen], lesson.passages[others]
    near = lesson.passages[np.maximum(hard, 0)]
    own = lesson.relevant[chosen][:, lesson.owners[others]].toarray() > 0
    scores = np.hstack(
        [
            (vectors * wanted).sum(axis=1, keepdims=True),
            np.where(hard < 0, -np.inf, np.matmul(near, vectors[:, :, None])[:, :, 0]),
            np.where(own, -np.inf, vectors @ answers.T),
        ]
    )
    shares = np.exp((scores - scores.max(axis=1, keepdims=True)) / np.float32(TEMPERATURE)).astype(np.float32)
    shares /= shares.sum(axis=1, keepdims=True)
    first = 1 + hard.shape[1]
    expected = np.matmul(shares[:, None, 1:first], near)[:, 0] + shares[:, first:] @ answers
    return np.asarray(wanted * (1 - shares[:, :1]) - expected, dtype=np.float32)


def adapter_of(moved: Floats, rank: int) -> Adapter:
    """An adapter that moves queries in at most `rank` directions, those in which they move most; 0: in all."""
    if not rank or rank >= len(moved):
        return Adapter(moved, np.eye(len(moved), dtype=np.float32))
    left, sizes, right = np.linalg.svd(moved)
    return Adapter((left[:, :rank] * sizes[:rank]).astype(np.float32), right[:rank].astype(np.float32))


def confused(nearest: Ints | Sequence[Ints], owners: Ints, relevant: csr_array, most: int) -> Ints:
    """The first `most` of every query's nearest rows whose documents are no answers: (queries, most), -1 for none."""
    found = np.full((len(nearest), most), -1, dtype=np.int64)
    for query, rows in enumerate(nearest):
        answers = relevant.indices[relevant.indptr[query] : relevant.indptr[query + 1]]
        there = rows[rows >= 0]
        kept = there[~np.isin(owners[there], answers)][:most]
        found[query, : len(kept)] = kept
    return found


def _inverse(vectors: Floats, ridge: float) -> Floats:
    """Inverse of the second moments of rows, ridge added, in double precision."""
    moments = vectors.T.astype(np.float64) @ vectors.astype(np.float64) / max(1, len(vectors))
    return np.asarray(np.linalg.inv(moments + ridge * np.eye(len(moments))), dtype=np.float32)


def _sample(passages: Floats) -> Floats:
    """Rows spread evenly over the passages, their mean taken off."""
    rows = passages[_spread(np.arange(len(passages)))]
    return np.asarray(rows - rows.mean(axis=0), dtype=np.float32)


def _spread(rows: Ints) -> Ints:
    return rows if len(rows) <= SAMPLE else rows[np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64)]
