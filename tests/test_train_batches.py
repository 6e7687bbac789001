"""Batches: every query once, no kin together, answers where they are; the same seed gives the same ones."""

from __future__ import annotations

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
def test_an_epoch_asks_every_query_once_and_never_puts_kin_together(
    task: Task, anchors: int, shared: int, extras: int
) -> None:
    dials = Dials(anchors=anchors, shared=shared, extras=extras)
    batches = epoch(task, dials, 0)
    assert sorted(q for batch in batches for q in batch.queries) == list(range(len(task.queries)))
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
