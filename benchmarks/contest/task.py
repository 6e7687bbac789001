"""A task: what one collection gives to init, to the peers, and which queries are ranked and scored.

Every row of a table gets the same task. The test side's queries are those that train and dev do not judge, so
that no test judgment is opened before everything is ranked. Knows nothing about who ranks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

COLLECTIONS = ("attack-procedures", "covid-faq", "code-cosqa", "product-match", "job-titles", "aero-cranfield")
Grades = dict[str, dict[str, int]]
"""query id to {document id: grade}"""
Document = dict[str, Any]
"""A row of `corpus.jsonl`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a collection is used."""

    split: str = "held-out"
    """`held-out`: dev queries are scored; `test`: the test side."""
    judged: bool = True
    """Whether train and dev judgments are brought at all."""
    train_queries: int = 0
    """Training queries to draw, and dev is then not brought; 0 takes all, and dev beside them."""
    draw: int = 0
    limit: int = 0
    """Training queries and scored queries for a smoke test, over a corpus cut to match; 0 takes all."""


@dataclass(frozen=True, slots=True)
class Task:
    """One collection, cut to a choice."""

    name: str
    source: Path
    choice: Choice
    documents: tuple[Document, ...]
    brought: Mapping[str, Grades]
    """Judgments that init gets, by side."""
    training: Grades
    """Judgments that a peer trains on."""
    asked: Mapping[str, str]
    """Queries that are ranked, id to text."""
    texts: Mapping[str, str]
    """Text of every brought query."""

    @property
    def inside(self) -> bool:
        """Whether the run's own held-out scores of the dev queries are read, because init got their judgments."""
        return self.choice.split == "held-out" and "dev" in self.brought

    def write(self, folder: Path) -> Path:
        """The BEIR folder that init reads; no test judgment, and no query that nothing brought judges."""
        (folder / "qrels").mkdir(parents=True)
        _lines(folder / "corpus.jsonl", self.documents)
        queries(folder / "queries.jsonl", self.texts)
        for side, grades in self.brought.items():
            rows = [f"{query}\t{doc}\t{grade}" for query, found in grades.items() for doc, grade in found.items()]
            (folder / "qrels" / f"{side}.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
        return folder

    def write_peer(self, folder: Path) -> Path:
        """What a peer reads: the corpus, rows of (query, relevant documents) in order, and queries to rank."""
        folder.mkdir(parents=True, exist_ok=True)
        _lines(folder / "corpus.jsonl", self.documents)
        rows = (
            {"query": self.texts[q], "relevant": [d for d, g in f.items() if g > 0]} for q, f in self.training.items()
        )
        _lines(folder / "train.jsonl", (row for row in rows if row["relevant"]))
        queries(folder / "asked.jsonl", self.asked)
        return folder

    def digest(self) -> str:
        """Hash of everything that ours reads and ranks."""
        parts: list[Any] = [self.documents, self.brought, dict(self.texts), dict(self.asked), self.inside]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def task(source: Path, choice: Choice) -> Task:
    """Cut a collection to a choice; test judgments stay closed."""
    sides = {side: path for side in ("train", "dev") if (path := source / "qrels" / f"{side}.tsv").exists()}
    judged = {side: grades(path) for side, path in sides.items()}
    every = {row["_id"]: row["text"] for row in _rows(source / "queries.jsonl")}
    known = {query for found in judged.values() for query in found}
    asked = [q for q in every if q not in known] if choice.split == "test" else list(judged.get("dev", {}))
    training, documents = judged.get("train", {}), tuple(_rows(source / "corpus.jsonl"))
    if choice.limit:
        training, asked = drawn(training, choice.limit, 0), asked[: choice.limit]
        dev = {query: judged.get("dev", {})[query] for query in asked if query in judged.get("dev", {})}
        judged = {side: {"train": training, "dev": dev}[side] for side in judged}
        documents = _cut(documents, judged.values(), 20 * choice.limit)
    if choice.train_queries:
        training = drawn(training, choice.train_queries, choice.draw)
    brought = {} if not choice.judged else {"train": training} if choice.train_queries else judged
    brought = {side: found for side, found in brought.items() if found}
    texts = {query: every[query] for found in brought.values() for query in found}
    return Task(
        source.name, source, choice, documents, brought, training if choice.judged else {},
        {query: every[query] for query in asked}, texts,
    )  # fmt: skip


def drawn(judged: Grades, count: int, draw: int) -> Grades:
    """`count` of the queries, the same ones first at every count of one draw; all where there are fewer."""
    names = sorted(judged)
    chosen = set(np.random.default_rng(draw).permutation(len(names))[:count].tolist())
    return {query: judged[query] for place, query in enumerate(names) if place in chosen}


def truths(task: Task) -> dict[str, Grades]:
    """Judgments of the ranked queries: `` for the whole side, and further test sides by name. Reads the test side."""
    folder, split = task.source / "qrels", task.choice.split
    if split != "test":
        dev = grades(folder / "dev.tsv")
        return {"": {query: dev[query] for query in task.asked}}
    sides = {"": folder / "test.tsv", **{path.stem: path for path in sorted(folder.glob("test-*.tsv"))}}
    found = {side: grades(path) for side, path in sides.items()}
    return {side: {query: row for query, row in rows.items() if query in task.asked} for side, rows in found.items()}


def grades(path: Path) -> Grades:
    """A qrels file with a header: query, document, grade."""
    found: Grades = {}
    for line in path.read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        found.setdefault(query, {})[document] = int(grade)
    return found


def text_of(document: Document) -> str:
    """A whole document as one text."""
    return f"{document.get('title', '')} {document['text']}".strip()


def queries(path: Path, texts: Mapping[str, str]) -> None:
    """Write queries, one JSON object a line."""
    _lines(path, ({"_id": id, "text": text} for id, text in texts.items()))


def _cut(documents: tuple[Document, ...], judged: Iterable[Grades], most: int) -> tuple[Document, ...]:
    """The documents that judgments name, and the first others."""
    named = {document for found in judged for row in found.values() for document in row}
    kept = named | {row["_id"] for row in documents[:most]}
    return tuple(row for row in documents if row["_id"] in kept)


def _rows(path: Path) -> list[Document]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
