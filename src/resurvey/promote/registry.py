"""The registry: candidates as folders, each whole once its manifest is there.

Rejected ones keep their scores and verdict: what did not work is part of the result. Knows nothing
about how a candidate was made or whether it may go live.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resurvey.errors import MissingError, Problem
from resurvey.evaluate.measures import Scores, first_relevant
from resurvey.types import Candidate, Doubles, Json, Qrels, Run, candidate_from_json, to_json
from resurvey.workspace import Workspace, file_digest, read_json, write_bytes, write_json

FOLDER = re.compile(r"(\d{4})-[\w-]+")
BASELINES = "baselines.parquet"
RANKINGS = "rankings.parquet"
KEPT_TOP = 10
"""Documents of every ranking that are kept, to show what moved."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a pipeline returned for its queries, held out: the first documents, and where the first right one was."""

    top: Mapping[str, tuple[str, ...]]
    first: Mapping[str, int]
    """Query id to the rank of its first relevant document; 0 where it was not among the candidates."""


def ranked(run: Run, qrels: Qrels) -> Ranked:
    """The part of a run that is kept."""
    top = {query: tuple(map(str, run.rankings[query].documents[:KEPT_TOP])) for query in qrels if query in run.rankings}
    return Ranked(top, dict(zip(qrels, first_relevant(run, qrels).tolist(), strict=True)))


class Registry:
    """All candidates of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.folder = workspace.candidates
        self._workspace = workspace

    def clear_unfinished(self, key: str) -> None:
        """Remove what a killed treat stage of this key left, whole or half, so that it starts anew.

        What has ever been live stays: a rollback may want it.
        """
        promoted = {entry["candidate"] for entry in self._workspace.recorded("promoted")}
        for path in self._folders():
            manifest = path / "manifest.json"
            if not manifest.exists() or (read_json(manifest).get("key") == key and path.name not in promoted):
                shutil.rmtree(path)

    def next_number(self) -> int:
        """The number the next candidate gets."""
        return 1 + max((int(path.name[:4]) for path in self._folders()), default=0)

    def add(self, candidate: Candidate, scores: Mapping[str, Scores], key: str, found: Ranked | None = None) -> None:
        """Write a candidate's folder; its manifest last."""
        path = self.folder / candidate.id
        if candidate.recipe:
            write_json(path / "recipe.json", candidate.recipe)
        if scores:
            _write_scores(path / "scores.parquet", scores)
        if found:
            _write_ranked(path / RANKINGS, {candidate.id: found})
        write_json(path / "verdict.json", to_json(candidate))
        hashes = {found.name: file_digest(found) for found in sorted(path.iterdir()) if found.name != "manifest.json"}
        write_json(path / "manifest.json", {"key": key, "files": hashes})

    def all(self) -> list[Candidate]:
        """Every whole candidate, oldest first."""
        return [self._read(path) for path in self._folders() if (path / "manifest.json").exists()]

    def get(self, name: str) -> Candidate:
        """The candidate of a number (`3`, `0003`) or id (`0003-ranker`).

        Raises:
            ResurveyError: when there is none; names those there are.
        """
        there = self.all()
        for candidate in there:
            if name == candidate.id or (name.isdigit() and int(name) == int(candidate.id[:4])):
                return candidate
        ids = ", ".join(candidate.id for candidate in there) or "none yet"
        raise MissingError(
            [Problem(name, f"is no candidate; there are: base, bm25, rrf, live, {ids}")], "resurvey status DIR"
        )

    def scores(self, id: str) -> dict[str, Scores]:
        """The per-query scores a candidate was judged by, by measure; empty where nothing was scored."""
        path = self.folder / id / "scores.parquet"
        return {name: Scores(id, name, queries, values) for name, queries, values in _read_scores(path)}

    def keep_baselines(self, scores: Mapping[str, Scores], found: Mapping[str, Ranked] | None = None) -> None:
        """Write the per-query scores and rankings of the untouched pipelines and the user's runs."""
        _write_scores(self.folder / BASELINES, scores)
        if found:
            _write_ranked(self.folder / RANKINGS, found)

    def ranked(self, id: str) -> Ranked | None:
        """What a candidate or an untouched pipeline returned, held out; None where nothing was kept."""
        inside = self.folder / id / RANKINGS
        path = inside if inside.exists() else self.folder / RANKINGS
        if not path.exists():
            return None
        rows = [row for row in pq.read_table(path).to_pylist() if row["name"] == id]
        if not rows:
            return None
        return Ranked({r["query"]: tuple(r["top"]) for r in rows}, {r["query"]: r["first"] for r in rows})

    def baselines(self, measure: str) -> dict[str, Scores]:
        """What `keep_baselines` wrote, by name."""
        return {
            name: Scores(name, measure, queries, values)
            for name, queries, values in _read_scores(self.folder / BASELINES)
        }

    def _read(self, path: Path) -> Candidate:
        value: Json = read_json(path / "verdict.json")
        return candidate_from_json(value)

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*") if FOLDER.fullmatch(path.name))


def _write_scores(path: Path, scores: Mapping[str, Scores]) -> None:
    buffer = io.BytesIO()
    queries = next(iter(scores.values())).queries
    columns = {name: found.values for name, found in scores.items()}
    pq.write_table(pa.table({"query": list(queries), **columns}), buffer)
    write_bytes(path, buffer.getvalue())


def _write_ranked(path: Path, found: Mapping[str, Ranked]) -> None:
    rows = [
        {"name": name, "query": query, "first": first, "top": list(ranked.top.get(query, ()))}
        for name, ranked in found.items()
        for query, first in ranked.first.items()
    ]
    kinds = {"name": pa.string(), "query": pa.string(), "first": pa.int64(), "top": pa.list_(pa.string())}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(kinds)), buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())


def _read_scores(path: Path) -> Iterator[tuple[str, tuple[str, ...], Doubles]]:
    if not path.exists():
        return
    table = pq.read_table(path)
    queries = tuple(table["query"].to_pylist())
    for name in table.column_names:
        if name != "query":
            yield name, queries, np.asarray(table[name].to_numpy(), dtype=np.float64)
