"""The collection: what was brought, normalised to Parquet with a manifest of its sources.

The manifest is written last and carries the hash of every file, so a collection is either whole
or not there. Knows nothing about encoders.
"""

from __future__ import annotations

import json
from collections.abc import Collection as Collection_
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resurvey.data.lines import path_name
from resurvey.data.read import NO_SPLIT, Brought, Sources
from resurvey.data.split import documents_by, qrels_of, split
from resurvey.errors import Problem, ResurveyError
from resurvey.types import Answer, Document, Json, Judgment, Qrels, Query
from resurvey.workspace import file_digest, read_json, sync, write_json, writing

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, queries, judgments by split (`train`, `dev`, `test`; any may be missing), runs."""

    documents: tuple[Document, ...]
    queries: Mapping[str, Query]
    qrels: Mapping[str, Qrels]
    runs: Mapping[str, Mapping[str, Mapping[str, float]]]
    statement: str
    """How the judged queries are divided, and what that cannot show."""
    answers: tuple[Answer, ...] = ()
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Which column played which role, by file."""

    def judged(self, *splits: str) -> list[Query]:
        """The queries with at least one relevant document in these splits, in a stable order."""
        return [
            self.queries[query]
            for name in splits
            for query, grades in self.qrels.get(name, {}).items()
            if any(grade > 0 for grade in grades.values())
        ]

    def merged(self, *splits: str) -> Qrels:
        """The judgments of several splits as one."""
        return {query: grades for name in splits for query, grades in self.qrels.get(name, {}).items()}


def collect(brought: Brought, seed: int, split_by: str = "") -> Collection:
    """Make a collection of what was read, dividing the judgments where the user brought no division.

    Raises:
        ResurveyError: when no document has the field `split_by`.
    """
    qrels: dict[str, Qrels] = {name: qrels_of(rows) for name, rows in brought.judgments.items() if rows}
    queries = {query.id: query for query in brought.queries}
    counts = ", ".join(f"{len(part)} {name}" for name, part in qrels.items())
    statement = f"Split as you brought it: {counts}." if qrels else "No judgments were brought."
    if set(qrels) == {"test"}:
        statement += " All are on the test side, so stand-in queries choose the treatments."
    divide = set(qrels) in ({NO_SPLIT}, {"train"})
    if split_by and not divide:
        raise ResurveyError(
            [Problem("--split-by", "there is nothing to divide: a division was brought, or no judgments at all")],
            "leave --split-by out, or bring judgments in one file",
        )
    if divide:
        by = documents_by(brought.documents, split_by) if split_by else None
        if split_by and not by:
            raise ResurveyError(
                [Problem("--split-by", f"no document has a field `{split_by}`")], "name a metadata field of the corpus"
            )
        whole = next(iter(qrels.values()))
        divided = split(whole, queries, seed, by)
        qrels, statement = dict(divided.qrels), divided.statement
    return Collection(brought.documents, queries, qrels, brought.runs, statement, brought.answers, brought.columns)


