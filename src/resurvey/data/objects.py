"""JSON and plain text: objects a line, an array of objects, one text a line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from resurvey.data.lines import Problems, read_lines, read_text, shown
from resurvey.data.rows import Row, Table, table_of

SPACE = re.compile(r"[ \t\n\r]*")


def lines(path: Path, problems: Problems) -> Table:
    """A file of one JSON object a line."""
    rows: list[Row] = []
    for number, line in read_lines(path, problems):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(path, number, f"is not JSON: {_why(error)}")
            continue
        _keep(value, path, number, rows, problems)
    return table_of(path, rows)


def array(path: Path, problems: Problems) -> Table:
    """A file that is one JSON array of objects; one of an object a line is read too."""
    text = read_text(path, problems)
    if text is None:
        return table_of(path, [])
    start = text[_space(text, 0) :][:1]
    if start == "[":
        return _elements(path, text, problems)
    first = next((line for line in text.split("\n") if line.strip()), "")
    try:
        whole = not first or isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        whole = False
    if whole:
        return lines(path, problems) if first else table_of(path, [])
    problems.add(path, 0, f"must be a JSON array of objects, or one object a line; it begins with {shown(first, 40)}")
    return table_of(path, [])


def texts(path: Path, problems: Problems) -> Table:
    """A file of one text a line, under the column `text`."""
    return Table(path, ("text",), [(number, {"text": line}) for number, line in read_lines(path, problems)])


def _elements(path: Path, text: str, problems: Problems) -> Table:
    decoder = json.JSONDecoder()
    rows: list[Row] = []
    place, number, counted = _space(text, _space(text, 0) + 1), 1, 0
    while text[place : place + 1] != "]":
        number += text.count("\n", counted, place)
        counted = place
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else number
            problems.add(path, line, f"is not JSON: {_why(error)}; what follows was not looked at")
            return table_of(path, rows)
        _keep(value, path, number, rows, problems)
        place = _space(text, place)
        if text[place : place + 1] not in (",", "]"):
            line = text.count("\n", 0, place) + 1
            problems.add(
                path, line, "is not JSON: a comma or the array's end must follow; what follows was not looked at"
            )
            return table_of(path, rows)
        if text[place] == ",":
            place = _space(text, place + 1)
    if text[place + 1 :].strip():
        problems.add(path, text.count("\n", 0, place) + 1, "is not JSON: something follows the array's end")
    return table_of(path, rows)


def _space(text: str, place: int) -> int:
    match = SPACE.match(text, place)
    return match.end() if match else place


def _keep(value: Any, path: Path, number: int, rows: list[Row], problems: Problems) -> None:
    if isinstance(value, dict):
        rows.append((number, value))
    else:
        problems.add(path, number, f"must be a JSON object, is {shown(value)}")


def _why(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else "holds a number of too many digits"
