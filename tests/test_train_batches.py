"""Batches: every query once, no kin together, answers where they are; the same seed gives the same ones."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from resurvey.train.batches import epoch
from resurvey.train.task import Dials, Task


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    passages = draw(st.integers(2, 30))
    place = st.integers(0, passages - 1)
    kin = tuple(draw(st.lists(st.integers(0, 12), min_size=passages, max_size=passages)))
    count = draw(st.integers(1, 40))
    positives = tuple(tuple(sorted(draw(st.sets(place, min_size=1, max_size=3)))) for _ in range(count))
    negatives = tuple(
        tuple(n for n in draw(st.lists(place, max_size=4)) if n not in known and kin[n] not in {kin[p] for p in known})
        for known in positives
    )
    texts = tuple(map(str, range(count))), tuple(map(str, range(passages)))
    return Task(*texts, positives, negatives, kin)


@given(tasks(), st.integers(2, 8), st.integers(1, 5), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_an_epoch_asks_no_query_twice_and_never_puts_kin_together(
    task: Task, anchors: int, shared: int, extras: int
) -> None:
    dials = Dials(anchors=anchors, shared=shared, extras=extras)
    batches = epoch(task, dials, 0)
    asked = [int(q) for batch in batches for q in batch.queries]
    assert len(set(asked)) == len(asked)
    answered = Counter(task.kin[p] for row in task.positives for p in row)
    if max(answered.values()) <= len(task.queries) / shared / anchors:  # so often in every batch, whoever answers what
        assert sorted(asked) == list(range(len(task.queries)))
    for batch in batches:
        assert len({task.kin[p] for p in batch.passages}) == len(batch.passages) <= anchors + extras
        for row, query in enumerate(batch.queries):
            known = task.positives[query]
            labels = {task.kin[p] for p in known}
            for column, passage in enumerate(batch.passages):
                assert batch.answers[row, column] == (passage in known)
                assert batch.ignored[row, column] == (passage not in known and task.kin[passage] in labels)
            assert batch.answers[row].any()


@given(tasks())
@settings(max_examples=30, deadline=None)
def test_batches_follow_from_the_seed_and_the_epoch(task: Task) -> None:
    def shown(seed: int, number: int) -> list[tuple[list[int], list[int]]]:
        return [(b.queries.tolist(), b.passages.tolist()) for b in epoch(task, Dials(seed=seed, anchors=4), number)]

    assert shown(1, 0) == shown(1, 0)
    if len(task.queries) > 12:
        assert shown(1, 0) != shown(1, 1)


def test_mined_negatives_come_into_the_batch_of_the_query_they_were_mined_for() -> None:
    """Twenty queries in pairs that are each other's negatives: half of every batch is drawn from the other half's."""
    count = 40
    negatives = tuple((place ^ 1,) for place in range(count))
    task = Task(("q",) * count, ("p",) * count, tuple((p,) for p in range(count)), negatives, tuple(range(count)))
    together = 0
    for batch in epoch(task, Dials(anchors=8, extras=0), 0):
        there = set(batch.passages.tolist())
        together += sum((p ^ 1) in there for p in there)
    assert together >= 0.6 * count
    bare = epoch(
        Task(task.queries, task.passages, task.positives, ((),) * count, task.kin), Dials(anchors=8, extras=0), 0
    )
    assert sum((p ^ 1) in set(b.passages.tolist()) for b in bare for p in b.passages.tolist()) < 0.5 * count


def test_extras_are_negatives_that_nobody_in_the_batch_asks_for() -> None:
    task = Task(("a", "b"), ("1", "2", "3", "4"), ((0,), (1,)), ((2, 3), (3,)), (0, 1, 2, 3))
    (batch,) = epoch(task, Dials(anchors=2, extras=1), 0)
    assert set(batch.passages[:2].tolist()) == {0, 1}
    assert len(batch.passages) == 3
    assert batch.passages[2] in (2, 3)
    assert not batch.answers[:, 2].any()


def test_all_queries_are_asked_where_nothing_is_asked_for_more_often_than_there_are_batches() -> None:
    count = 97
    task = Task(("q",) * count, ("p",) * 50, tuple((n % 50,) for n in range(count)), ((),) * count, tuple(range(50)))
    batches = epoch(task, Dials(anchors=8, shared=1), 0)
    assert sorted(int(q) for batch in batches for q in batch.queries) == list(range(count))


def test_what_is_asked_for_often_fills_no_batches_alone() -> None:
    """One passage of 200 has a third of the queries: a random part of them is asked, and the last batches are full, too."""
    wanted = [0] * 200 + [p for p in range(1, 200) for _ in range(2)]
    task = Task(("q",) * len(wanted), ("p",) * 200, tuple((p,) for p in wanted), ((),) * len(wanted), tuple(range(200)))
    parts = []
    for number in (0, 1):
        batches = epoch(task, Dials(anchors=8, shared=1, extras=0), number)
        sizes = [len(batch.passages) for batch in batches]
        assert len(batches) <= 1.1 * (57 + 398) / 8
        assert min(sizes[: int(0.85 * len(sizes))]) >= 6
        parts.append({int(q) for batch in batches for q in batch.queries})
    assert all(len(part & set(range(200))) == 57 for part in parts)
    assert all(part >= set(range(200, len(wanted))) for part in parts)
    assert parts[0] != parts[1]
