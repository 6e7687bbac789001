"""Files of cells: CSV, TSV, columns between white space. Whether the first row names them is seen later."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from resurvey.data.lines import Problems, read_columns, read_lines, read_text
from resurvey.data.rows import Table

SEPARATORS = (",", "\t", ";", "|")
Cells = tuple[int, list[str]]


def csv_file(path: Path, problems: Problems) -> Table:
    """Quoted as RFC 4180 says; separated by what the first line holds most of: comma, tab, semicolon or bar."""
    text = read_text(path, problems) or ""
    first = next((line for line in text.split("\n") if line.strip()), "")
    bare = "".join(first.split('"')[::2])
    separator = max(SEPARATORS, key=bare.count)
    return _grid(path, list(_csv_rows(path, text, separator, problems)), problems)


def tsv_file(path: Path, problems: Problems) -> Table:
    """Cells between tabs, one row a line; a cell quoted as a whole loses its quotes, others keep theirs."""
    rows = [(number, [_unquoted(cell) for cell in line.split("\t")]) for number, line in read_lines(path, problems)]
    return _grid(path, rows, problems)


def plain_file(path: Path, problems: Problems) -> Table:
    """Columns between white space, as TREC writes; CSV where the first line holds separators and no such columns."""
    first = next((line for _, line in read_lines(path, Problems())), "")
    if len(first.split()) not in (3, 4) and any(separator in first for separator in SEPARATORS):
        return csv_file(path, problems)
    return _grid(path, list(read_columns(path, problems)), problems)


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _csv_rows(path: Path, text: str, separator: str, problems: Problems) -> Iterator[Cells]:
    with _long_cells():
        reader = csv.reader((line + "\n" for line in text.split("\n")), delimiter=separator, strict=True)
        while True:
            start = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                what = str(error)
                if "unexpected end" in what:
                    what = "a quoted cell that begins here is never closed"
                problems.add(path, start, f"is not CSV: {what}")
                continue
            if any(cell.strip() for cell in cells):
                yield start, cells


def _unquoted(cell: str) -> str:
    inner = cell.strip()
    if len(inner) < 2 or inner[0] != '"' or inner[-1] != '"':
        return cell
    inner = inner[1:-1]
    return inner.replace('""', '"') if '"' not in inner.replace('""', "") else cell


def _grid(path: Path, rows: Sequence[Cells], problems: Problems) -> Table:
    if not rows:
        return Table(path, (), [], headless=True, typed=False)
    line, first = rows[0]
    columns = tuple(str(place + 1) for place in range(len(first)))
    for number, cells in rows:
        if len(cells) != len(first):
            problems.add(path, number, f"has {len(cells)} cells, line {line} has {len(first)}")
    kept = [
        (number, dict(zip(columns, (cell.strip() for cell in cells), strict=True)))
        for number, cells in rows
        if len(cells) == len(first)
    ]
    return Table(path, columns, kept, headless=True, typed=False)
