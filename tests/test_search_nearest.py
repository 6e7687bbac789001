"""Nearest vectors: an exact search is brute force, an approximate one knows what it is worth and never lies about scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resurvey.search import approximate
from resurvey.search.approximate import Approximate, nearest
from resurvey.search.mapped import GIGABYTE, kept_matrix, open_matrix, release, rows_within, write_matrix
from resurvey.search.nearest import Exact, rescored
from resurvey.types import Floats, Ints
from resurvey.workspace import read_json, write_json

Told = list[tuple[str, int, int]]


def brute(queries: Floats, vectors: Floats, k: int) -> tuple[Ints, Floats]:
    scores = queries @ vectors.T
    rows = np.array([sorted(range(len(vectors)), key=lambda r: (-s[r], r))[:k] for s in scores], dtype=np.int64)
    rows = rows.reshape(len(queries), min(k, len(vectors)))
    return rows, np.take_along_axis(scores, rows, axis=1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Floats, Floats, int, int, int]:
    """Small whole numbers: inner products are exact, and ties are many."""
    dimensions = draw(st.integers(1, 20))
    values = st.integers(-2, 2).map(float)
    vectors = draw(arrays(np.float32, (draw(st.integers(1, 80)), dimensions), elements=values))
    queries = draw(arrays(np.float32, (draw(st.integers(0, 25)), dimensions), elements=values))
    return queries, vectors, draw(st.integers(0, 50)), draw(st.integers(1, 90)), draw(st.integers(1, 500))


@given(cases())
@settings(deadline=None)
def test_exact_is_brute_force_with_ties_by_row_whatever_the_blocks(
    case: tuple[Floats, Floats, int, int, int],
) -> None:
    queries, vectors, k, block, wide = case
    exact = Exact(vectors)
    exact._block, exact._wide = block, wide
    rows, scores = exact.search(queries, k)
    wanted, values = brute(queries, vectors, k)
    assert np.array_equal(rows, wanted)
    assert np.array_equal(scores, values)


def unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def clustered(rows: int, seed: int = 0, dimensions: int = 24, clusters: int = 60) -> Floats:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((clusters, dimensions))
    moved = centres[rng.integers(0, clusters, rows)] + 0.6 * rng.standard_normal((rows, dimensions))
    return unit(moved.astype(np.float32))


def test_a_crowd_of_equals_wider_than_what_is_fetched_comes_by_row() -> None:
    vectors = np.repeat(unit(np.arange(1, 13, dtype=np.float32).reshape(3, 4) % 5 + 0.3), 200, axis=0)
    vectors = vectors[np.random.default_rng(1).permutation(600)]
    for block in (600, 70):
        exact = Exact(vectors)
        exact._block = block
        rows, scores = exact.search(vectors[:5], 50)
        for place in range(5):
            same = np.flatnonzero((vectors == vectors[place]).all(axis=1))
            assert rows[place].tolist() == same[:50].tolist()
            assert len(set(scores[place].tolist())) == 1


def test_a_score_depends_on_neither_its_neighbours_nor_the_block() -> None:
    vectors, queries = clustered(700), clustered(300, seed=5)
    rows, scores = Exact(vectors).search(queries, 20)
    small = Exact(vectors)
    small._block = 64
    for found in (
        small.search(queries, 20),
        tuple(map(np.concatenate, zip(*(Exact(vectors).search(query[None], 20) for query in queries), strict=True))),
    ):
        assert np.array_equal(found[0], rows)
        assert np.array_equal(found[1], scores)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ vectors.T, rows, axis=1), atol=1e-6)


def test_rows_that_were_not_found_come_last() -> None:
    vectors = clustered(10)
    rows, scores = rescored(vectors[:1], vectors, np.array([[-1, 4, 0, -1, 7]]), 4)
    assert rows[0, 0] == 0
    assert rows[0, 3] == -1
    assert scores[0, 3] == -np.inf


def test_a_mapped_matrix_is_written_in_blocks_survives_reopening_and_is_searched_in_place(tmp_path: Path) -> None:
    vectors, queries = clustered(500), clustered(20, seed=3)
    write_matrix(tmp_path / "m.npy", (vectors[start : start + 70] for start in range(0, 500, 70)), (500, 24))
    wanted = Exact(vectors).search(queries, 10)
    for _ in range(2):
        mapped = open_matrix(tmp_path / "m.npy")
        assert mapped is not None
        assert np.array_equal(mapped, vectors)
        exact = Exact(mapped)
        assert np.shares_memory(exact.vectors, mapped)
        exact._block = 100
        assert all(np.array_equal(a, b) for a, b in zip(exact.search(queries, 10), wanted, strict=True))
        release(mapped)
        assert np.array_equal(mapped, vectors)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", None])
def test_a_damaged_matrix_is_written_anew(tmp_path: Path, damage: bytes | None) -> None:
    vectors, path = clustered(50), tmp_path / "m.npy"
    made: list[int] = []

    def blocks() -> list[Floats]:
        made.append(1)
        return [vectors]

    kept_matrix(path, (50, 24), blocks)
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    for _ in range(2):
        assert np.array_equal(kept_matrix(path, (50, 24), blocks), vectors)
    assert len(made) == 2


def test_a_matrix_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="50 rows for a matrix"):
        write_matrix(tmp_path / "m.npy", [clustered(50)], (51, 24))
    assert list(tmp_path.iterdir()) == []
    assert open_matrix(tmp_path / "m.npy") is None


def test_a_block_is_a_small_part_of_the_memory_and_never_nothing() -> None:
    assert 4 * 384 * rows_within(1.0, 384) <= GIGABYTE / 8
    assert rows_within(1e-9, 384) == 1


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Floats]:
    """A graph over 5,000 clustered vectors, mapped, as an index would have it."""
    folder = tmp_path_factory.mktemp("graph")
    vectors = kept_matrix(folder / "v.npy", (5_000, 24), lambda: [clustered(5_000)])
    assert isinstance(nearest(vectors, folder / "v.hnsw", 1.0), Approximate)
    return folder / "v.hnsw", vectors


def test_a_graph_finds_nearly_all_with_exact_scores_and_its_recall_is_kept(graph: tuple[Path, Floats]) -> None:
    path, vectors = graph
    found = nearest(vectors, path, 1.0)
    queries = unit(clustered(200, seed=8) + 0.2 * clustered(200, seed=9))
    rows, scores = found.search(queries, 100)
    wanted, values = Exact(vectors).search(queries, 100)
    recall = np.mean([len(np.intersect1d(a, b)) / 100 for a, b in zip(rows, wanted, strict=True)])
    note = read_json(path.with_suffix(".json"))
    assert recall >= 0.98
    assert note["recall"] >= approximate.WANTED
    assert note["depth"] in approximate.DEPTHS
    assert note["refused"] == ""
    for place in range(200):
        shared, here, there = np.intersect1d(rows[place], wanted[place], return_indices=True)
        assert np.array_equal(scores[place][here], values[place][there])
        assert len(shared) > 50
    again = nearest(vectors, path, 1.0).search(queries, 100)
    assert np.array_equal(again[0], rows)
    assert np.array_equal(again[1], scores)


def test_a_graph_is_made_once_and_again_when_damaged_or_made_otherwise(
    graph: tuple[Path, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, vectors = graph
    monkeypatch.setattr(approximate, "PROBES", 200)
    told: Told = []
    nearest(vectors, path, 1.0, lambda *what: told.append(what))
    assert not told
    note, whole = read_json(path.with_suffix(".json")), path.read_bytes()
    for damage in (
        lambda: path.write_bytes(whole[: len(whole) // 2]),
        lambda: path.write_bytes(b"no graph" * 10),
        path.unlink,
        path.with_suffix(".json").unlink,
        lambda: path.with_suffix(".json").write_bytes(b"{"),
        lambda: write_json(path.with_suffix(".json"), {**note, "construction": 1}),
        lambda: write_json(path.with_suffix(".json"), {**note, "rows": 4_999}),
    ):
        damage()
        told.clear()
        assert isinstance(nearest(vectors, path, 1.0, lambda *what: told.append(what)), Approximate)
        assert told[-1] == (approximate.DOING, 5_000, 5_000)
        assert read_json(path.with_suffix(".json"))["recall"] >= approximate.WANTED


def test_recall_is_measured_on_queries_where_enough_are_known(graph: tuple[Path, Floats], tmp_path: Path) -> None:
    path, vectors = graph
    assert read_json(path.with_suffix(".json"))["probes"] == "rows"
    queries = clustered(150, seed=8)
    for name, asked, wanted in (("few", queries[:99], "rows"), ("many", queries, "queries")):
        nearest(vectors, tmp_path / f"{name}.hnsw", 1.0, asked=asked)
        assert read_json(tmp_path / f"{name}.json")["probes"] == wanted


def test_where_no_depth_is_good_enough_every_row_is_looked_at_and_the_note_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "DEPTHS", (1, 2))
    monkeypatch.setattr(approximate, "FETCHED", 1.0)
    monkeypatch.setattr(approximate, "CONSTRUCTION", 8)
    rng = np.random.default_rng(0)
    noise = unit(rng.standard_normal((4000, 100)).astype(np.float32))
    assert isinstance(nearest(noise, tmp_path / "v.hnsw", 1.0), Exact)
    note = read_json(tmp_path / "v.json")
    assert note["refused"] == f"recall@100 reaches {note['recall']:.3f}, and 0.98 is wanted"
    assert not (tmp_path / "v.hnsw").exists()
    told: Told = []
    assert isinstance(nearest(noise, tmp_path / "v.hnsw", 1.0, lambda *what: told.append(what)), Exact)
    assert not told


def test_a_graph_that_would_not_fit_is_not_built_until_it_may(tmp_path: Path) -> None:
    vectors = clustered(3000)
    assert isinstance(nearest(vectors, tmp_path / "v.hnsw", 0.0005), Exact)
    assert "`memory` is 0.0005" in read_json(tmp_path / "v.json")["refused"]
    assert isinstance(nearest(vectors, tmp_path / "v.hnsw", 1.0), Approximate)


def test_a_deep_or_hopeless_search_is_exact(graph: tuple[Path, Floats]) -> None:
    path, vectors = graph
    queries = clustered(5, seed=4)
    assert np.array_equal(nearest(vectors, path, 1.0).search(queries, 2000)[0], Exact(vectors).search(queries, 2000)[0])

    class Lost:
        """A graph that finds half of what it is asked."""

        def search(self, queries: Floats, k: int, params: Any) -> tuple[Floats, Ints]:
            rows = np.full((len(queries), k), -1, dtype=np.int64)
            rows[:, : k // 2] = np.arange(k // 2)
            return np.zeros(rows.shape, dtype=np.float32), rows

    lost = Approximate(vectors, Lost(), 128)
    assert np.array_equal(lost.search(queries, 100)[0], Exact(vectors).search(queries, 100)[0])
