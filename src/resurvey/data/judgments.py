"""Grades of documents for queries, and TREC runs: tables of ids that must be known."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resurvey.data.columns import Columns
from resurvey.data.lines import Problems, read_columns, shown
from resurvey.data.records import identifier
from resurvey.data.rows import Table
from resurvey.types import Judgment

GRADES = range(5)


@dataclass(slots=True)
class Grades:
    """All grades met, by split and by (query, document), each with the place that gave it."""

    problems: Problems
    given: dict[str, dict[tuple[str, str], tuple[int, str]]] = field(default_factory=dict)

    def add(self, split: str, query: str, document: str, grade: int, path: Path | str, line: int) -> None:
        """Keep one grade; another one for the same pair is a problem."""
        where = f"line {line}" if line else "an earlier row"
        first, place = self.given.setdefault(split, {}).setdefault((query, document), (grade, f"{path}\n{where}"))
        if first != grade:
            file, _, other = place.partition("\n")
            other = other if file == str(path) else f"{file}, {other},"
            what = f"grades {shown(document)} for {shown(query)} {grade}, {other} graded it {first}"
            self.problems.add(path, line, what)

    def relevant(self, query: str, document: str) -> bool:
        """Whether some split grades the document above 0 for the query."""
        return any(pairs.get((query, document), (0, ""))[0] > 0 for pairs in self.given.values())

    def judgments(self) -> dict[str, tuple[Judgment, ...]]:
        """The grades as records, by split."""
        return {
            split: tuple(Judgment(query, document, grade) for (query, document), (grade, _) in pairs.items())
            for split, pairs in self.given.items()
        }


def grade_of(value: object) -> int | None:
    """A cell as a grade, None where it is not a whole number from 0 to 4."""
    if isinstance(value, bool):
        return None
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number.is_integer() and int(number) in GRADES else None


def bad_grade(value: object) -> str:
    """What to say of a grade outside the scale."""
    return f"grade is {shown(value)}, must be a whole number from 0 to 4"


def judge(
    table: Table, columns: Columns, split: str, queries: Container[str], documents: Container[str], grades: Grades
) -> None:
    """Add a table's judgments to `grades`; ids must be known."""
    grades.given.setdefault(split, {})
    for line, cells in table.rows:
        names = {role: columns.value(cells, role) for role in ("query", "document", "grade")}
        if not names["query"][0] or not names["document"][0]:
            what = f"names no query or no document; its fields are {shown(sorted(cells))}"
            grades.problems.add(table.path, line, what)
            continue
        query = identifier(*names["query"], table.path, line, grades.problems)
        document = identifier(*names["document"], table.path, line, grades.problems)
        if query is not None and query not in queries:
            grades.problems.add(table.path, line, f"query {shown(query)} is not among the queries")
        if document is not None and document not in documents:
            grades.problems.add(table.path, line, f"document {shown(document)} is not in the corpus")
        value = names["grade"][1] if names["grade"][1] is not None else 1
        grade = grade_of(value)
        if grade is None:
            grades.problems.add(table.path, line, bad_grade(value))
        elif query is not None and document is not None:
            grades.add(split, query, document, grade, table.path, line)


def refuse_shared_queries(
    judgments: Mapping[str, tuple[Judgment, ...]], where: Mapping[str, Path | str], problems: Problems
) -> None:
    """A query judged in two splits is a problem of the later one."""
    owner: dict[str, str] = {}
    for split, rows in judgments.items():
        shared = sorted({row.query for row in rows if owner.get(row.query, split) != split})
        if shared:
            others = sorted({owner[query] for query in shared})
            what = (
                f"{len(shared)} queries are judged in {', '.join(others)} too "
                f"(first: {shown(shared[0])}); a split must have its own"
            )
            problems.add(where.get(split, split), 0, what)
        owner.update({row.query: split for row in rows})


def read_run(path: Path, documents: Container[str], problems: Problems) -> dict[str, dict[str, float]]:
    """A TREC run file (`query Q0 document rank score tag`): query id to {document id: score}."""
    run: dict[str, dict[str, float]] = {}
    for line, cells in read_columns(path, problems):
        if len(cells) != 6:
            problems.add(path, line, f"has {len(cells)} columns, a TREC run has 6 (query Q0 document rank score tag)")
            continue
        query, _, document, _, value, _ = cells
        try:
            score = float(value)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            problems.add(path, line, f"score is {shown(value)}, must be a number")
        if document not in documents:
            problems.add(path, line, f"document {shown(document)} is not in the corpus")
        if document in run.setdefault(query, {}):
            problems.add(path, line, f"ranks {shown(document)} twice for {shown(query)}")
        run[query][document] = score
    return run
