"""Examples: what a model learns from, each with where it came from (R61).

Judgments, synthetic queries and, later, clicks end up as rows of one table, which is kept as Parquet bytes: an
artefact like any other. Knows nothing about how queries are made or models trained.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resurvey.errors import Problem, ResurveyError
from resurvey.types import Document, Qrels, Query

JUDGMENT, CLICK = "judgment", "click"
PROVENANCES = {
    JUDGMENT: "A person judged the document relevant to the query.",
    CLICK: "A user chose the document from what the query found.",
    "synthetic: title": "The title, or its last part.",
    "synthetic: heading": "A heading inside the text.",
    "synthetic: definition": "The term of a definition or of a glossary's entry.",
    "synthetic: sentence": "A sentence, or a piece of one, close to what the document is about.",
    "synthetic: code": "A function's or class' name as words, or the head of its documentation.",
    "synthetic: shorthand": "A title or sentence without its shorter words.",
    "synthetic: keywords": "The document's rarest and most frequent words, in reading order.",
    "synthetic: llm": "Written by a language model that read the passage and some real queries.",
}
"""Every source of examples, and what such a query is made of."""
SCHEMA = pa.schema({
    "query": pa.string(), "document": pa.string(), "provenance": pa.string(), "weight": pa.float64(),
    "from": pa.int64(), "to": pa.int64(),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """A query's text, a document that answers it, where that is known from, and how much it counts."""

    query: str
    document: str
    provenance: str = JUDGMENT
    weight: float = 1.0
    lifted: tuple[int, int] = (0, 0)
    """Characters [start, end) of the document's full text that the query was taken from; (0, 0) for none."""

    @property
    def synthetic(self) -> bool:
        """Whether nobody ever typed the query."""
        return self.provenance.startswith("synthetic")

    def shown(self, document: Document) -> str:
        """The document's full text without what the query was lifted from.

        A query that stands in the text word for word teaches to match words; without its source it teaches to match
        what surrounds it (the inverse cloze task, Lee, Chang and Toutanova, ACL 2019, hides nine sources of ten).
        """
        start, end = self.lifted
        text = document.full_text
        return f"{text[:start]} {text[end:]}".strip() if end > start else text


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples in a fixed order."""

    rows: tuple[Example, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.rows)

    def counts(self) -> dict[str, int]:
        """Number of examples by provenance, in the order of PROVENANCES; sources without any are left out."""
        found = Counter(row.provenance for row in self.rows)
        return {name: found[name] for name in PROVENANCES if found[name]}

    def dump(self) -> bytes:
        """The table as Parquet: an artefact."""
        columns = {
            "query": [row.query for row in self.rows], "document": [row.document for row in self.rows],
            "provenance": [row.provenance for row in self.rows], "weight": [row.weight for row in self.rows],
            "from": [row.lifted[0] for row in self.rows], "to": [row.lifted[1] for row in self.rows],
        }  # fmt: skip
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns, schema=SCHEMA), buffer, compression="zstd")
        return buffer.getvalue()


def load_examples(data: bytes, where: str = "examples") -> Examples:
    """What `dump` wrote.

    Raises:
        ResurveyError: naming every column that is missing, and every value that no example can have.
    """
    again = "the command that made them, again"
    try:
        table = pq.read_table(io.BytesIO(data))
    except pa.ArrowException as error:
        raise ResurveyError([Problem(where, f"is no Parquet table: {str(error).splitlines()[0]}")], again) from error
    missing = [Problem(where, f"has no column `{name}`") for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise ResurveyError(missing, again)
    try:
        rows = table.select(SCHEMA.names).cast(SCHEMA).to_pylist()
    except pa.ArrowException as error:
        raise ResurveyError([Problem(where, f"has a column of another kind: {error}")], again) from error
    wrong = [problem for place, row in enumerate(rows, 1) for problem in _problems(f"{where}:{place}", row)]
    if wrong:
        raise ResurveyError(wrong, again)
    return Examples(tuple(
        Example(row["query"], row["document"], row["provenance"], row["weight"], (row["from"], row["to"]))
        for row in rows
    ))  # fmt: skip


def _problems(where: str, row: dict[str, str | float | int | None]) -> Iterator[Problem]:
    for name in SCHEMA.names:
        if row[name] is None:
            yield Problem(where, f"has no `{name}`")
    source, weight = row["provenance"], row["weight"]
    if source is not None and source not in PROVENANCES:
        yield Problem(where, f"has the provenance '{source}'; known are {', '.join(PROVENANCES)}")
    if isinstance(weight, float) and not (np.isfinite(weight) and weight > 0):
        yield Problem(where, f"has the weight {weight}; it must be above 0")


def from_judgments(queries: Sequence[Query], qrels: Qrels) -> Examples:
    """An example for every document that a query's judgments call relevant, whatever the grade."""
    return Examples(tuple(
        Example(query.text, document)
        for query in queries
        for document, grade in qrels.get(query.id, {}).items()
        if grade > 0
    ))  # fmt: skip


def combined(*parts: Examples) -> Examples:
    """All examples, the first of those with equal words and document: bring judgments first, then clicks."""
    kept: dict[tuple[str, str], Example] = {}
    for part in parts:
        for row in part:
            kept.setdefault((plain(row.query), row.document), row)
    return Examples(tuple(kept.values()))


def plain(text: str) -> str:
    """A query without what nobody would call a difference: case, spacing, a mark at its end."""
    return " ".join(text.lower().split()).rstrip("?.! ")
