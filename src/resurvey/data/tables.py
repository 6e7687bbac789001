"""Files of rows, whatever their format, as numbered rows of named cells.

Every format is a row of FORMATS. Knows files; knows nothing about what the columns mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from resurvey.data import arrow, grids, objects, topics
from resurvey.data.columns import ROLES, plain_name
from resurvey.data.lines import Problems, read_bytes
from resurvey.data.rows import Table

Reader = Callable[[Path, Problems], Table]


@dataclass(frozen=True, slots=True)
class Format:
    """One format: how its files end, how they begin where the name says nothing, who reads it."""

    name: str
    suffixes: tuple[str, ...]
    begins: re.Pattern[bytes] | None
    read: Reader
    sentence: str


def _begins(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:" + pattern + rb")", re.IGNORECASE)


FORMATS = (
    Format("JSON lines", (".jsonl", ".ndjson"), _begins(rb'\{\s*["}]'), objects.lines, "one JSON object a line"),
    Format("JSON", (".json",), _begins(rb"\[\s*[{\]]"), objects.array, "an array of objects, or one object a line"),
    Format("CSV", (".csv",), None, grids.csv_file, "quoted cells may hold line ends; separated by , ; tab or a bar"),
    Format("TSV", (".tsv", ".tab"), None, grids.tsv_file, "cells between tabs, one row a line"),
    Format("Parquet", (".parquet", ".pq"), _begins(rb"PAR1"), arrow.parquet, "lines in messages are row numbers"),
    Format("TREC topics", (".topics", ".xml", ".sgml"), _begins(rb"<(?:\?xml|!|top)"), topics.read, "queries as SGML or XML"),
)  # fmt: skip
KNOWN = {name for role in ROLES for name in role.known}
BY_SUFFIX: Mapping[str, Format] = {suffix: row for row in FORMATS for suffix in row.suffixes}


def read_tables(path: Path, problems: Problems, plain: Reader) -> dict[str, Table]:
    """The tables of a file (under "") or of a Hugging Face dataset (by split); empty where nothing can be read.

    `plain` reads a text file of no format of its own.
    """
    try:
        folder = path.is_dir()
    except ValueError:
        folder = False  # a NUL in the name: reading it says so
    if folder:
        return arrow.dataset(path, problems)
    reader = _reader(path, problems, plain)
    return {"": reader(path, problems)} if reader else {}


def _reader(path: Path, problems: Problems, plain: Reader) -> Reader | None:
    name = path.name.lower().removesuffix(".gz")
    known = BY_SUFFIX.get(Path(name).suffix)
    if known:
        return known.read
    data = read_bytes(path, problems)
    if data is None:
        return None
    start = data[:4096]
    found = next((row.read for row in FORMATS if row.begins and row.begins.match(start)), None)
    return found or (grids.csv_file if not name.endswith(".txt") and _named_cells(start) else plain)


def _named_cells(start: bytes) -> bool:
    """Whether a file begins with a line of cells, one of them a name that columns usually have."""
    first = start.decode("utf-8-sig", "replace").lstrip().partition("\n")[0]
    cells = max((first.split(separator) for separator in grids.SEPARATORS), key=len)
    return len(cells) > 1 and any(plain_name(cell.strip(' "\r')) in KNOWN for cell in cells)


def text_lines(path: Path, problems: Problems) -> Table:
    """A plain text file: one text a line, under the column `text`."""
    return objects.texts(path, problems)


def one_table(tables: Mapping[str, Table], path: Path, problems: Problems, what: str) -> Table | None:
    """The only table; a problem where a dataset has several splits."""
    if len(tables) > 1:
        problems.add(path, 0, f"has the splits {', '.join(tables)}; {what} are one table: name one split's folder")
        return None
    return next(iter(tables.values()), None)
