"""Where a run ranks the documents that somebody judged, as flat arrays: all that measures need to know.

One entry a judged document, not one a returned document: memory grows with the judgments alone, and the
documents returned are walked once, in blocks. Documents of equal score are ordered as trec_eval orders them
(trec_eval 9, form_res_rels.c): by score as a 32-bit float, then by id, the larger first. Knows nothing about measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TypeAlias

import numpy as np

from resurvey.types import Bools, Doubles, Floats, Ints, Qrels

BLOCK = 1 << 19
"""Returned documents that are looked at together."""
FEW = 20
"""Up to so many judged documents are looked for one by one, more by a dictionary of the query's documents."""
ABSENT = int(np.iinfo(np.int64).max)
"""The rank of a judged document that was not returned: deeper than any cut-off."""

Returned: TypeAlias = tuple[Sequence[str], Floats | Doubles]
"""One query's documents and their scores, parallel, in any order."""
NOTHING: Returned = ((), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Grades:
    """Judgments, flat: entry i is a grade of the query at place `rows[i]`, queries one after another."""

    queries: tuple[str, ...]
    documents: tuple[tuple[str, ...], ...]
    """A query's judged documents, in the order of its entries."""
    rows: Ints
    grades: Ints
    ideal: Ints
    """Rank of the entry when the query's judged documents are ordered by grade, best first; from 1."""

    @staticmethod
    def of(qrels: Qrels) -> Grades:
        """The judgments of `qrels`, in its order."""
        sizes = np.fromiter(map(len, qrels.values()), dtype=np.int64, count=len(qrels))
        rows = np.repeat(np.arange(len(qrels)), sizes)
        values = chain.from_iterable(grades.values() for grades in qrels.values())
        grades = np.fromiter(values, dtype=np.int64, count=len(rows))
        order = np.lexsort((-grades, rows))
        ideal = np.empty(len(rows), dtype=np.int64)
        ideal[order] = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
        return Grades(tuple(qrels), tuple(map(tuple, qrels.values())), rows, grades, ideal)

    def relevant(self, level: int) -> Ints:
        """How many documents of each query have at least the grade `level`; (queries,)."""
        return np.bincount(self.rows[self.grades >= level], minlength=len(self.queries))


@dataclass(frozen=True, slots=True)
class Placed:
    """One run over `grades`: the rank of every judged document, from 1, or ABSENT."""

    grades: Grades
    ranks: Ints
    """(judgments,); equal scores by id, the larger first, as trec_eval has it."""
    alphabetical: Ints
    """(judgments,); equal scores by id, the smaller first, as ir-measures' Judged has it."""
    lengths: Ints
    """Documents returned, (queries,)."""


@dataclass(slots=True)
class _Block:
    """Queries that are placed together."""

    first: int
    """Place of the first query."""
    documents: list[Sequence[str]] = field(default_factory=list)
    scores: list[Floats | Doubles] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    """For every judgment the place among the query's returned documents, -1 where it is not there."""
    size: int = 0


def place(grades: Grades, returned: Iterable[Returned]) -> Placed:
    """Where the judged documents stand among the documents returned for each query, in the order of `grades`.

    A document that is returned twice counts once, with its last score.
    """
    ranks, alphabetical, lengths = [], [], []
    for block in _blocks(grades, returned):
        sizes = np.array([len(documents) for documents in block.documents], dtype=np.int64)
        at = np.array(block.at, dtype=np.int64)
        judged = [len(d) for d in grades.documents[block.first : block.first + len(sizes)]]
        rows = np.repeat(np.arange(len(sizes)), judged)
        scores: Doubles = np.concatenate(block.scores).astype(np.float64)
        with np.errstate(over="ignore"):
            single = scores.astype(np.float32)
        if _falls(single, sizes).all():
            larger = smaller = np.where(at < 0, ABSENT, at + 1)
        else:
            larger, smaller = _ranks(single, sizes, at, rows, block.documents)
            if (single != scores).any():  # ir-measures' Judged compares scores as they come
                smaller = _ranks(scores, sizes, at, rows, block.documents)[1]
        ranks.append(larger)
        alphabetical.append(smaller)
        lengths.append(sizes)
    none = np.zeros(0, dtype=np.int64)
    return Placed(grades, *(np.concatenate([none, *parts]) for parts in (ranks, alphabetical, lengths)))


def _blocks(grades: Grades, returned: Iterable[Returned]) -> Iterator[_Block]:
    block = _Block(0)
    for query, (judged, (documents, scores)) in enumerate(zip(grades.documents, returned, strict=True)):
        if block.size >= BLOCK:
            yield block
            block = _Block(query)
        there = set(documents)
        if len(there) == len(documents) == len(scores):
            block.documents.append(documents)
            block.scores.append(scores)
        else:
            kept = dict(zip(documents, map(float, scores), strict=True))
            block.documents.append(tuple(kept))
            block.scores.append(np.array(list(kept.values())))
        block.at.extend(_places(block.documents[-1], there, judged))
        block.size += len(documents)
    if block.documents:
        yield block


def _places(documents: Sequence[str], there: Set[str], judged: Sequence[str]) -> Iterable[int]:
    """Where the judged documents stand, -1 for those not there."""
    if len(judged) <= FEW:
        return [documents.index(document) if document in there else -1 for document in judged]
    return map(dict(zip(documents, range(len(documents)), strict=True)).get, judged, repeat(-1))


def _falls(scores: Floats | Doubles, sizes: Ints, *, or_equal: bool = False) -> Bools:
    """Whether each score is below the one before it; the first of a query always is."""
    falls = np.ones(len(scores), dtype=bool)
    falls[1:] = scores[1:] <= scores[:-1] if or_equal else scores[1:] < scores[:-1]
    starts = np.cumsum(sizes) - sizes
    falls[starts[sizes > 0]] = True
    return falls


def _ranks(
    scores: Floats | Doubles, sizes: Ints, at: Ints, rows: Ints, documents: Sequence[Sequence[str]]
) -> tuple[Ints, Ints]:
    """Ranks of the entries at places `at` of their rows: equal scores by id, larger first and smaller first."""
    starts = np.cumsum(sizes) - sizes
    order = np.arange(len(scores))
    if not _falls(scores, sizes, or_equal=True).all():
        order = np.lexsort((-scores, np.repeat(np.arange(len(sizes)), sizes)))
    stands = np.empty_like(order)
    stands[order] = np.arange(len(order))
    head = _falls(scores[order], sizes)
    begins = np.flatnonzero(head)
    members = np.diff(np.append(begins, len(order)))
    found = np.flatnonzero(at >= 0)
    origin = starts[rows[found]]
    mine = (np.cumsum(head) - 1)[stands[origin + at[found]]]
    before, equal = begins[mine] - origin, members[mine]
    ahead = np.zeros(len(found), dtype=np.int64)
    tied = np.flatnonzero(equal > 1)
    ahead[tied] = [
        _ahead(documents[row], place, order[begin : begin + many] - first)
        for row, place, begin, many, first in zip(
            rows[found[tied]].tolist(), at[found[tied]].tolist(), begins[mine[tied]].tolist(), equal[tied].tolist(),
            origin[tied].tolist(), strict=True,
        )
    ]  # fmt: skip
    larger, smaller = np.full(len(at), ABSENT), np.full(len(at), ABSENT)
    larger[found] = before + ahead + 1
    smaller[found] = before + equal - ahead
    return larger, smaller


def _ahead(documents: Sequence[str], place: int, equal: Ints) -> int:
    """How many documents of equal score have a larger id than the one at `place`."""
    own = documents[place]
    return sum(documents[other] > own for other in equal.tolist())