def save(collection: Collection, folder: Path, sources: Sources) -> Json:
    """Write the collection; returns the manifest, which is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "documents": pa.table({
            "id": [d.id for d in collection.documents],
            "title": [d.title for d in collection.documents],
            "text": [d.text for d in collection.documents],
            "metadata": [json.dumps(dict(d.metadata), ensure_ascii=False) for d in collection.documents],
        }),
        "queries": pa.table({
            "id": [q.id for q in collection.queries.values()],
            "text": [q.text for q in collection.queries.values()],
        }),
        "judgments": _judgment_table(collection.qrels),
        "runs": _run_table(collection.runs),
        "answers": _answer_table(collection.answers),
    }  # fmt: skip
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
        sync(folder / f"{name}.parquet")
    manifest: Json = {
        "sources": {
            **{path_name(path): file_digest(path) for path in sources.files()},
            **({sources.named: "ir_datasets"} if sources.named else {}),
        },
        "ignored": [path_name(path) for path in sources.ignored],
        "columns": {path: dict(roles) for path, roles in collection.columns.items()},
        "files": {f"{name}.parquet": file_digest(folder / f"{name}.parquet") for name in tables},
        "documents": len(collection.documents),
        "queries": len(collection.queries),
        "judged": {name: len(part) for name, part in collection.qrels.items()},
        "runs": sorted(collection.runs),
        "answers": len(collection.answers),
        "statement": collection.statement,
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def with_documents(collection: Collection, documents: Sequence[Document]) -> Collection:
    """The collection over other documents; judgments, runs and answers about those that are missing go."""
    there = {document.id for document in documents}
    lost = sum(d not in there for part in collection.qrels.values() for grades in part.values() for d in grades)
    told = f" {lost} judgments name documents that are gone, and count no longer." if lost else ""
    return replace(
        collection,
        documents=tuple(documents),
        qrels={
            split: {query: {d: g for d, g in grades.items() if d in there} for query, grades in part.items()}
            for split, part in collection.qrels.items()
        },
        runs={
            name: {query: {d: s for d, s in found.items() if d in there} for query, found in run.items()}
            for name, run in collection.runs.items()
        },
        answers=tuple(replace(a, passages=tuple(p for p in a.passages if p in there)) for a in collection.answers),
        statement=collection.statement + told,
    )


def without(folder: Path, gone: Collection_[str]) -> None:
    """Take documents out of what was brought, and the judgments, runs and answers that name them.

    The manifest keeps the hash that it had: what was measured before is not stale by that alone.
    """
    manifest = read_json(folder / MANIFEST)
    origin = manifest.get("origin") or file_digest(folder / MANIFEST)
    ids = pa.array(sorted(gone), pa.string())
    for name, column in (("documents", "id"), ("judgments", "document"), ("runs", "document")):
        table = pq.read_table(folder / f"{name}.parquet")
        left = table.filter(pc.invert(pc.is_in(table[column], ids)))
        if len(left) < len(table):
            _rewrite(left, folder / f"{name}.parquet")
    if "answers.parquet" in manifest["files"]:
        table = pq.read_table(folder / "answers.parquet")
        left = table.filter(
            pa.array([not set(found) & set(gone) for found in table["passages"].to_pylist()], pa.bool_())
        )
        if len(left) < len(table):
            _rewrite(left, folder / "answers.parquet")
    files = {name: file_digest(folder / name) for name in manifest["files"]}
    count = pq.read_metadata(folder / "documents.parquet").num_rows
    write_json(folder / MANIFEST, {**manifest, "files": files, "documents": count, "origin": origin})


def _rewrite(table: pa.Table, path: Path) -> None:
    with writing(path) as file:
        pq.write_table(table, file, compression="zstd")


def load(folder: Path) -> Collection:
    """The collection that `save` wrote.

    Raises:
        ResurveyError: when a file is missing or is not the one the manifest names.
    """
    manifest = read_json(folder / MANIFEST)
    changed = [
        Problem(str(folder / name), "is missing or was changed since it was imported")
        for name, hash in manifest["files"].items()
        if not (folder / name).exists() or file_digest(folder / name) != hash
    ]
    if changed:
        raise ResurveyError(changed, "resurvey init NEW_DIR with the sources, then run there")
    documents = tuple(
        Document(row["id"], row["text"], row["title"], json.loads(row["metadata"]))
        for row in pq.read_table(folder / "documents.parquet").to_pylist()
    )
    queries = {
        row["id"]: Query(row["id"], row["text"]) for row in pq.read_table(folder / "queries.parquet").to_pylist()
    }
    rows: dict[str, list[Judgment]] = {}
    for row in pq.read_table(folder / "judgments.parquet").to_pylist():
        rows.setdefault(row["split"], []).append(Judgment(row["query"], row["document"], row["grade"]))
    runs: dict[str, dict[str, dict[str, float]]] = {name: {} for name in manifest["runs"]}
    for row in pq.read_table(folder / "runs.parquet").to_pylist():
        runs[row["run"]].setdefault(row["query"], {})[row["document"]] = row["score"]
    answers: tuple[Answer, ...] = ()
    if "answers.parquet" in manifest["files"]:  # collections made before answers could be brought have none
        kept = pq.read_table(folder / "answers.parquet").to_pylist()
        answers = tuple(Answer(r["query"], tuple(r["passages"]), r["answer"], r["reference"]) for r in kept)
    qrels = {name: qrels_of(part) for name, part in rows.items()}
    return Collection(documents, queries, qrels, runs, manifest["statement"], answers, manifest.get("columns", {}))


def _judgment_table(qrels: Mapping[str, Qrels]) -> pa.Table:
    rows = [(s, q, d, g) for s, part in qrels.items() for q, grades in part.items() for d, g in grades.items()]
    return _columns(rows, {"split": pa.string(), "query": pa.string(), "document": pa.string(), "grade": pa.int64()})


def _run_table(runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> pa.Table:
    rows = [(n, q, d, s) for n, run in runs.items() for q, scores in run.items() for d, s in scores.items()]
    return _columns(rows, {"run": pa.string(), "query": pa.string(), "document": pa.string(), "score": pa.float64()})


def _answer_table(answers: Sequence[Answer]) -> pa.Table:
    return pa.table({
        "query": pa.array([a.query for a in answers], pa.string()),
        "passages": pa.array([list(a.passages) for a in answers], pa.list_(pa.string())),
        "answer": pa.array([a.answer for a in answers], pa.string()),
        "reference": pa.array([a.reference for a in answers], pa.string()),
    })  # fmt: skip


def _columns(rows: Sequence[tuple[str | int | float, ...]], types: Mapping[str, pa.DataType]) -> pa.Table:
    return pa.table({name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(types.items())})
