"""Batches: which queries and passages meet. Queries that one passage answers come together and share its reading.

Half of a batch is drawn from the mined negatives of the other half, so that what a query must be told apart from is
there without being read for it alone. No two passages of a batch are kin. Follows from task, dials and epoch alone.
Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.train.task import Dials, Task
from resurvey.types import Bools, Floats, Ints

NEIGHBOURS = 0.5
"""Share of a batch's anchors that are mined negatives of the others, where there are so many."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Places of queries and passages; `answers` and `ignored` are (queries, passages)."""

    queries: Ints
    passages: Ints
    answers: Bools
    """Where a passage answers a query."""
    ignored: Bools
    """Where it is neither answer nor negative: kin of an answer."""
    taught: Floats | None = None
    """What a teacher scored, NaN where it was not asked; None without one."""


@dataclass(frozen=True, slots=True)
class Group:
    """Queries that one passage answers."""

    passage: int
    queries: tuple[int, ...]


def epoch(task: Task, dials: Dials, number: int) -> list[Batch]:
    """All queries once, in batches; of what one label is asked for more often than there are batches, a random part."""
    rng = np.random.default_rng([dials.seed, number])
    groups = _groups(task, dials, rng)
    return [_batch(task, chosen, dials, rng) for chosen in _composed(task, groups, dials, rng)]


def _groups(task: Task, dials: Dials, rng: np.random.Generator) -> list[Group]:
    """Every query with one of its answers, at most `shared` queries to a group.

    In random order, but groups of one label stand evenly apart: no two of it may meet in a batch, so that what is asked for
    often would otherwise be left over, and the last batches would hold little else. For the same reason no label has more
    groups than there are batches to fill.
    """
    held: dict[int, list[int]] = {}
    for query in rng.permutation(len(task.queries)).tolist():
        answers = task.positives[query]
        if answers:
            held.setdefault(answers[int(rng.integers(len(answers)))], []).append(query)
    groups = [
        Group(passage, tuple(queries[start : start + dials.shared]))
        for passage, queries in held.items()
        for start in range(0, len(queries), dials.shared)
    ]
    left: dict[int, list[int]] = {}
    for place in rng.permutation(len(groups)).tolist():
        left.setdefault(task.kin[groups[place].passage], []).append(place)
    most = _most([len(places) for places in left.values()], dials.anchors)
    due = {
        place: (turn + first) / min(most, len(places))
        for places, first in zip(left.values(), rng.random(len(left)).tolist(), strict=True)
        for turn, place in enumerate(places[:most])
    }
    return [groups[place] for place in sorted(due, key=due.__getitem__)]


def _most(counts: Sequence[int], anchors: int) -> int:
    """Batches that can be filled where no label has two groups in one."""
    most = -(-sum(counts) // anchors)
    while (fewer := -(-sum(min(count, most) for count in counts) // anchors)) < most:
        most = fewer
    return most


def _composed(task: Task, groups: Sequence[Group], dials: Dials, rng: np.random.Generator) -> Iterator[list[Group]]:
    """Groups in batches: some at random, then groups of their negatives, then others at random."""
    waiting = dict(enumerate(groups))
    of_passage: dict[int, list[int]] = {}
    for place, group in waiting.items():
        of_passage.setdefault(group.passage, []).append(place)
    while waiting:
        chosen: list[Group] = []
        kin: set[int] = set()

        def take(place: int, chosen: list[Group] = chosen, kin: set[int] = kin) -> None:
            label = task.kin[waiting[place].passage]
            if label not in kin:
                kin.add(label)
                chosen.append(waiting.pop(place))

        for place in list(waiting)[: dials.anchors * 4]:
            if len(chosen) >= dials.anchors * (1 - NEIGHBOURS):
                break
            take(place)
        wanted = [n for group in chosen for query in group.queries for n in task.negatives[query]]
        for passage in rng.permutation(wanted).tolist() if wanted else ():
            if len(chosen) >= dials.anchors:
                break
            there = [place for place in of_passage.get(passage, ()) if place in waiting]
            if there:
                take(there[0])
        for place in list(waiting)[: dials.anchors * 4]:
            if len(chosen) >= dials.anchors:
                break
            take(place)
        yield chosen


def _batch(task: Task, groups: Sequence[Group], dials: Dials, rng: np.random.Generator) -> Batch:
    queries = [query for group in groups for query in group.queries]
    passages = [group.passage for group in groups]
    kin = {task.kin[passage] for passage in passages}
    mined = [n for query in queries for n in task.negatives[query]]
    for passage in rng.permutation(mined).tolist() if mined else ():
        if len(passages) >= len(groups) + dials.extras:
            break
        if task.kin[passage] not in kin:
            kin.add(task.kin[passage])
            passages.append(passage)
    labels = np.array([task.kin[passage] for passage in passages])
    answers = np.zeros((len(queries), len(passages)), dtype=np.bool_)
    related = np.zeros_like(answers)
    for row, query in enumerate(queries):
        known = task.positives[query]
        answers[row] = np.isin(passages, known)
        related[row] = np.isin(labels, [task.kin[passage] for passage in known])
    return Batch(np.array(queries), np.array(passages), answers, related & ~answers, _taught(task, queries, passages))


def _taught(task: Task, queries: Sequence[int], passages: Sequence[int]) -> Floats | None:
    if not task.taught:
        return None
    found = np.full((len(queries), len(passages)), np.nan, dtype=np.float32)
    for row, query in enumerate(queries):
        known = dict(zip((*task.positives[query], *task.negatives[query]), task.taught[query], strict=True))
        found[row] = [known.get(passage, np.nan) for passage in passages]
    return found
