"""Candidates: lists united pair by pair, kept block by block, and nothing stale or torn believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resurvey.search import candidates as module
from resurvey.search.candidates import (
    Candidates,
    Given,
    InPassages,
    Keeper,
    Near,
    Plan,
    Searched,
    candidates,
    queries_key,
    unite,
)
from resurvey.search.dense import Dense
from resurvey.search.fuse import Convex, ReciprocalRank, fuse
from resurvey.search.index import Index
from resurvey.search.lexical import Lexical
from resurvey.search.nearest import Exact
from resurvey.types import Floats, Ints, Query, Run

LISTS = st.lists(st.lists(st.integers(0, 9), max_size=6, unique=True), min_size=4, max_size=4)


def _lists(rows: list[list[int]]) -> tuple[Ints, Floats]:
    width = max((len(row) for row in rows), default=0)
    found = np.array([row + [-1] * (width - len(row)) for row in rows], dtype=np.int64).reshape(len(rows), width)
    return found, -found.astype(np.float32)


def _as_rows(block: Candidates) -> list[dict[int, list[tuple[int, float]]]]:
    """Every query's rows with (rank, score) of every source."""
    return [
        {
            int(block.rows[pair]): [
                (int(rank), float(score))
                for rank, score in zip(block.ranks[:, pair], block.scores[:, pair], strict=True)
                if rank
            ]
            for pair in range(block.offsets[query], block.offsets[query + 1])
        }
        for query in range(len(block))
    ]


@settings(max_examples=60, deadline=None)
@given(one=LISTS, other=LISTS)
def test_a_union_holds_every_row_once_with_what_each_source_said(one: list[list[int]], other: list[list[int]]) -> None:
    block = unite(5, ("one", "other"), [_lists(one), _lists(other)])
    for query, found in enumerate(_as_rows(block)):
        assert list(found) == sorted(set(one[query]) | set(other[query]))
        for row, said in found.items():
            assert said == [(list_[query].index(row) + 1, -float(row)) for list_ in (one, other) if row in list_[query]]
    assert block.queries.tolist() == [5 + q for q in range(4) for _ in _as_rows(block)[q]]
    assert ((block.ranks == 0) == np.isnan(block.scores)).all()


def test_a_row_twice_in_a_list_keeps_its_better_rank() -> None:
    block = unite(0, ("one",), [(np.array([[7, 3, 7, -1]]), np.array([[4, 3, 2, np.nan]], dtype=np.float32))])
    assert _as_rows(block) == [{3: [(2, 3.0)], 7: [(1, 4.0)]}]


@pytest.mark.parametrize("rule", [ReciprocalRank(), Convex({"lexical": 0.4, "dense": 0.6})])
def test_retrievers_unite_and_fuse_as_their_runs_do(
    index: Index, queries: tuple[Query, ...], rule: ReciprocalRank | Convex
) -> None:
    branches = [Lexical(index, 6), Dense(index, depth=6)]
    plan = Plan(tuple(Searched(b.name, b, queries, index.rows) for b in branches), len(queries), rule, 5, 13)
    runs = [branch.search(queries) for branch in branches]
    wanted = fuse(runs, rule, 5)
    for block in candidates(plan):
        for place, found in enumerate(_as_rows(block)):
            query = queries[block.start + place].id
            united = {document for run in runs for document in run[query].documents}
            assert {index.ids[row] for row in found} == united
        fused = block.scores[block.sources.index("fused")]
        for place in range(len(block)):
            part = fused[block.offsets[place] : block.offsets[place + 1]]
            best = np.sort(part[~np.isnan(part)])[::-1]
            np.testing.assert_allclose(best, wanted[queries[block.start + place].id].scores, atol=1e-4)


def test_a_given_run_is_a_source_and_unknown_documents_and_queries_are_left_out(
    index: Index, queries: tuple[Query, ...]
) -> None:
    found = Lexical(index, 4).search(queries[:2])
    run = Run("engine", {queries[0].id: found[queries[0].id], "other": found[queries[1].id]})
    rows = {document: row for document, row in index.rows.items() if document != found[queries[0].id].documents[1]}
    (block,) = candidates(Plan((Searched("engine", Given(run), queries[:2], rows),), 2))
    kept = [d for place, d in enumerate(found[queries[0].id].documents) if place != 1]
    assert {index.ids[row] for row in _as_rows(block)[0]} == set(kept)
    assert [said[0][0] for said in _as_rows(block)[0].values()] != [1, 2, 3]
    assert _as_rows(block)[1] == {}


def test_documents_stand_for_their_most_similar_passage(index: Index, queries: tuple[Query, ...]) -> None:
    asked = index.vectors.vectors([query.text for query in queries], "query")
    starts = np.append(index.starts, len(index.owners))
    source = Searched("lexical", Lexical(index, 6), queries, index.rows)
    documents, scores = source.lists(2, 9)
    rows, kept = InPassages(source, asked, index.passages, starts).lists(2, 9)
    assert np.array_equal(kept, scores, equal_nan=True)
    assert len(index.owners) > len(index.documents)
    for place, (document, row) in enumerate(zip(documents.ravel(), rows.ravel(), strict=True)):
        query = 2 + place // documents.shape[1]
        if document < 0:
            assert row < 0
            continue
        own = np.flatnonzero(index.owners == document)
        assert row in own
        assert index.passages[row] @ asked[query] == pytest.approx((index.passages[own] @ asked[query]).max(), abs=1e-6)


