"""A task: queries, passages, which of them answer, which do not; and the dials of one training.

Round-trips through a folder, so that a training can be looked at, done elsewhere, or resumed. Knows nothing
about models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from resurvey.types import Json, Qrels
from resurvey.workspace import canonical, digest, read_json, write_json, writing

Places = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be learned: `positives[q]` and `negatives[q]` are places of passages.

    `kin` labels passages that are parts of one document or near-duplicates: none of them is ever the negative of
    a query that another one answers.
    """

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    positives: Places
    negatives: Places
    kin: tuple[int, ...]
    sources: tuple[str, ...] = ()
    """Where every query came from: a judgment, a generator, a click; empty where all are judgments."""
    taught: tuple[tuple[float, ...], ...] = ()
    """A teacher's scores of each query's positives, then of its negatives; empty without one."""

    @property
    def key(self) -> str:
        """Hash of all of it."""
        rest = canonical([self.positives, self.negatives, self.kin, self.taught])
        return digest(*self.queries, "passages", *self.passages, rest)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Queries that training never sees, and the passages among which they must find theirs."""

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    owners: tuple[str, ...]
    """The document of every passage."""
    qrels: tuple[dict[str, int], ...]
    """Grades of documents for every query."""

    def as_qrels(self) -> Qrels:
        """The grades by the queries' places, as evaluators want them."""
        return {str(place): grades for place, grades in enumerate(self.qrels)}


@dataclass(frozen=True, slots=True)
class Dials:
    """How a training goes. The defaults were measured (docs/treat.md)."""

    rate: float = 5e-5
    """Highest learning rate."""
    temperature: float = 0.05
    """What similarities are divided by: lower looks more at the hardest negatives."""
    passes: int = 1
    """Times that every query is seen."""
    anchors: int = 48
    """Passages with queries in a batch."""
    shared: int = 8
    """Queries of one passage in a batch, at most: they share the work of reading it."""
    extras: int = 16
    """Mined negatives beside the anchors in a batch, at most."""
    max_tokens: int = 128
    """Tokens of a text that are read while learning."""
    dimensions: tuple[int, ...] = ()
    """Shorter lengths at which vectors must serve, too (Matryoshka; Kusupati et al., NeurIPS 2022)."""
    held: int = 24_576
    """Tokens whose activations are held at a time; larger batches are read twice (GradCache; Gao et al., 2021)."""
    checks: int = 6
    """Times that held-out queries are asked."""
    patience: int = 2
    """Checks in a row without a better one that end the training."""
    stop: float = 1.0
    """Share of the steps after which the training ends."""
    distil: float = 0.0
    """Weight of a teacher's margins beside the answers' own loss; 0 does not ask for them."""
    seed: int = 13
    layers: int = 0
    """Lowest layers that stay as they are, the token embeddings with them; 0: all learn."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one training needs beside the model."""

    task: Task
    dials: Dials
    held_out: HeldOut | None = None
    prompts: tuple[str, str] = ("", "")
    """What stands before a query and before a passage."""

    @property
    def key(self) -> str:
        """Hash of all of it."""
        asked = canonical(asdict(self.held_out)) if self.held_out else ""
        return digest(self.task.key, canonical(asdict(self.dials)), asked, *self.prompts)


@dataclass(slots=True)
class Course:
    """How a training went: one row a check, and where the best weights are."""

    folder: Path
    log: list[Json] = field(default_factory=list)

    @property
    def model(self) -> Path:
        """The folder of the best weights."""
        return self.folder / "model"

    @property
    def best(self) -> Json:
        """The row of the best check; the last one where nothing was held out."""
        scored = [row for row in self.log if row.get("held out") is not None]
        return max(scored, key=lambda row: float(row["held out"])) if scored else self.log[-1]


def save(lesson: Lesson, folder: Path) -> None:
    """Write a lesson, its dials last."""
    task, held = lesson.task, lesson.held_out
    _table(folder / "queries.parquet", {
        "text": task.queries, "positives": task.positives, "negatives": task.negatives,
        "source": task.sources or ("judgment",) * len(task.queries),
        "taught": task.taught or ((),) * len(task.queries),
    })  # fmt: skip
    _table(folder / "passages.parquet", {"text": task.passages, "kin": task.kin})
    if held:
        graded = [[{"document": d, "grade": g} for d, g in grades.items()] for grades in held.qrels]
        _table(folder / "held-out-queries.parquet", {"text": held.queries, "grades": graded})
        _table(folder / "held-out-passages.parquet", {"text": held.passages, "document": held.owners})
    write_json(
        folder / "lesson.json", {"key": lesson.key, "prompts": list(lesson.prompts), "dials": asdict(lesson.dials)}
    )


def load(folder: Path) -> Lesson:
    """What `save` wrote."""
    facts = read_json(folder / "lesson.json")
    asked, read = (pq.read_table(folder / f"{name}.parquet").to_pydict() for name in ("queries", "passages"))
    task = Task(
        tuple(asked["text"]), tuple(read["text"]), _places(asked["positives"]), _places(asked["negatives"]),
        tuple(read["kin"]), tuple(asked["source"]), tuple(map(tuple, asked["taught"])) if any(asked["taught"]) else (),
    )  # fmt: skip
    held = None
    if (folder / "held-out-queries.parquet").exists():
        judged, among = (
            pq.read_table(folder / f"held-out-{name}.parquet").to_pydict() for name in ("queries", "passages")
        )
        qrels = tuple({row["document"]: row["grade"] for row in rows} for rows in judged["grades"])
        held = HeldOut(tuple(judged["text"]), tuple(among["text"]), tuple(among["document"]), qrels)
    dials = Dials(**{**facts["dials"], "dimensions": tuple(facts["dials"]["dimensions"])})
    query, passage = facts["prompts"]
    return Lesson(task, dials, held, (query, passage))


def _places(rows: Sequence[Sequence[int]]) -> Places:
    return tuple(tuple(row) for row in rows)


def _table(path: Path, columns: dict[str, Sequence[object]]) -> None:
    with writing(path) as file:
        pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), file, compression="zstd")
