"""What mining is asked and what it answers: rules, known positives, negatives with an honest log.

Knows nothing about files, or about how candidates were found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from resurvey.types import Floats, Ints, Qrels, Query

Sampling: TypeAlias = Literal["turns", "top", "random"]
"""The best ranked in any source, so that sources take turns; the most similar; any that the rules leave."""
REASONS = (
    "too deep", "no positive known", "positive", "same document", "same cluster", "margin", "score", "near-duplicate", "skipped",
)  # fmt: skip
"""Why a candidate is out, in the order in which rules are asked."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes a candidate a negative. Known positives are kept out always."""

    number: int = 5
    """Negatives a query."""
    depth: int = 100
    """Candidates beyond this rank in every source are not looked at."""
    skip_top: int = 0
    """The first of what all other rules leave that are passed over."""
    relative_margin: float | None = 0.95
    """At most this share of the hardest positive's similarity (NV-Retriever); 1 allows as much as it has."""
    absolute_margin: float | None = None
    """At least this much below the hardest positive's similarity."""
    max_score: float | None = None
    min_score: float | None = None
    near: float | None = 0.97
    """From this cosine to a positive on, a candidate is its near-duplicate."""
    sampling: Sampling = "turns"
    seed: int = 13

    def __post_init__(self) -> None:
        """A rule nobody can keep is refused here.

        Raises:
            ValueError: for numbers out of range.
        """
        wrong = [
            f"{name} must be at least {least}, got {getattr(self, name)}"
            for name, least in (("number", 1), ("depth", 1), ("skip_top", 0))
            if getattr(self, name) < least
        ]
        if self.sampling not in get_args(Sampling):
            wrong.append(f"sampling must be one of {', '.join(get_args(Sampling))}, got {self.sampling}")
        if wrong:
            raise ValueError("; ".join(wrong))


@dataclass(frozen=True, slots=True)
class Positives:
    """The rows that answer each query: those of query q are rows[offsets[q] : offsets[q + 1]], without repeats."""

    offsets: Ints
    rows: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def queries(self) -> Ints:
        """The query of every row."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the rows beside their vectors; None where nothing is."""

    documents: Ints | None = None
    """The document of every row: passages of a positive's document are kept out."""
    clusters: Ints | None = None
    """The near-duplicate cluster of every row (`data.split.clusters`): a positive's cluster is kept out."""
    passages: Floats | None = None
    """Unit vectors of all rows, for `Rules.near`."""


@dataclass(frozen=True, slots=True)
class Mined:
    """Negatives of every query, hardest first: (queries, number), -1 and NaN where the rules left too few.

    `ranks` (queries, number, sources): the place each negative had in each source's list, 0 where it had none.
    `hardest` (queries): the lowest similarity of a positive, which margins are measured from; NaN without any.
    """

    positives: Positives
    negatives: Ints
    scores: Floats
    ranks: Ints
    hardest: Floats
    sources: tuple[str, ...]
    log: Mapping[str, int]
    """Candidates looked at (`candidates`), removed by each of REASONS, left (`left`) and taken (`taken`)."""

    @property
    def short(self) -> Ints:
        """The queries that got fewer negatives than asked."""
        return np.flatnonzero((self.negatives < 0).any(axis=1))

    @property
    def shares(self) -> dict[str, float]:
        """The share of negatives that each source returned; one that several returned counts for each."""
        found = self.ranks[self.negatives >= 0] > 0
        return {name: float(found[:, place].sum() / max(1, len(found))) for place, name in enumerate(self.sources)}

    def pairs(self) -> tuple[Ints, Ints, Ints]:
        """For training, one row a (query, positive): queries (n), positives (n), negatives (n, number)."""
        queries = self.positives.queries
        return queries, self.positives.rows, self.negatives[queries]

    def __str__(self) -> str:
        removed = ", ".join(f"{reason} {self.log[reason]:,}" for reason in REASONS if self.log[reason])
        return (
            f"{self.log['taken']:,} negatives for {len(self.negatives):,} queries out of "
            f"{self.log['candidates']:,} candidates (kept out: {removed or 'none'}); "
            f"{len(self.short):,} queries got fewer than {self.negatives.shape[1]}"
        )


def positives_of(queries: Sequence[Query], qrels: Qrels, rows: Mapping[str, int]) -> Positives:
    """Relevant documents (grade 1 or more) of every query as rows; those without a row are left out."""
    found = [
        sorted({rows[d] for d, grade in qrels.get(query.id, {}).items() if grade > 0 and d in rows})
        for query in queries
    ]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in found])]).astype(np.int64)
    return Positives(offsets, np.array([row for several in found for row in several], dtype=np.int64))
