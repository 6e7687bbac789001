"""Mining: hard negatives for judged queries, chosen from united candidates by rules, every removal counted.

What a rule removes is counted under the first rule that removes it, and a query that gets fewer negatives than
asked is reported, not dropped. The same candidates and rules give the same negatives, whatever the blocks.
Knows nothing about files, or about how candidates were found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from resurvey.search.candidates import Candidates
from resurvey.types import Bools, Floats, Ints, Qrels, Query

Similar: TypeAlias = Callable[[Ints, Ints], Floats]
"""Similarities of pairs given as (queries, rows); pairs of one query come together."""
Sampling: TypeAlias = Literal["turns", "top", "random"]
"""The best ranked in any source, so that sources take turns; the most similar; any that the rules leave."""
REASONS = (
    "too deep", "no positive known", "positive", "same document", "same cluster", "margin", "score", "near-duplicate", "skipped",
)  # fmt: skip
"""Why a candidate is out, in the order in which rules are asked."""
PAIRS = 1 << 14
"""Pairs whose vectors are gathered at a time."""


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
        taken = self.ranks[self.negatives >= 0]
        return {name: float((taken[:, place] > 0).mean()) if len(taken) else 0.0 for place, name in self._named()}

    def _named(self) -> Iterable[tuple[int, str]]:
        return enumerate(self.sources)

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


def cosines(queries: Floats, passages: Floats) -> Similar:
    """Inner products of unit vectors, a few thousand pairs gathered at a time; no rounding by place or block."""

    def similar(asked: Ints, rows: Ints) -> Floats:
        found = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), PAIRS):
            part = slice(start, start + PAIRS)
            found[part] = np.einsum("ij,ij->i", queries[asked[part]], passages[rows[part]])
        return found

    return similar


def mine(
    blocks: Iterable[Candidates],
    positives: Positives,
    similar: Similar,
    rules: Rules | None = None,
    *,
    known: Known | None = None,
    scored_by: str = "",
) -> Mined:
    """Choose negatives for every query.

    Args:
        blocks: the candidates of all queries, in order.
        similar: what margins and hardness are measured by: `cosines`, or a cross-encoder.
        scored_by: a source whose scores are those similarities already; the others' rows are computed.
    """
    rules, known = rules or Rules(), known or Known()
    hardest = _hardest(positives, similar)
    log = dict.fromkeys(("candidates", *REASONS, "left", "taken"), 0)
    chosen, sources = [], ()
    for block in blocks:
        assert block.start == sum(len(rows) for rows, _, _ in chosen), "blocks come in order"
        sources = block.sources
        chosen.append(_block(block, positives, hardest, _scores(block, similar, scored_by), rules, known, log))
    assert sum(len(rows) for rows, _, _ in chosen) == len(positives), "every query has its block"
    rows, scores, ranks = (
        (np.concatenate(part) for part in zip(*chosen, strict=True))
        if chosen
        else (np.zeros((0, rules.number)), np.zeros((0, rules.number)), np.zeros((0, rules.number, 0)))
    )
    return Mined(positives, rows.astype(np.int64), scores.astype(np.float32), ranks, hardest, sources, log)


def _hardest(positives: Positives, similar: Similar) -> Floats:
    found = np.full(len(positives), np.nan, dtype=np.float32)
    some = np.flatnonzero(np.diff(positives.offsets))
    if len(some):
        scores = similar(positives.queries, positives.rows)
        found[some] = np.minimum.reduceat(scores, positives.offsets[some])
    return found


def _scores(block: Candidates, similar: Similar, scored_by: str) -> Floats:
    if not scored_by:
        return similar(block.queries, block.rows)
    found = block.scores[block.sources.index(scored_by)].copy()
    missing = np.flatnonzero(np.isnan(found))
    if len(missing):
        found[missing] = similar(block.queries[missing], block.rows[missing])
    return found


@dataclass(slots=True)
class _Pairs:
    """The pairs of one block that the rules have left so far: parallel arrays, queries counted from 0 in all."""

    block: Candidates
    places: Ints
    """Among the block's pairs."""
    queries: Ints
    rows: Ints
    scores: Floats
    log: dict[str, int]

    def drop(self, reason: str, out: Bools) -> None:
        """Take pairs out and count them."""
        self.log[reason] += int(out.sum())
        if out.any():
            stay = ~out
            self.places, self.queries = self.places[stay], self.queries[stay]
            self.rows, self.scores = self.rows[stay], self.scores[stay]

    @property
    def rank(self) -> Ints:
        """The best rank in any source."""
        ranks = self.block.ranks[:, self.places]
        return np.asarray(np.where(ranks > 0, ranks, np.iinfo(np.int64).max).min(axis=0), dtype=np.int64)


