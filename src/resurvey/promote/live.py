"""The one switch: which candidate is live, and the way back.

`live.json` is replaced atomically; the lineage remembers what was live before. Knows nothing about
whether a candidate deserves it; that is the gate's.
"""

from __future__ import annotations

from dataclasses import dataclass

from resurvey.errors import ResurveyError
from resurvey.types import Comparison, Json, comparison_from_json
from resurvey.workspace import Workspace, read_json, write_json

REFRESH = "refresh"
"""Why a switch was made that changed the snapshot alone."""


@dataclass(frozen=True, slots=True)
class Live:
    """What serves: a candidate's id (or `base`, `bm25`, `rrf`) over one snapshot of the index."""

    candidate: str
    snapshot: int


def live(workspace: Workspace) -> Live | None:
    """What is live; None before the first promotion."""
    if not workspace.live.exists():
        return None
    value: Json = read_json(workspace.live)
    return Live(value["candidate"], value["snapshot"])


def meant_by(workspace: Workspace, name: str) -> str:
    """The candidate that `live` stands for now; any other name, and `live` while nothing is, as it is."""
    now = live(workspace) if name == "live" else None
    return now.candidate if now else name


def switch(workspace: Workspace, new: Live, why: str) -> None:
    """Make `new` live; does nothing when it is already."""
    before = live(workspace)
    if before == new:
        return
    workspace.record(
        "promoted", candidate=new.candidate, snapshot=new.snapshot, before=before.candidate if before else None, why=why
    )
    write_json(workspace.live, {"candidate": new.candidate, "snapshot": new.snapshot})


def over(workspace: Workspace, candidate: str, snapshot: int) -> Live:
    """A candidate over the newest snapshot that was made as `snapshot` was: no acknowledged document goes missing."""
    from resurvey.search.snapshots import latest_like  # `status` and a finished `run` load no table

    return Live(candidate, latest_like(workspace.index, snapshot))


def history(workspace: Workspace) -> list[Live]:
    """What has been live, oldest first; a rollback takes its last entry off.

    The last one is what `live.json` says: a switch that was recorded and killed did not happen.
    """
    stack: list[Live] = []
    for entry in workspace.recorded("promoted"):
        if entry["why"] in ("rollback", REFRESH) and stack:  # the same candidate over newer documents is no step
            stack.pop()
        if not stack or stack[-1] != Live(entry["candidate"], entry["snapshot"]):
            stack.append(Live(entry["candidate"], entry["snapshot"]))
    now = live(workspace)
    if now is None or (stack and stack[-1] == now):
        return stack if now else []
    if now in stack:
        return stack[: len(stack) - stack[::-1].index(now)]
    return [*stack, now]


def rollback(workspace: Workspace) -> tuple[Live, Live]:
    """Make what was live before live again; returns (what was, what is).

    Raises:
        ResurveyError: when nothing was live before.
    """
    stack = history(workspace)
    if len(stack) < 2:
        raise ResurveyError(
            "there is nothing to roll back to: at most one candidate has been live", "resurvey status DIR"
        )
    was, now = stack[-1], over(workspace, stack[-2].candidate, stack[-2].snapshot)
    switch(workspace, now, "rollback")
    return was, now


def proof(workspace: Workspace) -> Comparison | None:
    """The last comparison of what is live now on the test side; None when it was never measured there."""
    now = live(workspace)
    read = workspace.recorded("test numbers")
    found = [comparison_from_json(row) for entry in read for row in entry.get("comparisons", [])]
    return next((c for c in reversed(found) if c and now and c.challenger == now.candidate), None)
