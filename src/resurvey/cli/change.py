"""Commands that change the documents of a workspace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resurvey.cli.app import AsJson, Dir, app, session_of, show, stoppable
from resurvey.cli.bring import ROWS
from resurvey.cli.faults import still_there, told_about
from resurvey.types import Json

if TYPE_CHECKING:
    from resurvey.search.corpus import Change
    from resurvey.workspace import Workspace

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="Ids of documents.")]


@contextlib.contextmanager
def opened(root: Path) -> Iterator[Workspace]:
    """A workspace without its lease: a long run in it does not keep documents from being written."""
    from resurvey.workspace import MARK, Workspace

    workspace = Workspace.open(root)
    with stoppable(), told_about(root), still_there(root, MARK):
        yield workspace


@app.command()
def add(
    root: Dir,
    corpus: Annotated[Path, typer.Option(help=f"Documents with ids: {ROWS}, or a folder of Markdown and text files.")],
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="KIND.ROLE=COLUMN", help="Correct a guessed column: corpus.text=body."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add documents, or replace those whose ids are there; `resurvey run` or `refresh` makes them searchable."""
    from resurvey.data.columns import mapped
    from resurvey.data.incoming import documents_of
    from resurvey.search.corpus import Corpus

    with opened(root) as workspace:
        change = Corpus(workspace).upsert(documents_of(corpus.expanduser(), mapped(columns or [])))
    told = f"{change.added:,} documents added, {change.updated:,} replaced, {change.unchanged:,} the same as before"
    _show(as_json, change, root, told)


@app.command()
def delete(root: Dir, ids: Ids, as_json: AsJson = False) -> None:
    """Take documents out; `resurvey run` or `refresh` takes them out of what is searched. Old versions stay a while."""
    from resurvey.search.corpus import Corpus

    with opened(root) as workspace:
        change = Corpus(workspace).delete(ids)
    missing = f", {change.missing:,} were not there" if change.missing else ""
    _show(as_json, change, root, f"{change.deleted:,} documents deleted{missing}")


@app.command()
def refresh(root: Dir, as_json: AsJson = False) -> None:
    """Make documents that were added, replaced or deleted searchable in what is live; only they are embedded."""
    from resurvey.refresh import refresh as refreshed
    from resurvey.show.progress import Bars

    with opened(root) as workspace, Bars(as_json) as bars:
        now = refreshed(workspace, bars)
    told = (
        f"{now.candidate} is live over snapshot {now.snapshot}." if now else "Nothing is new, or nothing is live yet."
    )
    show(as_json, asdict(now) if now else {"candidate": None, "snapshot": None}, told)


@app.command()
def forget(root: Dir, ids: Ids, as_json: AsJson = False) -> None:
    """Remove documents for good: text, vectors, old versions, snapshots, pages that quote them."""
    from resurvey.forget import forget as forgotten

    with session_of(root, quiet=as_json, writes=True) as session:
        found = forgotten(session.workspace, ids, session.progress)
    told = f"{found.documents:,} documents and {found.vectors:,} vectors are gone from every version."
    pages = [f"Removed, since it quoted them: {name}" for name in found.removed]
    left = [f"Quotes them still, and was learned from: {name}" for name in found.left]
    show(as_json, asdict(found), told, *pages, *left, f"Next: resurvey run {root}")


@app.command()
def gc(
    root: Dir,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what nothing needs: old snapshots and versions, derived files, vectors and artefacts that nobody names."""
    from resurvey import upkeep

    with session_of(root, quiet=as_json, writes=True) as session:
        workspace = session.workspace
        found = upkeep.waste(workspace)
        rows: list[Json] = [{"path": str(w.path.relative_to(root)), "bytes": w.bytes, "why": w.why} for w in found]
        if not dry_run:
            upkeep.gc(workspace)
    freed = sum(row["bytes"] for row in rows)
    done = "would be removed" if dry_run else "removed"
    told = [f"{row['path']}: {row['why']}, {int(row['bytes']):,} bytes" for row in rows]
    show(as_json, {"removed": rows, "bytes": freed, "dry_run": dry_run}, *told, f"{len(rows)} {done}, {freed:,} bytes.")


def _show(as_json: bool, change: Change, root: Path, told: str) -> None:
    show(as_json, asdict(change), f"{told}. Version {change.version} is on disk.", f"Next: resurvey refresh {root}")