def test_what_is_kept_knows_the_settings_of_a_retriever_and_the_rankings_of_a_run(
    index: Index, queries: tuple[Query, ...]
) -> None:
    run = Lexical(index, 4).search(queries)
    sources = [Lexical(index, 4), Lexical(index, 5), Lexical(index, 4, 0.5), Dense(index, "titles"), Dense(index)]
    asked = [Searched("a", source, queries, index.rows).asks for source in (*sources, Given(run), Given(run.top(3)))]
    assert len(set(asked)) == len(asked)
    assert asked[0] == Searched("a", Lexical(index, 4), queries, index.rows).asks


class Counted:
    """A nearest search that counts."""

    def __init__(self, vectors: Floats) -> None:
        self.inner = Exact(vectors)
        self.blocks = 0

    def search(self, queries: Floats, k: int) -> tuple[Ints, Floats]:
        self.blocks += 1
        return self.inner.search(queries, k)


@pytest.fixture
def vectors() -> Floats:
    return np.random.default_rng(2).standard_normal((40, 8)).astype(np.float32)


def _plan(near: Counted, depth: int = 5) -> Plan:
    return Plan((Near("dense", near, near.inner.vectors[:20], depth),), 20, block=6)


def test_blocks_are_searched_once_and_read_again(tmp_path: Path, vectors: Floats) -> None:
    near = Counted(vectors)
    keeper = Keeper(tmp_path, {"fingerprint": "f"})
    first, again = list(candidates(_plan(near), keeper)), list(candidates(_plan(near), keeper))
    assert near.blocks == 4
    for one, other in zip(first, again, strict=True):
        assert (one.start, one.sources) == (other.start, other.sources)
        for name in ("offsets", "rows", "ranks", "scores"):
            assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
            assert getattr(one, name).dtype == getattr(other, name).dtype


def test_nothing_made_from_something_else_is_believed(
    tmp_path: Path, vectors: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Counted(vectors)
    list(candidates(_plan(near), Keeper(tmp_path, {"fingerprint": "f"})))
    others = [
        (Keeper(tmp_path, {"fingerprint": "g"}), _plan(near), 4),
        (Keeper(tmp_path, {"fingerprint": "f"}), _plan(near, depth=4), 4),
        (Keeper(tmp_path, {"fingerprint": "f"}), replace(_plan(near), block=7), 3),
        (Keeper(tmp_path, {"fingerprint": "f"}), replace(_plan(near), queries=19), 4),
    ]
    for keeper, plan, blocks in others:
        near.blocks = 0
        list(candidates(plan, keeper))
        assert near.blocks == blocks
    monkeypatch.setattr(module, "code_digest", lambda: "another program")
    near.blocks = 0
    list(candidates(_plan(near), Keeper(tmp_path, {"fingerprint": "f"})))
    assert near.blocks == 4


def test_a_block_of_something_else_is_not_believed_wherever_it_lies(tmp_path: Path, vectors: Floats) -> None:
    near = Counted(vectors)
    for name in "fg":
        list(candidates(_plan(near), Keeper(tmp_path / name, {"fingerprint": name})))
    (one,), (other,) = ((tmp_path / name).glob("*/000000006.npz") for name in "fg")
    one.write_bytes(other.read_bytes())
    near.blocks = 0
    list(candidates(_plan(near), Keeper(tmp_path / "f", {"fingerprint": "f"})))
    assert near.blocks == 1


@pytest.mark.parametrize("harm", [lambda data: data[:100], lambda data: b"", lambda data: data[:-300] + b"x" * 300])
def test_a_damaged_block_is_searched_again(tmp_path: Path, vectors: Floats, harm: object) -> None:
    near = Counted(vectors)
    keeper = Keeper(tmp_path, {})
    whole = list(candidates(_plan(near), keeper))
    path = sorted(tmp_path.glob("*/*.npz"))[2]
    path.write_bytes(harm(path.read_bytes()))  # type: ignore[operator]
    near.blocks = 0
    again = list(candidates(_plan(near), keeper))
    assert near.blocks == 1
    assert np.array_equal(whole[2].rows, again[2].rows)


def test_progress_counts_queries_and_blocks_are_handed_on_one_by_one(vectors: Floats) -> None:
    near, heard = Counted(vectors), []
    blocks = candidates(_plan(near), progress=lambda *told: heard.append(told))
    next(blocks)
    assert near.blocks == 1
    list(blocks)
    assert [done for _, done, _ in heard] == [0, 6, 12, 18, 20]
    assert {(task, total) for task, _, total in heard} == {("finding candidates", 20)}


def test_sources_need_names_of_their_own(vectors: Floats) -> None:
    source = Near("dense", Exact(vectors), vectors, 3)
    with pytest.raises(AssertionError, match="names of their own"):
        next(candidates(Plan((source, source), 5)))


def test_queries_in_another_order_have_another_key() -> None:
    one, other = Query("1", "a"), Query("2", "b")
    assert queries_key([one, other]) != queries_key([other, one])
