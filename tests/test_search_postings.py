"""Postings: BM25 by hand, by LanceDB and by bm25s; kept whole; bounded blocks that change no score."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_search_store import bm25, build_store

from resurvey.search import postings as module
from resurvey.search.encode import SentenceEncoder
from resurvey.search.postings import Postings, Rule, build, load, save
from resurvey.types import Document

LANCE = Rule(1.2, 0.75)
TERM = st.sampled_from(["a", "b", "pump", "ü", "5/16"])


def made(rows: list[list[str]], rule: Rule = LANCE) -> Postings:
    return build(pa.chunked_array([pa.array([" ".join(row) for row in rows], pa.string())]), rule)


@given(st.lists(st.lists(TERM, max_size=6), min_size=1, max_size=12), st.lists(TERM, max_size=4))
def test_scores_are_bm25_by_hand(rows: list[list[str]], asked: list[str]) -> None:
    if not any(rows):
        return
    found = made(rows).scores([asked, ["unknown"]]).toarray()
    np.testing.assert_allclose(found[0], bm25(asked, rows), rtol=1e-4, atol=1e-6)
    assert not found[1].any()


def test_lancedb_agrees(tmp_path: Path, encoder: SentenceEncoder, documents: tuple[Document, ...]) -> None:
    store = build_store(tmp_path, documents, encoder)
    for column, asked in (("words", ["valv", "pump", "leak", "record"]), ("identifiers", ["p3-103", "p3103"])):
        scores = build(store.column(column), LANCE).scores([asked]).toarray()[0]
        rows, wanted = store.match(" ".join(asked), 1000, column)
        assert sorted(rows) == np.flatnonzero(scores).tolist()
        if column == "words":  # LanceDB counts passages without identifiers out, we count them in
            np.testing.assert_allclose(scores[rows], wanted, rtol=1e-4)


def mapped(array: object) -> bool:
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


def test_what_was_saved_is_mapped_back_and_scores_the_same(tmp_path: Path) -> None:
    rows = [["pump", "leak"], [], ["pump", "pump", "ü"], ["leak"]]
    postings = made(rows)
    save(postings, tmp_path / "kept")
    save(postings, tmp_path / "kept")  # a second process comes too late
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    again = load(tmp_path / "kept")
    asked = [["pump", "ü"], ["leak", "leak"], []]
    np.testing.assert_array_equal(again.scores(asked).toarray(), postings.scores(asked).toarray())
    assert all(mapped(array) for array in (again.weights.data, again.weights.indices))


def test_an_empty_column_has_nothing_to_find(tmp_path: Path) -> None:
    for rows in ([], [[], []]):
        postings = made(rows)
        assert postings.scores([["pump"]]).nnz == 0
        save(postings, tmp_path / str(len(rows)))
        assert load(tmp_path / str(len(rows))).scores([["pump"]]).shape == (1, len(rows))


@pytest.mark.parametrize("most", [1, 3, 7, 1000])
def test_blocks_cover_every_query_once_and_stay_small(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    postings = made([["a", "b"], ["a"], ["a", "pump"], ["b"]])
    asked = [["a"], ["b"], [], ["unknown"], ["a", "b", "pump"], ["pump"]] * 5
    monkeypatch.setattr(module, "MOST", most)
    monkeypatch.setattr(module, "BLOCK", 4)
    blocks = list(postings.blocks(asked))
    assert [place for block in blocks for place in range(block.start, block.stop)] == list(range(len(asked)))
    assert all(block.stop - block.start <= 4 for block in blocks)
    assert all(b.stop - b.start == 1 or postings.scores(asked[b]).nnz <= most for b in blocks)
    assert list(postings.blocks([])) == []
