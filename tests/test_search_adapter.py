"""The query-side adapter: what it does to a vector, its bytes, and the branch that carries it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from resurvey.errors import ResurveyError
from resurvey.search import recipe
from resurvey.search.adapter import Adapter, load_adapter
from resurvey.search.builder import Builder
from resurvey.search.dense import Dense
from resurvey.search.index import Index
from resurvey.types import Floats, Query


def drawn(dimensions: int = 32, rank: int = 3, size: float = 1.0) -> Adapter:
    rng = np.random.default_rng(4)
    down, up = (rng.normal(0, size, shape).astype(np.float32) for shape in ((dimensions, rank), (rank, dimensions)))
    return Adapter(down, up)


def asked(index: Index, queries: tuple[Query, ...]) -> Floats:
    return index.vectors.vectors([query.text for query in queries], "query")


def test_a_query_is_moved_by_its_product_and_is_unit_length_again(index: Index, queries: tuple[Query, ...]) -> None:
    vectors, adapter = asked(index, queries), drawn()
    moved = adapter.moved(vectors)
    assert moved.dtype == np.float32
    assert np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    expected = vectors @ (np.eye(32) + adapter.down @ adapter.up)
    assert np.allclose(moved, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    assert np.allclose(adapter.moved(vectors[:1]), moved[:1], atol=1e-5)  # whatever it is asked with


def test_an_adapter_that_learned_nothing_is_the_identity(index: Index, queries: tuple[Query, ...]) -> None:
    vectors = asked(index, queries)
    idle = replace(drawn(), up=np.zeros((3, 32), dtype=np.float32))
    assert np.allclose(idle.moved(vectors), vectors, atol=1e-6)


def test_its_bytes_bring_it_back_and_are_the_same_every_time() -> None:
    adapter = drawn()
    again = load_adapter(adapter.dump())
    assert np.array_equal(again.down, adapter.down)
    assert np.array_equal(again.up, adapter.up)
    assert (again.dimensions, again.rank) == (32, 3)
    assert again.dump() == adapter.dump()


def test_bytes_that_would_run_code_are_not_loaded() -> None:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, down=np.array([object()]), up=np.array([object()]))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_adapter(buffer.getvalue())


@pytest.mark.parametrize("transform", ["none", "center"])
def test_the_branch_centres_first_then_adapts(transform: str, builder: Builder, queries: tuple[Query, ...]) -> None:
    index, adapter = builder.index, drawn(size=0.3)
    node = recipe.dense(5, transform=transform, adapter=builder.artefacts.put(adapter.dump()))
    moved = adapter.moved(index.transformed(asked(index, queries), transform))
    scores = index.best_passages(moved @ index.view("passages", transform).T)
    run, plain = builder.node(node).search(queries), Dense(index, "passages", transform, 5).search(queries)
    for query, row in zip(queries, scores, strict=True):
        assert run[query.id].documents[0] == index.ids[row.argmax()]
        assert run[query.id].scores[0] == pytest.approx(row.max(), abs=1e-5)
    assert any(list(run[q.id].documents) != list(plain[q.id].documents) for q in queries)


def test_a_recipe_says_so_and_one_without_is_as_it_was(builder: Builder) -> None:
    assert recipe.dense(5) == {"stage": "dense", "view": "passages", "transform": "none", "depth": 5}
    node = recipe.dense(5, transform="center", adapter="sha256:0a")
    assert node["adapter"] == "sha256:0a"
    assert recipe.describe(node) == "dense over passages, centred, adapted"
    assert recipe.node_key(node) != recipe.node_key(recipe.dense(5, transform="center"))


def test_an_adapter_of_other_vectors_is_refused(index: Index) -> None:
    with pytest.raises(ResurveyError, match=r"maps vectors of 8 numbers, the encoder's have 32\nNext: resurvey treat"):
        Dense(index, adapter=drawn(dimensions=8))


def test_one_query_costs_one_small_product() -> None:
    import time

    adapter, vector = drawn(384, 384, 0.01), np.ones((1, 384), dtype=np.float32)
    times = []
    for _ in range(50):
        started = time.perf_counter()
        adapter.moved(vector)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.002
