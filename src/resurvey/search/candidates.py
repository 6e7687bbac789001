"""Candidates: what several searches return for the same queries, united, as flat arrays, block by block.

A block of queries is searched, united and kept (atomically) before the next one is begun, so memory does not
grow with the number of queries and a killed run goes on at the block where it stopped. Rows are places in
whatever is searched, documents or passages. Knows nothing about judgments.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from resurvey.protocols import Retriever
from resurvey.search.compose import best, ranges
from resurvey.search.fuse import NAME as FUSED
from resurvey.search.fuse import Rule
from resurvey.search.nearest import Nearest
from resurvey.types import Floats, Ints, Json, Progress, Query, Ranking, Run, Stage, silent
from resurvey.workspace import canonical, code_digest, digest, write_bytes, write_json

BLOCK = 8192
"""Queries that are searched, united and kept at a time."""


class Source(Protocol):
    """One search, and the queries it is asked."""

    @property
    def name(self) -> str:
        """What its ranks and scores are called."""
        ...

    @property
    def asks(self) -> str:
        """What it searches with and how deep, in words: a part of the key of what is kept."""
        ...

    def lists(self, start: int, stop: int) -> tuple[Ints, Floats]:
        """Rows and scores for queries [start, stop), best first: (queries, k); row -1 where a list is shorter."""
        ...


@dataclass(frozen=True, slots=True)
class Near:
    """The `depth` nearest vectors of every query vector (queries, dimensions)."""

    name: str
    nearest: Nearest
    queries: Floats
    depth: int

    @property
    def asks(self) -> str:
        """As `Source` says."""
        return f"{type(self.nearest).__name__} to {self.depth}"

    def lists(self, start: int, stop: int) -> tuple[Ints, Floats]:
        """As `Source` says."""
        return self.nearest.search(self.queries[start:stop], self.depth)


@dataclass(frozen=True, slots=True)
class Searched:
    """What a retriever returns; `rows` says where each document id is, ids it does not name are left out."""

    name: str
    retriever: Retriever
    queries: Sequence[Query]
    rows: Mapping[str, int]

    @property
    def asks(self) -> str:
        """As `Source` says."""
        if isinstance(self.retriever, Given):
            return self.retriever.digest
        plain = {k: v for k, v in vars(self.retriever).items() if isinstance(v, str | int | float)}
        return f"{self.retriever.name} {canonical(plain)}"

    def lists(self, start: int, stop: int) -> tuple[Ints, Floats]:
        """As `Source` says."""
        asked = self.queries[start:stop]
        run = self.retriever.search(asked)
        rankings = [run[query.id] for query in asked]
        longest = max((len(ranking) for ranking in rankings), default=0)
        rows = np.full((len(asked), longest), -1, dtype=np.int64)
        scores = np.full((len(asked), longest), np.nan, dtype=np.float32)
        for place, ranking in enumerate(rankings):
            rows[place, : len(ranking)] = [self.rows.get(document, -1) for document in ranking.documents]
            scores[place, : len(ranking)] = ranking.scores
        return rows, scores


@dataclass(frozen=True, slots=True)
class Given:
    """A run that is there already, as a retriever; a query it does not answer has an empty ranking."""

    run: Run

    @property
    def name(self) -> str:
        """The run's own name."""
        return self.run.name

    @property
    def digest(self) -> str:
        """Hash of all its rankings."""
        ranked = (("\n".join((query, *r.documents)), r.scores.tobytes()) for query, r in self.run.rankings.items())
        return digest(*(part for ranking in ranked for part in ranking))

    def search(self, queries: Sequence[Query]) -> Run:
        """The run's rankings of these queries."""
        nothing = Ranking((), np.zeros(0, dtype=np.float32))
        return Run(self.name, {query.id: self.run.rankings.get(query.id, nothing) for query in queries})


