"""Lines of text files with their numbers, and everything that is wrong with them.

Knows bytes, encodings and columns; knows nothing about documents or judgments. Nothing here stops
at the first problem: readers append to `Problems` and go on.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resurvey.errors import Problem, ResurveyError

Line = tuple[int, str]


@dataclass(slots=True)
class Problems:
    """All that is wrong with what was brought, in the order it was met."""

    found: list[Problem] = field(default_factory=list)

    def add(self, path: Path, line: int, what: str) -> None:
        """Note one problem at a line (0: the file as a whole)."""
        where = f"{path}:{line}" if line else str(path)
        self.found.append(Problem(where, what))

    def stop(self, next: str) -> None:
        """Raise everything found so far, if anything was."""
        if self.found:
            raise ResurveyError(self.found, next)


def shown(value: object, most: int = 60) -> str:
    """A value as an error message shows it: quoted, and cut when long."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def read_lines(path: Path, problems: Problems) -> Iterator[Line]:
    """Numbered, non-blank lines of a UTF-8 file; a byte-order mark is dropped, any line end accepted."""
    try:
        data = path.read_bytes()
    except OSError as error:
        problems.add(path, 0, f"cannot be read: {error.strerror or error}")
        return
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        problems.add(path, 0, "is UTF-16, must be UTF-8")
        return
    data = data.removeprefix(codecs.BOM_UTF8)
    for number, raw in enumerate(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), start=1):
        if b"\0" in raw:
            problems.add(path, number, "holds a NUL byte")
            continue
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            problems.add(path, number, f"is not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}")
            continue
        if line.strip():
            yield number, line


def read_objects(path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered JSON objects of a JSONL file."""
    for number, line in read_lines(path, problems):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(path, number, f"is not JSON: {_why(error)}")
            continue
        if not isinstance(value, dict):
            problems.add(path, number, f"must be a JSON object, is {shown(value)}")
            continue
        yield number, value


def _why(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else "holds a number of too many digits"


def read_columns(path: Path, problems: Problems, separator: str | None) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows of a file of columns; `separator` None splits at white space, as TREC does."""
    for number, line in read_lines(path, problems):
        yield number, [cell.strip() for cell in line.strip().split(separator)]
