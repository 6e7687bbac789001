"""Matrices on disk: written block by block, read through the system's page cache, so that none is held in memory.

Knows files and rows; knows nothing about what a row stands for.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from resurvey.types import Floats
from resurvey.workspace import writing

GIGABYTE = 2**30
SHARE = 16
"""A block takes this part of the memory that may be used: whoever works on it makes several things as large."""


def write_matrix(path: Path, blocks: Iterable[Floats], shape: tuple[int, int]) -> None:
    """Put a float32 matrix at `path`, whole or not at all; `blocks` are its rows in order."""
    written = 0
    with writing(path) as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            assert block.shape[1:] == shape[1:], f"a block of shape {block.shape} in a matrix of shape {shape}"
            file.write(np.ascontiguousarray(block, dtype="<f4").data)
            written += len(block)
        assert written == shape[0], f"{written} rows for a matrix of shape {shape}"


def open_matrix(path: Path) -> Floats | None:
    """The matrix at `path`, mapped and read-only; None where there is none, or a damaged one."""
    try:
        found = np.load(path, mmap_mode="r")
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return found if found.dtype == np.float32 and found.ndim == 2 else None


def kept_matrix(path: Path, shape: tuple[int, int], blocks: Callable[[], Iterable[Floats]]) -> Floats:
    """The matrix at `path`, mapped; where it is missing, damaged or of another shape, `blocks` are written first."""
    found = open_matrix(path)
    if found is None or found.shape != shape:
        write_matrix(path, blocks(), shape)
        found = open_matrix(path)
        assert found is not None, path
    return found


def release(matrix: Floats) -> None:
    """Take a mapped matrix's pages off this process; they stay in the system's cache. Others are left alone."""
    held: Any = matrix
    while held is not None and not isinstance(held, mmap.mmap):
        held = getattr(held, "base", None)
    if held is not None and hasattr(mmap, "MADV_DONTNEED"):
        held.madvise(mmap.MADV_DONTNEED)


def rows_within(memory: float, dimensions: int) -> int:
    """Rows of a block, so that work on it stays within `memory` gigabytes; at least one."""
    return max(1, int(memory * GIGABYTE / SHARE) // (4 * dimensions))


def slices(rows: int, most: int) -> Iterator[slice]:
    """Rows 0 to `rows` in runs of at most `most`."""
    return (slice(start, min(start + most, rows)) for start in range(0, rows, most))
