"""Parquet files and Hugging Face datasets as `save_to_disk` leaves them. Line numbers are row numbers.

Both are Arrow tables, so pyarrow reads them and the `datasets` package is not needed.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from resurvey.data.lines import Problems, read_bytes
from resurvey.data.rows import Row, Table

MOST_ROWS = 100_000_000
"""A damaged file may claim any number of rows."""
BATCH = 4096
DICT, STATE = "dataset_dict.json", "state.json"


def is_dataset(folder: Path) -> bool:
    """Whether a folder is one that `save_to_disk` made."""
    return (folder / DICT).is_file() or (folder / STATE).is_file()


def parquet(path: Path, problems: Problems) -> Table:
    """A Parquet file."""
    data = read_bytes(path, problems)
    if data is None:
        return Table(path, (), [])
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        if file.metadata.num_rows > MOST_ROWS:
            problems.add(path, 0, f"says it holds {file.metadata.num_rows:,} rows, at most {MOST_ROWS:,} can be")
            return Table(path, (), [])
        return _table(path, file.schema_arrow, file.iter_batches(BATCH), problems)
    except Exception as error:  # a damaged file makes pyarrow raise nearly anything
        problems.add(path, 0, f"is no whole Parquet file: {_first_line(error)}")
        return Table(path, (), [])


def dataset(folder: Path, problems: Problems) -> dict[str, Table]:
    """The splits of a saved `DatasetDict`, or the table of a saved `Dataset` under ""."""
    splits = folder / DICT
    if splits.is_file():
        names = _object(splits, problems).get("splits")
        if not isinstance(names, list) or not names or not all(_is_name(name) for name in names):
            problems.add(splits, 0, "names no splits")
            return {}
        return {name: _saved(folder / name, problems) for name in names}
    if (folder / STATE).is_file():
        return {"": _saved(folder, problems)}
    problems.add(folder, 0, f"is a folder without {DICT} or {STATE}, so it is no dataset; name a file")
    return {}


def _saved(folder: Path, problems: Problems) -> Table:
    state = _object(folder / STATE, problems)
    files = state.get("_data_files")
    if not isinstance(files, list) or not all(isinstance(f, dict) and _is_name(f.get("filename")) for f in files):
        problems.add(folder / STATE, 0, "names no data files")
        return Table(folder, (), [])
    if state.get("_indices_files") or state.get("_indices_data_files"):
        problems.add(folder, 0, "has rows picked by an index; save dataset.flatten_indices() instead")
        return Table(folder, (), [])
    tables = [_stream(folder / file["filename"], problems) for file in files]
    rows: list[Row] = []
    for table in tables:
        rows += [(len(rows) + place, cells) for place, (_, cells) in enumerate(table.rows, start=1)]
    return Table(folder, tables[0].columns if tables else (), rows)


def _is_name(value: object) -> bool:
    """Whether a value names something right inside the folder."""
    return isinstance(value, str) and value not in ("", ".", "..") and "/" not in value and "\0" not in value


def _stream(path: Path, problems: Problems) -> Table:
    data = read_bytes(path, problems)
    if data is None:
        return Table(path, (), [])
    try:
        with pa.ipc.open_stream(pa.BufferReader(data)) as stream:
            return _table(path, stream.schema, iter(stream), problems)
    except Exception as error:  # as above
        problems.add(path, 0, f"is no whole Arrow file: {_first_line(error)}")
        return Table(path, (), [])


def _table(path: Path, schema: Any, batches: Iterator[Any], problems: Problems) -> Table:
    columns = tuple(schema.names)
    if len(set(columns)) < len(columns):
        problems.add(path, 0, f"has several columns of one name: {', '.join(columns)}")
        return Table(path, (), [])
    rows: list[Row] = []
    for batch in batches:
        batch.validate(full=True)
        rows += [
            (len(rows) + place, {name: _plain(cell) for name, cell in cells.items()})
            for place, cells in enumerate(batch.to_pylist(), start=1)
        ]
    return Table(path, columns, rows)


def _plain(cell: Any) -> Any:
    """A cell as JSON would hold it: dates as ISO text, decimals as numbers."""
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return float(cell) if isinstance(cell, decimal.Decimal) else cell


def _object(path: Path, problems: Problems) -> dict[str, Any]:
    data = read_bytes(path, problems)
    if data is None:
        return {}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        problems.add(path, 0, "is not a JSON object")
        return {}
    return value


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
