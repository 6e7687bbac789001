"""Pairs and triplets: a query, what is relevant to it, and what somebody said is not."""

from __future__ import annotations

import json
from typing import Any

from resurvey.data.columns import Columns
from resurvey.data.judgments import Grades, bad_grade, grade_of
from resurvey.data.rows import Table
from resurvey.data.texts import Known


def pair(table: Table, columns: Columns, split: str, known: Known, grades: Grades) -> None:
    """Add a table's pairs to `grades`: positives 1 (or the row's grade), negatives 0."""
    path = table.path
    grades.given.setdefault(split, {})
    for line, cells in table.rows:
        query = known.query(columns.value(cells, "query")[1], path, line)
        value = columns.value(cells, "grade")[1]
        given = value is not None
        grade = grade_of(value if given else 1)
        if grade is None:
            grades.problems.add(path, line, bad_grade(value))
        positives = several(columns.value(cells, "positive")[1])
        if not positives:
            grades.problems.add(path, line, "names nothing that is relevant")
        negatives = [one for column in columns.roles.get("negative", ()) for one in several(cells.get(column))]
        for value, graded in [*((one, grade) for one in positives), *((one, 0) for one in negatives)]:
            document = known.document(value, path, line)
            if query is None or document is None or graded is None:
                continue
            if graded and not given and grades.relevant(query, document):
                continue  # a pair says relevant, not how much
            grades.add(split, query, document, graded, path, line)


def several(cell: Any) -> list[Any]:
    """A cell that names one thing or several (a list, or a JSON list in a text); empty where it names none."""
    if isinstance(cell, str) and cell.startswith("["):
        try:
            value = json.loads(cell)
        except (ValueError, RecursionError):
            return [cell]
        return value if isinstance(value, list) else [cell]
    if isinstance(cell, list | tuple):
        return list(cell)
    return [] if cell is None or cell == "" else [cell]
