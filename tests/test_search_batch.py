"""Batches of nearest vectors: the sweep misses nothing for all its rounding, clusters keep what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resurvey.search import batch, coarse
from resurvey.search.batch import Clustered, Sweep
from resurvey.search.coarse import Coarse, paired
from resurvey.search.nearest import rescored
from resurvey.types import Floats, Ints


def _unit(rng: np.random.Generator, rows: int, dimensions: int = 24) -> Floats:
    """Vectors in loose groups, as texts are."""
    middles = rng.standard_normal((max(1, rows // 20), dimensions))
    made = middles[rng.integers(0, len(middles), rows)] + 0.5 * rng.standard_normal((rows, dimensions))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)


def _truth(queries: Floats, vectors: Floats, k: int) -> tuple[Ints, Floats]:
    return rescored(queries, vectors, np.tile(np.arange(len(vectors)), (len(queries), 1)), k)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    queries=st.sampled_from([0, 1, 40]),
    rows=st.sampled_from([1, 30, 150]),
    k=st.sampled_from([1, 7, 40]),
    length=st.sampled_from([1e-3, 1.0, 50.0]),
)
def test_a_sweep_finds_exactly_what_a_look_at_every_row_finds(
    seed: int, queries: int, rows: int, k: int, length: float
) -> None:
    rng = np.random.default_rng(seed)
    vectors, asked = np.float32(length) * _unit(rng, rows), _unit(rng, queries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "ROWS", 32)
        patch.setattr(batch, "QUERIES", 16)
        patch.setattr(coarse, "CELLS", 64)
        found, scores = Sweep(vectors).search(asked, k)
    wanted, best = _truth(asked, vectors, k)
    assert found.shape == scores.shape == (queries, min(k, rows))
    assert np.array_equal(scores, best)
    assert np.array_equal(found, wanted)


def test_rounding_is_bounded_and_the_bound_is_needed() -> None:
    rng = np.random.default_rng(3)
    vectors, asked = _unit(rng, 400), _unit(rng, 60)
    small = Coarse(vectors)
    rounded, error = small.queries(asked)
    apart = np.abs(small.tile(rounded, 0, 400).float().numpy() - asked @ vectors.T)
    assert (apart <= error[:, None]).all()
    if not small.exact:
        assert apart.max() > 1e-4
        assert error.max() < 0.02


def test_equal_vectors_are_ordered_by_row() -> None:
    vectors = np.tile(_unit(np.random.default_rng(1), 3), (30, 1))
    rows, _ = Sweep(vectors).search(vectors[:3], 7)
    assert rows.tolist() == [[start + 3 * step for step in range(7)] for start in range(3)]


@pytest.mark.parametrize("wanted", [0.9, 0.98])
def test_clusters_find_what_they_promise_while_looking_at_a_part(wanted: float) -> None:
    rng = np.random.default_rng(5)
    vectors = _unit(rng, 3000)
    asked = vectors[::5] + 0.1 * rng.standard_normal((600, 24)).astype(np.float32)
    near = Clustered(vectors, asked, 20, recall=wanted)
    rows, scores = near.search(asked, 20)
    truth, _ = _truth(asked, vectors, 20)
    recall = np.mean([len(np.intersect1d(a, b)) / 20 for a, b in zip(rows, truth, strict=True)])
    assert recall >= wanted
    assert near.recall == pytest.approx(recall, abs=0.02)
    assert near.looked_at < len(near.centres) // 2
    assert np.array_equal(scores, rescored(asked, vectors, rows, 20)[1])
    assert (np.diff(scores, axis=1) <= 0).all()


def test_clusters_that_hold_fewer_than_k_rows_lose_nothing_that_was_seen() -> None:
    rng = np.random.default_rng(6)
    vectors = _unit(rng, 60)
    near = Clustered(vectors, vectors, 40, recall=1.0, clusters=12)
    rows, _ = near.search(vectors, 40)
    truth, _ = _truth(vectors, vectors, 40)
    assert near.recall == 1
    assert np.array_equal(rows, truth)


def test_clusters_give_the_same_twice_and_in_waves_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = _unit(np.random.default_rng(7), 1500)
    whole = Clustered(vectors, vectors, 10).search(vectors[:300], 10)
    monkeypatch.setattr(batch, "WAVE", 37)
    near = Clustered(vectors, vectors, 10)
    near.search(vectors[900:], 3)
    again = near.search(vectors[:300], 10)
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))


def test_pairs_are_inner_products_and_rows_that_are_not_there_are_refused() -> None:
    vectors = _unit(np.random.default_rng(8), 9)
    lefts, rights = np.array([0, 3, 8]), np.array([1, 3, 0])
    np.testing.assert_allclose(
        paired(vectors, vectors, lefts, rights), (vectors[lefts] * vectors[rights]).sum(axis=1), atol=1e-6
    )
    with pytest.raises(AssertionError, match="not there"):
        paired(vectors, vectors, lefts, np.array([0, 0, 9]))
    assert paired(vectors, vectors, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_nothing_asked_is_nothing_found() -> None:
    vectors = _unit(np.random.default_rng(9), 30)
    for nearest in (Sweep(vectors), Clustered(vectors, vectors, 5)):
        rows, scores = nearest.search(vectors[:0], 5)
        assert rows.shape == scores.shape == (0, 5)
