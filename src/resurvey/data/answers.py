"""Answer logs: what was asked, the passages that were shown, what was answered, what would have been right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resurvey.data.columns import Columns
from resurvey.data.lines import shown
from resurvey.data.pairs import several
from resurvey.data.records import text
from resurvey.data.rows import Table
from resurvey.data.texts import Known
from resurvey.types import Answer


def answers(table: Table, columns: Columns, known: Known) -> tuple[Answer, ...]:
    """The table's rows as answers, in their order."""
    found = []
    for line, cells in table.rows:
        query = known.query(columns.value(cells, "query")[1], table.path, line)
        shown_ = _passages(columns.value(cells, "passages")[1], known, table.path, line)
        column, value = columns.value(cells, "answer")
        said = text(column or "answer", value, table.path, line, known.problems)
        if not said:
            known.problems.add(table.path, line, f"has no answer, only {shown(value)}")
        column, value = columns.value(cells, "reference")
        reference = several(value)[:1]
        right = text(column, reference[0], table.path, line, known.problems) if reference else ""
        if query is not None:
            found.append(Answer(query, shown_, said, right))
    return tuple(found)


def _passages(cell: Any, known: Known, path: Path, line: int) -> tuple[str, ...]:
    """Document ids of a cell: a list, one id or text, or known ids between spaces, commas or semicolons."""
    values = several(cell)
    if len(values) == 1 and isinstance(values[0], str) and known.find(values[0]) is None:
        parts = values[0].replace(",", " ").replace(";", " ").split()
        if len(parts) > 1 and known.named and all(part in known.documents for part in parts):
            values = list(parts)
    return tuple(id for value in values if (id := known.document(value, path, line)) is not None)
