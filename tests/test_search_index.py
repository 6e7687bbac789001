"""The index: views are mapped matrices that are computed once, exact up to a size and led by a graph beyond."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from resurvey.search import approximate
from resurvey.search.approximate import Approximate
from resurvey.search.dense import Dense
from resurvey.search.derived import Derived
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import TRANSFORMS, VIEWS, Index, moments, open_index
from resurvey.search.nearest import Exact
from resurvey.settings import Settings
from resurvey.types import Document, Query


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_mapped_and_computed_once(
    view: str,
    transform: str,
    index: Index,
    documents: tuple[Document, ...],
    plain_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = index.view(view, transform)
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    again = open_index(index.folder, documents, index.encoder, plain_settings)
    monkeypatch.setattr(again.vectors, "embed", lambda *_: pytest.fail("it was read from the segments again"))
    assert np.array_equal(again.view(view, transform), first)


def test_small_memory_means_small_blocks_and_the_same_vectors(
    index: Index, tmp_path: Path, documents: tuple[Document, ...], plain_settings: Settings
) -> None:
    small = Settings({**plain_settings.values, "memory": 1e-6})
    other = open_index(tmp_path / "small", documents, index.encoder, small, index.vectors.folder.parent)
    assert other._block < 10
    for view in VIEWS:
        for transform in TRANSFORMS:
            np.testing.assert_allclose(other.view(view, transform), index.view(view, transform), atol=1e-5)


def test_moments_are_those_of_all_rows_and_kept(
    index: Index, documents: tuple[Document, ...], plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(0).standard_normal((103, 5)).astype(np.float32) + 3
    rows[:, 4] = 1.0
    found = moments(rows, 10)
    np.testing.assert_allclose(found[0], rows.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found[1], np.maximum(rows.std(axis=0), 1e-6), atol=1e-5)
    np.testing.assert_allclose(index.center, index.passages.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(index.spread, index.passages.std(axis=0), atol=1e-6)
    again = open_index(index.folder, documents, index.encoder, plain_settings)
    monkeypatch.setattr("resurvey.search.index.moments", lambda *_: pytest.fail("they were computed again"))
    assert np.array_equal(again.center, index.center)


def test_beyond_the_setting_a_graph_leads_and_ranks_as_exact_search_does(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "DEPTHS", (100,))
    corpus = [Document(f"d{place}", f"valve {place} pump {place * 7919 % 1000}") for place in range(900)]
    exact = open_index(tmp_path / "index", corpus, encoder, plain_settings)
    led = open_index(tmp_path / "index", corpus, encoder, Settings({**plain_settings.values, "exact_up_to": 899}))
    assert isinstance(exact.nearest("passages"), Exact)
    assert isinstance(led.nearest("passages", "center"), Approximate)
    assert led.nearest("passages", "center") is led.nearest("passages", "center")
    queries = [Query(f"q{place}", f"pump {place}") for place in range(30)]
    one, other = (Dense(index, "passages", "center", 10).search(queries) for index in (exact, led))
    same = [len(set(one[q.id].documents) & set(other[q.id].documents)) / 10 for q in queries]
    assert np.mean(same) > 0.95


def test_a_long_document_does_not_crowd_out_the_others_in_dense_search(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings
) -> None:
    crowd = Document("long", " ".join(["valve pump seal."] * 2000))
    others = [Document(f"d{place}", "valve " + "inspect the bolt " * 8) for place in range(29)]
    crowded = open_index(tmp_path, [crowd, *others], encoder, plain_settings)
    assert (crowded.owners == 0).sum() > 100
    dense = Dense(crowded, depth=10)
    found = dense.search([Query("q", "valve pump seal.")])["q"]
    assert found.documents[0] == "long"
    assert len(found) == len(set(found.documents)) == 10
    assert dense._most < (crowded.owners == 0).sum()


def test_of_each_kind_the_few_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resurvey.search.derived.KEPT", 2)
    derived = Derived(tmp_path)
    for age, key in enumerate(("a" * 64, "b" * 64)):
        for suffix in ("npy", "hnsw"):
            path = derived.path("passages-none", key, suffix)
            path.write_bytes(b"")
            os.utime(path, (1000 + age, 1000 + age))
    other = derived.path("titles-none", "a" * 64, "npy")
    other.write_bytes(b"")
    derived.path("passages-none", "a" * 64, "npy")  # used again
    derived.path("passages-none", "c" * 64, "npy").write_bytes(b"")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        f"passages-none-{'a' * 16}.npy",
        f"passages-none-{'a' * 16}.hnsw",
        f"passages-none-{'c' * 16}.npy",
        other.name,
    }