@dataclass(frozen=True, slots=True)
class InPassages:
    """A source of documents, each standing for that passage of its own which is most similar to the query.

    `starts` has the first passage row of every document and, last, the number of passages.
    """

    source: Source
    queries: Floats
    passages: Floats
    starts: Ints

    @property
    def name(self) -> str:
        """The source's own name."""
        return self.source.name

    @property
    def asks(self) -> str:
        """As `Source` says."""
        return f"passages of {self.source.asks}"

    def lists(self, start: int, stop: int) -> tuple[Ints, Floats]:
        """As `Source` says; the scores stay the documents'."""
        documents, scores = self.source.lists(start, stop)
        found = np.full_like(documents, -1)
        for query, (row, there) in enumerate(zip(documents, documents >= 0, strict=True)):
            if there.any():
                asked = self.queries[start + query]
                found[query, there] = best_passages(asked, row[there], self.passages, self.starts)
        return found, scores


def best_passages(query: Floats, documents: Ints, passages: Floats, starts: Ints) -> Ints:
    """Of each document its passage that is most similar to one query vector; `starts` as for `InPassages`."""
    counts = starts[documents + 1] - starts[documents]
    rows, firsts = ranges(starts[documents], counts)
    order = np.lexsort((-(passages[rows] @ query), np.repeat(np.arange(len(documents)), counts)))
    return np.asarray(rows[order[firsts]], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The united candidates of queries [start, start + len); pairs of a query stand together, by row.

    `offsets` (queries + 1) bounds each query's pairs; `rows` (pairs); `ranks` (sources, pairs) from 1, 0 where a
    source did not return the row; `scores` (sources, pairs), NaN there.
    """

    start: int
    sources: tuple[str, ...]
    offsets: Ints
    rows: Ints
    ranks: Ints
    scores: Floats

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def queries(self) -> Ints:
        """The query of every pair."""
        return np.repeat(np.arange(self.start, self.start + len(self)), np.diff(self.offsets))

    def dump(self, key: str) -> bytes:
        """As bytes that `load` believes only under the same key."""
        buffer = io.BytesIO()
        facts = np.array([key, str(self.start), *self.sources])
        rows, ranks = self.rows.astype(np.int32), self.ranks.astype(np.int32)
        np.savez(buffer, facts=facts, offsets=self.offsets, rows=rows, ranks=ranks, scores=self.scores)
        return buffer.getvalue()


def load(data: bytes, key: str) -> Candidates | None:
    """What `dump` wrote under this key; None where it is damaged or was made from something else."""
    try:
        with np.load(io.BytesIO(data)) as file:
            kept, start, *sources = file["facts"].tolist()
            offsets, rows, ranks = (file[name].astype(np.int64) for name in ("offsets", "rows", "ranks"))
            found = Candidates(int(start), tuple(sources), offsets, rows, ranks, file["scores"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return found if kept == key else None


def unite(start: int, names: Sequence[str], lists: Sequence[tuple[Ints, Floats]]) -> Candidates:
    """Several sources' lists for the same queries as one block; a row twice in one list keeps its better rank."""
    count = len(lists[0][0])
    span = 1 + max((int(rows.max(initial=-1)) for rows, _ in lists), default=0)
    keys, ranks, scores = zip(*(_flat(rows, values, span) for rows, values in lists), strict=True)
    pairs = np.sort(np.concatenate(keys))  # np.unique would hash first, which takes ten times as long
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    all_ranks = np.zeros((len(lists), len(pairs)), dtype=np.int64)
    all_scores = np.full((len(lists), len(pairs)), np.nan, dtype=np.float32)
    for place, (key, rank, score) in enumerate(zip(keys, ranks, scores, strict=True)):
        columns = np.searchsorted(pairs, key)
        all_ranks[place, columns], all_scores[place, columns] = rank, score
    offsets = np.searchsorted(pairs, np.arange(count + 1) * max(span, 1))
    return Candidates(start, tuple(names), offsets, pairs % max(span, 1), all_ranks, all_scores)


def _flat(rows: Ints, scores: Floats, span: int) -> tuple[Ints, Ints, Floats]:
    """Keys (query and row in one number), ranks and scores of what is there, worst rank first."""
    there = rows[:, ::-1] >= 0
    queries, places = np.nonzero(there)
    ranks = rows.shape[1] - places
    keys = queries * max(span, 1) + rows[:, ::-1][there]
    return keys, ranks, scores[:, ::-1][there]


def fused(block: Candidates, rule: Rule, depth: int) -> Candidates:
    """The block with one more source: what fusing the others' lists gives, down to `depth`."""
    ranks = np.zeros(len(block.rows), dtype=np.int64)
    scores = np.full(len(block.rows), np.nan, dtype=np.float32)
    for low, high in zip(block.offsets[:-1], block.offsets[1:], strict=True):
        if low < high:
            stages = {
                name: Stage(block.ranks[place, low:high], block.scores[place, low:high])
                for place, name in enumerate(block.sources)
            }
            order, kept = best(rule.score(stages).astype(np.float32), depth)
            ranks[low + order], scores[low + order] = np.arange(1, len(order) + 1), kept
    sources = (*block.sources, FUSED)
    united = np.vstack([block.ranks, ranks]), np.vstack([block.scores, scores])
    return Candidates(block.start, sources, block.offsets, block.rows, *united)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which sources are asked for how many queries, and how their lists are fused (None: not)."""

    sources: tuple[Source, ...]
    queries: int
    fuse: Rule | None = None
    depth: int = 100
    """Of the fused list."""
    block: int = BLOCK

    @property
    def facts(self) -> str:
        """All of the plan that decides what a block holds."""
        asked = {source.name: source.asks for source in self.sources}
        return canonical(
            {"asked": asked, "n": self.queries, "fuse": repr(self.fuse), "depth": [self.depth, self.block]}
        )

    def make(self, start: int) -> Candidates:
        """The block that begins at query `start`, searched anew."""
        stop = min(start + self.block, self.queries)
        names = [source.name for source in self.sources]
        assert len({*names, FUSED}) == len(names) + 1, f"sources need names of their own: {names}"
        block = unite(start, names, [source.lists(start, stop) for source in self.sources])
        return block if self.fuse is None else fused(block, self.fuse, self.depth)


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps finished blocks below `folder`, apart for whatever they were made from."""

    folder: Path
    made_from: Json = field(default_factory=dict)
    """All that decides the lists: encoder fingerprint, snapshot key, `queries_key`, settings."""

    @property
    def key(self) -> str:
        """Hash of what the blocks are made from and of the program that makes them."""
        return digest(canonical(self.made_from), code_digest())

    def blocks(self, plan: Plan, progress: Progress = silent) -> Iterator[Candidates]:
        """As `candidates`, every block read where it is there already, and kept before it is handed on."""
        key = digest(self.key, plan.facts)
        folder = self.folder / key[:16]
        if not (folder / "made-from.json").exists():
            write_json(folder / "made-from.json", self.made_from)
        for start in range(0, plan.queries, plan.block):
            path = folder / f"{start:09d}.npz"
            block = load(path.read_bytes(), key) if path.exists() else None
            if block is None:
                progress("finding candidates", start, plan.queries)
                block = plan.make(start)
                write_bytes(path, block.dump(key))
                progress("finding candidates", start + len(block), plan.queries)
            yield block


def candidates(plan: Plan, keeper: Keeper | None = None, progress: Progress = silent) -> Iterator[Candidates]:
    """The united candidates of all queries, a block at a time, in order.

    Args:
        keeper: keeps finished blocks, so that a killed run resumes; None keeps nothing.
    """
    if keeper is not None:
        yield from keeper.blocks(plan, progress)
        return
    for start in range(0, plan.queries, plan.block):
        progress("finding candidates", start, plan.queries)
        yield plan.make(start)
    progress("finding candidates", plan.queries, plan.queries)


def queries_key(queries: Sequence[Query]) -> str:
    """Hash of the queries' texts in their order."""
    return digest(*(query.text for query in queries))
