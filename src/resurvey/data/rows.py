"""The one shape that every file of rows becomes: numbered rows of named cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resurvey.types import Json

Row = tuple[int, Json]
"""A line number (in Parquet and datasets: the row's number) and the cells by column."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one file. `headless`: the columns are still called 1, 2, 3 and the first row may be their names.

    `typed` is False where all cells are text, as in CSV.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Row]
    headless: bool = False
    typed: bool = True


def table_of(path: Path, rows: Sequence[Row]) -> Table:
    """A table of rows that carry their own names: its columns are all of them, in the order met."""
    columns: dict[str, None] = {}
    for _, cells in rows:
        columns.update(dict.fromkeys(cells))
    return Table(path, tuple(columns), rows)
