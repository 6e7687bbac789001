"""Mining: hard negatives for judged queries, chosen from united candidates by rules, every removal counted.

What a rule removes is counted under the first rule that removes it, and a query that gets fewer negatives than
asked is reported, not dropped. The same candidates and rules give the same negatives, whatever the blocks.
Knows nothing about files, or about how candidates were found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from resurvey.search.candidates import Candidates, best_passages
from resurvey.search.coarse import paired
from resurvey.search.compose import ranges
from resurvey.treat.negatives import REASONS, Known, Mined, Positives, Rules
from resurvey.types import Bools, Floats, Ints

Similar: TypeAlias = Callable[[Ints, Ints], Floats]
"""Similarities of pairs given as (queries, rows)."""


def cosines(queries: Floats, passages: Floats) -> Similar:
    """Inner products of unit vectors (queries, d) and (rows, d); nothing is gathered, blocks change no bit."""
    return lambda asked, rows: paired(queries, passages, asked, rows)


def in_passages(positives: Positives, queries: Floats, passages: Floats, starts: Ints) -> Positives:
    """Positives given as documents, each as that passage of it which is most similar to the query."""
    found = [
        best_passages(queries[query], positives.rows[low:high], passages, starts)
        for query, (low, high) in enumerate(zip(positives.offsets[:-1], positives.offsets[1:], strict=True))
        if low < high
    ]
    return Positives(positives.offsets, np.concatenate([*found, np.zeros(0, dtype=np.int64)]))


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
    found = Mined(positives, *_nothing(len(positives), rules.number), hardest, (), log)
    seen = 0
    for block in blocks:
        assert block.start == seen, "blocks come in order"
        if not seen:
            ranks = np.zeros((*found.negatives.shape, len(block.sources)), dtype=np.int64)
            found = replace(found, sources=block.sources, ranks=ranks)
        seen += len(block)
        part = slice(block.start, seen)
        taken = _block(block, positives, hardest, _scores(block, similar, scored_by), rules, known, log)
        found.negatives[part], found.scores[part], found.ranks[part] = taken
    assert seen == len(positives), "every query has its block"
    return found


def _nothing(queries: int, number: int) -> tuple[Ints, Floats, Ints]:
    return (
        np.full((queries, number), -1, dtype=np.int64),
        np.full((queries, number), np.nan, dtype=np.float32),
        np.zeros((queries, number, 0), dtype=np.int64),
    )


def _hardest(positives: Positives, similar: Similar) -> Floats:
    found = np.full(len(positives), np.nan, dtype=np.float32)
    some = np.flatnonzero(np.diff(positives.offsets))
    if len(some):
        scores = similar(positives.queries, positives.rows)
        found[some] = np.minimum.reduceat(scores, positives.offsets[some])  # those of queries without any stay NaN
    return found


def _scores(block: Candidates, similar: Similar, scored_by: str) -> Floats:
    if not scored_by:
        return similar(block.queries, block.rows)
    found = block.scores[block.sources.index(scored_by)].copy()
    missing = np.flatnonzero(np.isnan(found))
    if len(missing):
        found[missing] = similar(block.queries[missing], block.rows[missing])
    return np.asarray(found, dtype=np.float32)


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
    """Whether a pair's row is within `near` of any of its query's positives."""
    counts = np.diff(positives.offsets)[pairs.queries]
    places = np.repeat(np.arange(len(pairs.rows)), counts)
    answers = positives.rows[ranges(positives.offsets[pairs.queries], counts)[0]]
    close = paired(passages, passages, pairs.rows[places], answers) >= near
    return np.bincount(places[close], minlength=len(pairs.rows)) > 0


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
    rows, scores, _ = _nothing(count, rules.number)
    ranks = np.zeros((count, rules.number, len(block.sources)), dtype=np.int64)
    rows[query, place], scores[query, place] = pairs.rows[take], pairs.scores[take]
    ranks[query, place] = block.ranks[:, pairs.places[take]].T
    return rows, scores, ranks


def _order(pairs: _Pairs, rules: Rules) -> Ints:
    """Places of pairs, query by query, what is to be taken first before the rest."""
    if rules.sampling == "random":
        return np.asarray(np.lexsort((_shuffled(pairs, rules.seed), pairs.queries)), dtype=np.int64)
    rank = pairs.rank if rules.sampling == "turns" else np.zeros(len(pairs.rows), dtype=np.int64)
    local = pairs.queries - pairs.block.start
    if rank.max(initial=0) < 1 << 12 and len(pairs.block) < 1 << 19:
        keys = (local << 44) | (rank << 32) | _descending(pairs.scores)
        order = np.argsort(keys)  # one number a pair sorts several times faster than four columns
        if (np.diff(keys[order]) > 0).all():
            return order
    return np.asarray(np.lexsort((pairs.rows, -pairs.scores, rank, local)), dtype=np.int64)


def _descending(scores: Floats) -> Ints:
    """Numbers of 32 bits that are the smaller, the larger a score is; by the order of a float's bits."""
    bits = (np.float32(0) - scores).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.int64)


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
