"""Tables that change: LanceDB below one folder, every version on disk before anyone hears of it.

LanceDB never syncs, and cannot clean up around versions that must stay. So a table lives in generations: a folder
`<kind>-<number>.lance` takes small changes, one Lance version each; when it has taken many, what it holds now goes to
a new folder, and an old one is removed whole when nothing names it any more. Whoever commits a version writes it down
elsewhere; versions newer than that are what a killed writer left, and go before the next change. Knows nothing about
what is in a row.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import filelock
import lancedb
import pyarrow as pa
from lancedb.index import FTS

from resurvey.errors import HeldError, Problem, ResurveyError
from resurvey.workspace import make_folder, sync, sync_tree

Change: TypeAlias = Callable[[Any], object]
"""What is done to an open table."""
FEW = 32
"""Changes that one folder takes before its rows move to a new one. Each leaves about 70 kB of LanceDB's own notes."""
MANIFEST = re.compile(r"(\d{20})\.manifest")
NEWEST = 2**64 - 1
"""LanceDB names the manifest of version n by this less n, so that the newest comes first."""


@dataclass(frozen=True, slots=True)
class Version:
    """One state of one table: the folder's name and LanceDB's number."""

    table: str
    number: int

    @property
    def full(self) -> bool:
        """Whether the next change should go to a new folder."""
        return self.number >= FEW


class Tables:
    """The tables below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, kind: str, rows: pa.Table, index: Sequence[str] = ()) -> Version:
        """A new folder of this kind with these rows, and a text index of each column in `index`."""
        known = [int(path.stem.rpartition("-")[2]) for path in self.folder.glob(f"{kind}-*.lance")]
        name = f"{kind}-{1 + max(known, default=0)}"
        made = self._connect().create_table(name, rows)
        for column in index:
            # Pre-tokenised text: our analyser is the only one, so LanceDB must not stem or lower-case.
            made.create_index(column, config=FTS(
                base_tokenizer="whitespace", lower_case=False, stem=False, remove_stop_words=False,
                ascii_folding=False, with_position=False, max_token_length=None,
            ))  # fmt: skip
        indexed = {column for found in made.list_indices() for column in found.columns} if index else set()
        assert indexed == set(index), "without its index, LanceDB would fall back to a scan silently"
        sync_tree(self._path(name))
        sync(self.folder)
        return Version(name, int(made.version))

    def open(self, at: Version) -> Any:
        """The table as it was at a version, for reading.

        Raises:
            ResurveyError: when it is not there or cannot be read.
        """
        try:
            table = self._connect().open_table(at.table)
            table.checkout(at.number)
        except (ValueError, OSError, RuntimeError) as error:
            raise ResurveyError(
                [Problem(str(self.folder), f"table `{at.table}` cannot be opened: {error}")],
                f"remove {self.folder.parent}, then resurvey run DIR builds it anew",
            ) from error
        return table

    def change(self, at: Version, *changes: Change) -> Version:
        """Make changes to the newest committed version; all that they wrote is on disk afterwards."""
        self.heal(at)
        table = self._connect().open_table(at.table)
        assert table.version == at.number, f"{at.table} is at {table.version}, {at.number} was committed"
        place = self._path(at.table)
        before = set(_walk(place))
        for change in changes:
            change(table)
        new = [path for path in _walk(place) if path not in before]
        for path in new:
            sync(path)
        for folder in dict.fromkeys(path.parent for path in new):
            sync(folder)
        return Version(at.table, int(table.version))

    def heal(self, at: Version) -> None:
        """Remove what is newer than the committed version: it was never acknowledged."""
        newer = [path for number, path in self._manifests(at.table) if number > at.number]
        for path in newer:
            path.unlink(missing_ok=True)
        if newer:
            sync(newer[0].parent)

    def newest(self, name: str) -> int:
        """The highest version of a table that has a manifest, whole or not; 0 without any."""
        return max((number for number, _ in self._manifests(name)), default=0)

    def tag(self, at: Version, name: str) -> None:
        """Name a version, so that a clean-up by other tools spares it; on disk afterwards."""
        self._mend_tags(at.table)
        table = self._connect().open_table(at.table)
        if name in table.tags.list():
            table.tags.delete(name)
        table.tags.create(name, at.number)
        sync_tree(self._path(at.table) / "_refs")
        sync(self._path(at.table))

    def _mend_tags(self, name: str) -> None:
        """Remove names that a power loss left half written: LanceDB reads none of a table's names over one of those."""
        for path in (self._path(name) / "_refs" / "tags").glob("*"):
            try:
                json.loads(path.read_bytes())
            except ValueError:
                path.unlink(missing_ok=True)

    def untag(self, at: Version, name: str) -> None:
        """Take a name off again, where it is."""
        with contextlib.suppress(ValueError, OSError, RuntimeError):
            table = self._connect().open_table(at.table)
            if name in table.tags.list():
                table.tags.delete(name)

    def unneeded(self, needed: Collection[str]) -> list[Path]:
        """Folders of tables that are not among those needed."""
        return [path for path in sorted(self.folder.glob("*.lance")) if path.stem not in needed]

    def drop(self, needed: Collection[str]) -> None:
        """Remove every table that is not among those needed."""
        for path in self.unneeded(needed):
            shutil.rmtree(path, ignore_errors=True)

    def _connect(self) -> Any:
        return lancedb.connect(str(self.folder))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.lance"

    def _manifests(self, name: str) -> Iterator[tuple[int, Path]]:
        for path in (self._path(name) / "_versions").glob("*"):
            found = MANIFEST.fullmatch(path.name)
            if found:
                yield NEWEST - int(found[1]), path


@contextlib.contextmanager
def held(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock file, waiting for whoever has it.

    Raises:
        ResurveyError: when it is not free after `seconds`.
    """
    make_folder(path.parent)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except filelock.Timeout as error:
        raise HeldError(
            [Problem(str(path), f"another writer has held this for {seconds:g} seconds")],
            "wait for it to end, then the same command again",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder, folders too."""
    for place, folders, files in os.walk(folder):
        for name in (*files, *folders):
            yield Path(place, name)
