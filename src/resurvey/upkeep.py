"""Upkeep: what may go from a workspace, and going.

Knows what somebody may still ask for: what is live, what a rollback returns to, what was measured, the last few
snapshots. Knows nothing about how any of it is made.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from resurvey.errors import ResurveyError
from resurvey.promote.live import history, live
from resurvey.search.corpus import Head
from resurvey.search.snapshots import building, retire
from resurvey.search.store import Snapshot, snapshots
from resurvey.workspace import HEAD, Workspace, digest, read_json

LAST = 3
"""Snapshots that stay although nothing names them: whoever is opening one finds it."""


def kept(workspace: Workspace) -> set[int]:
    """The numbers of the snapshots that somebody may still ask for."""
    there = [snapshot.number for snapshot in snapshots(workspace.index)]
    wanted = {found.snapshot for found in (live(workspace), *history(workspace)[-2:]) if found}
    ladder = workspace.candidates / "ladder.json"
    if ladder.exists():
        wanted.add(read_json(ladder)["snapshot"])
    return {*there[-LAST:], *(number for number in there if number in wanted)}


def tidy(workspace: Workspace) -> None:
    """Remove old snapshots, tables and derived files that nobody may ask for; not while another command builds."""
    with contextlib.suppress(ResurveyError), building(workspace.index, 0):
        retire(workspace.index, kept(workspace), Head.read(workspace.index / HEAD))
        for path in underived(workspace):
            remove(path)


def underived(workspace: Workspace, without: set[int] | None = None) -> Iterator[Path]:
    """Derived files of no snapshot that is there (those in `without` do not count)."""
    left = [s for s in snapshots(workspace.index) if s.number not in (without or set())]
    names = derived_names(workspace, left)
    for path in sorted((workspace.index / "derived").glob("[!.]*")):
        if not any(name in path.name for name in names):
            yield path


def derived_names(workspace: Workspace, left: list[Snapshot]) -> set[str]:
    """What the names of the files that are derived from these snapshots hold: keys of texts, and of texts and encoder."""
    marks = (workspace.index / "vectors").glob("*/encoder.json")
    encoders = [str(read_json(mark)["fingerprint"]) for mark in marks]
    found = {snapshot.texts[:16] for snapshot in left}
    return found | {digest(snapshot.texts, encoder)[:16] for snapshot in left for encoder in encoders}


def remove(path: Path) -> None:
    """Remove a file or a folder; what is gone already is no matter."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
