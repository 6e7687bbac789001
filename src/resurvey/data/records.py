"""Rows of known columns become documents and queries; every bad cell is a problem of its line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from resurvey.data.columns import Columns
from resurvey.data.lines import Problems, shown
from resurvey.data.rows import Table
from resurvey.types import Document, Query, Scalar

SURROGATE = re.compile(r"[\ud800-\udfff]")
UNNAMEABLE = re.compile(r"[\s\0\ud800-\udfff]")
NUMERAL = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
"""Cells of a text format that are numbers, and lose nothing as numbers."""


def identifier(column: str, found: object, path: Path | str, line: int, problems: Problems) -> str | None:
    """A cell as an id, None where it cannot be one."""
    if isinstance(found, bool) or not isinstance(found, str | int) or not str(found).strip():
        problems.add(path, line, f"`{column}` is {shown(found)}, must be a text or a whole number")
        return None
    if UNNAMEABLE.search(str(found)):
        what = "white space, NUL or half of a surrogate pair (TREC files could not name it)"
        problems.add(path, line, f"`{column}` is {shown(found)}, must not hold {what}")
        return None
    return str(found)


def text(column: str, found: object, path: Path | str, line: int, problems: Problems) -> str:
    """A cell as a text, empty where there is none or where it cannot be one."""
    if found is None:
        return ""
    if not isinstance(found, str):
        problems.add(path, line, f"`{column}` is {shown(found)}, must be a text")
        return ""
    if SURROGATE.search(found):
        problems.add(path, line, f"`{column}` holds half of a surrogate pair, which is no character")
        return ""
    return found.replace("\0", " ").strip()


def scalars(fields: Mapping[Any, Any]) -> dict[str, Scalar]:
    """The fields that metadata can hold: texts, finite numbers, yes and no."""
    return {
        str(name): value
        for name, value in fields.items()
        if isinstance(value, str | int | float | bool) and not (isinstance(value, float) and not math.isfinite(value))
    }


def documents(table: Table, columns: Columns, problems: Problems) -> tuple[dict[str, Document], Columns]:
    """Documents by id in the table's order, and the columns with what could not become metadata taken out."""
    found: dict[str, Document] = {}
    lines: dict[str, int] = {}
    numeric = set() if table.typed else _numeric(table, columns)
    kept: dict[str, None] = {}
    for count, (line, cells) in enumerate(table.rows, start=1):
        id = _id(columns, cells, count, table.path, line, problems)
        title = text(*columns.value(cells, "title"), table.path, line, problems)
        body = text(*columns.value(cells, "text"), table.path, line, problems)
        if id is None:
            continue
        if not title and not body:
            problems.add(table.path, line, f"document {shown(id)} has neither title nor text")
        if id in lines:
            problems.add(table.path, line, f"document id {shown(id)} is that of line {lines[id]} already")
            continue
        lines[id] = line
        metadata = _metadata(columns, cells, table, line, problems, numeric)
        kept.update(dict.fromkeys(metadata))
        found[id] = Document(id, body, title, metadata)
    return found, replace(columns, rest=tuple(kept))


def queries(table: Table, columns: Columns, problems: Problems) -> dict[str, Query]:
    """Queries by id in the table's order."""
    found: dict[str, Query] = {}
    lines: dict[str, int] = {}
    for count, (line, cells) in enumerate(table.rows, start=1):
        id = _id(columns, cells, count, table.path, line, problems)
        asked = text(*columns.value(cells, "text"), table.path, line, problems)
        if id is None:
            continue
        if not asked:
            problems.add(table.path, line, f"query {shown(id)} has no text")
        if id in lines:
            problems.add(table.path, line, f"query id {shown(id)} is that of line {lines[id]} already")
            continue
        lines[id] = line
        found[id] = Query(id, asked)
    return found


def _id(
    columns: Columns, cells: Mapping[str, Any], count: int, path: Path | str, line: int, problems: Problems
) -> str | None:
    """The row's id; its number where the file has no column of ids."""
    if not columns.roles.get("id"):
        return str(count)
    column, found = columns.value(cells, "id")
    if not column:
        problems.add(path, line, f"has no id (`_id` or `id`); its fields are {shown(sorted(cells))}")
        return None
    return identifier(column, found, path, line, problems)


def _metadata(
    columns: Columns, cells: Mapping[str, Any], table: Table, line: int, problems: Problems, numeric: set[str]
) -> dict[str, Scalar]:
    column, given = columns.value(cells, "metadata")
    if given is not None and given != "" and not isinstance(given, dict):
        problems.add(table.path, line, f"`{column}` is {shown(given)}, must be an object")
    used = {columns.value(cells, role)[0] for role in columns.roles}
    fields = {name: value for name, value in cells.items() if name not in used}
    if not table.typed:
        fields = {name: _number(value) if name in numeric else value for name, value in fields.items() if value != ""}
    flat = scalars({**fields, **(given if isinstance(given, dict) else {})})
    for name, value in flat.items():
        if SURROGATE.search(f"{name}{value}" if isinstance(value, str) else name):
            problems.add(table.path, line, f"field {shown(name)} holds half of a surrogate pair, which is no character")
    return flat


def _numeric(table: Table, columns: Columns) -> set[str]:
    """The columns of texts that are all numbers."""
    return {name for name in columns.rest if all(_is_number(cells[name]) for _, cells in table.rows)}


def _is_number(cell: str) -> bool:
    return not cell or NUMERAL.fullmatch(cell) is not None


def _number(cell: str) -> int | float:
    return float(cell) if "." in cell else int(cell)