def _block(
    block: Candidates,
    positives: Positives,
    hardest: Floats,
    scores: Floats,
    rules: Rules,
    known: Known,
    log: dict[str, int],
) -> tuple[Ints, Floats, Ints]:
    """Rows (queries, number), scores and ranks of one block's negatives."""
    log["candidates"] += len(block.rows)
    pairs = _Pairs(block, np.arange(len(block.rows)), block.queries, block.rows, scores, log)
    pairs.drop("too deep", pairs.rank > rules.depth)
    pairs.drop("no positive known", np.isnan(hardest[pairs.queries]))
    near = slice(positives.offsets[block.start], positives.offsets[block.start + len(block)])
    answers = positives.queries[near], positives.rows[near]
    pairs.drop("positive", _shared(pairs, answers, None))
    for reason, label in (("same document", known.documents), ("same cluster", known.clusters)):
        if label is not None:
            pairs.drop(reason, _shared(pairs, answers, label))
    pairs.drop("margin", _too_close(pairs.scores, hardest[pairs.queries], rules))
    low, high = (-np.inf if rules.min_score is None else rules.min_score), rules.max_score
    pairs.drop("score", (pairs.scores < low) | (pairs.scores > (np.inf if high is None else high)))
    if rules.near is not None and known.passages is not None:
        pairs.drop("near-duplicate", _near(pairs, positives, known.passages, rules.near))
    return _taken(pairs, rules)


def _shared(pairs: _Pairs, answers: tuple[Ints, Ints], label: Ints | None) -> Bools:
    """Whether a pair's row has the label of one of its query's positives; without labels, is one of them."""
    queries, rows = answers
    mine, theirs = (pairs.rows, rows) if label is None else (label[pairs.rows], label[rows])
    span = 1 + max(int(mine.max(initial=0)), int(theirs.max(initial=0)))
    wanted = np.unique(queries * span + theirs)
    if not len(wanted):
        return np.zeros(len(mine), dtype=np.bool_)
    keys = pairs.queries * span + mine
    return np.asarray(wanted[np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)] == keys, dtype=np.bool_)


def _too_close(scores: Floats, hardest: Floats, rules: Rules) -> Bools:
    """A share of a negative similarity would be above it, so the margin is taken off its size."""
    out = np.zeros(len(scores), dtype=np.bool_)
    if rules.relative_margin is not None:
        out |= scores > hardest - np.abs(hardest) * np.float32(1 - rules.relative_margin)
    if rules.absolute_margin is not None:
        out |= scores + np.float32(rules.absolute_margin) > hardest
    return out


def _near(pairs: _Pairs, positives: Positives, passages: Floats, near: float) -> Bools:
    out = np.zeros(len(pairs.rows), dtype=np.bool_)
    queries, starts = np.unique(pairs.queries, return_index=True)
    for query, low, high in zip(queries, starts, [*starts[1:], len(out)], strict=True):
        answers = positives.rows[positives.offsets[query] : positives.offsets[query + 1]]
        out[low:high] = (passages[pairs.rows[low:high]] @ passages[answers].T).max(axis=1) >= near
    return out


def _taken(pairs: _Pairs, rules: Rules) -> tuple[Ints, Floats, Ints]:
    """The negatives out of what is left, in the order of `Rules.sampling`, then hardest first."""
    block, count = pairs.block, len(pairs.block)
    order = _order(pairs, rules)
    place = _places(pairs.queries[order])
    skipped = np.zeros(len(order), dtype=np.bool_)
    skipped[order[place < rules.skip_top]] = True
    take = order[(place >= rules.skip_top) & (place < rules.skip_top + rules.number)]
    pairs.log["skipped"] += int(skipped.sum())
    pairs.log["left"] += len(order) - int(skipped.sum())
    pairs.log["taken"] += len(take)
    take = take[np.lexsort((pairs.rows[take], -pairs.scores[take], pairs.queries[take]))]
    query, place = pairs.queries[take] - block.start, _places(pairs.queries[take])
    rows = np.full((count, rules.number), -1, dtype=np.int64)
    scores = np.full((count, rules.number), np.nan, dtype=np.float32)
    ranks = np.zeros((count, rules.number, len(block.sources)), dtype=np.int64)
    rows[query, place], scores[query, place] = pairs.rows[take], pairs.scores[take]
    ranks[query, place] = block.ranks[:, pairs.places[take]].T
    return rows, scores, ranks


def _order(pairs: _Pairs, rules: Rules) -> Ints:
    """Places of pairs, query by query, what is to be taken first before the rest."""
    if rules.sampling == "random":
        keys: tuple[Ints | Floats, ...] = (_shuffled(pairs, rules.seed), pairs.queries)
    elif rules.sampling == "top":
        keys = (pairs.rows, -pairs.scores, pairs.queries)
    else:
        keys = (pairs.rows, -pairs.scores, pairs.rank, pairs.queries)
    return np.asarray(np.lexsort(keys), dtype=np.int64)


def _places(queries: Ints) -> Ints:
    """For queries that stand together, 0, 1, 2 … within each."""
    first = np.flatnonzero(np.diff(queries, prepend=-1))
    return np.arange(len(queries)) - np.repeat(first, np.diff(np.append(first, len(queries))))


def _shuffled(pairs: _Pairs, seed: int) -> Ints:
    """A number for every pair that depends on query, row and seed alone (splitmix64's mixing), so blocks do not matter."""
    mixed = np.full(len(pairs.rows), seed, dtype=np.uint64)
    for part in (pairs.queries, pairs.rows):
        mixed = (mixed ^ part.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return mixed.view(np.int64)
