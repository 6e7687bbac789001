"""Upkeep: what may go from a workspace, and going.

Knows what somebody may still ask for: what is live, what a rollback returns to, what was measured, the last few
snapshots. Knows nothing about how any of it is made.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from resurvey.errors import ResurveyError
from resurvey.promote.live import history, live
from resurvey.search.corpus import Head
from resurvey.search.snapshots import building, retire
from resurvey.search.store import Snapshot, in_use, snapshots
from resurvey.search.tables import Tables
from resurvey.workspace import HEAD, Workspace, digest, read_json

LAST = 3
"""Snapshots that stay although nothing names them: whoever is opening one finds it."""


def kept(workspace: Workspace) -> set[int]:
    """The numbers of the snapshots that somebody may still ask for."""
    there = [snapshot.number for snapshot in snapshots(workspace.index)]
    return {*there[-LAST:], *(set(there) & named_snapshots(workspace))}


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


@dataclass(frozen=True, slots=True)
class Waste:
    """Something that nothing needs any more, and why."""

    path: Path
    why: str

    @property
    def bytes(self) -> int:
        """What removing it frees."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())


def waste(workspace: Workspace) -> list[Waste]:
    """All that nothing needs: snapshots beyond those of today, tables, derived files, vectors, artefacts.

    What is live, what a rollback returns to, what was measured and what somebody reads at this moment stays.
    """
    folder, head = workspace.index, Head.read(workspace.index / HEAD)
    there = snapshots(folder)
    wanted = named_snapshots(workspace) | {snapshot.number for snapshot in there[-1:]}
    old = [s for s in there if s.number not in wanted and not in_use(folder, s.number)]
    left = [s for s in there if s not in old]
    found = [Waste(folder / "snapshots" / f"{s.number}.json", "a snapshot that nobody may ask for") for s in old]
    tables = {at.table for s in left for at in s.versions.values()} | ({head.at.table} if head else set())
    found += [Waste(path, "versions that no snapshot names") for path in Tables(folder / "lance").unneeded(tables)]
    found += [Waste(p, "derived from no snapshot that is left") for p in underived(workspace, {s.number for s in old})]
    recipes = _recipes(workspace)
    found += [Waste(path, "vectors of an encoder that no candidate uses") for path in _unused(workspace, recipes)]
    return found + [Waste(path, "no recipe names it") for path in sorted(workspace.artefacts.folder.glob("[!.]*"))
                    if path.name not in recipes]  # fmt: skip


def gc(workspace: Workspace) -> list[Waste]:
    """Remove what `waste` names, and say what it was; the bytes are counted before.

    Raises:
        ResurveyError: when another command builds.
    """
    with building(workspace.index, 0):
        found = waste(workspace)
        for one in found:
            remove(one.path)
    return found


def named_snapshots(workspace: Workspace) -> set[int]:
    """Snapshots that are live, that a rollback returns to, or that candidates were measured over."""
    wanted = {found.snapshot for found in (live(workspace), *history(workspace)[-2:]) if found}
    ladder = workspace.candidates / "ladder.json"
    return wanted | ({read_json(ladder)["snapshot"]} if ladder.exists() else set())


def _recipes(workspace: Workspace) -> str:
    """All that candidates and stages wrote as JSON, in one text: what a hash in it names is needed."""
    places = (*workspace.candidates.rglob("*.json"), *workspace.index.glob("*/*.json"), workspace.diagnosis)
    return "\n".join(path.read_text("utf-8", "replace") for path in places if path.exists())


def _unused(workspace: Workspace, recipes: str) -> list[Path]:
    """Folders of vectors whose encoder is an adapted model that no recipe names."""
    found = []
    for mark in sorted((workspace.index / "vectors").glob("*/encoder.json")):
        name = str(read_json(mark)["name"])
        if str(workspace.artefacts.folder) in name and Path(name).name not in recipes:
            found.append(mark.parent)
    return found
