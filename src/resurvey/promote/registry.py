"""The registry: candidates as folders, each whole once its manifest is there.

Rejected ones keep their scores and verdict: what did not work is part of the result. Knows nothing
about how a candidate was made or whether it may go live.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resurvey.errors import Problem, ResurveyError
from resurvey.evaluate.measures import Scores
from resurvey.types import Candidate, Doubles, Json, candidate_from_json, to_json
from resurvey.workspace import Workspace, file_digest, read_json, write_bytes, write_json

FOLDER = re.compile(r"(\d{4})-[\w-]+")
BASELINES = "baselines.parquet"


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

    def add(self, candidate: Candidate, scores: Mapping[str, Scores], key: str) -> None:
        """Write a candidate's folder; its manifest last."""
        path = self.folder / candidate.id
        if candidate.recipe:
            write_json(path / "recipe.json", candidate.recipe)
        if scores:
            _write_scores(path / "scores.parquet", scores)
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
        raise ResurveyError(
            [Problem(name, f"is no candidate; there are: base, bm25, rrf, live, {ids}")], "resurvey status DIR"
        )

    def scores(self, id: str) -> dict[str, Scores]:
        """The per-query scores a candidate was judged by, by measure; empty where nothing was scored."""
        path = self.folder / id / "scores.parquet"
        return {name: Scores(id, name, queries, values) for name, queries, values in _read_scores(path)}

    def keep_baselines(self, scores: Mapping[str, Scores]) -> None:
        """Write the per-query scores of the untouched pipelines and the user's runs."""
        _write_scores(self.folder / BASELINES, scores)

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


def _read_scores(path: Path) -> Iterator[tuple[str, tuple[str, ...], Doubles]]:
    if not path.exists():
        return
    table = pq.read_table(path)
    queries = tuple(table["query"].to_pylist())
    for name in table.column_names:
        if name != "query":
            yield name, queries, np.asarray(table[name].to_numpy(), dtype=np.float64)
