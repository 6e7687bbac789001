"""The demo: the whole story on real text that every machine has, with the commands a user would type.

Writes the API reference of installed packages as a BEIR folder, makes a workspace of it, runs the main
job and reads the test side once. What is done already is not done again. Knows the story's order
from `loop`, and nothing else about it.
"""

from __future__ import annotations

from pathlib import Path

from resurvey import loop, use
from resurvey.data import docstrings, read
from resurvey.promote.live import live, proof
from resurvey.session import Session
from resurvey.types import Comparison, Progress
from resurvey.workspace import MARK, Workspace

BROUGHT, WORK = "api-reference", "work"


def bring(root: Path, most: int, progress: Progress) -> Path:
    """The collection of at most `most` documents as a BEIR folder below `root`, written unless it is there."""
    folder = root / BROUGHT
    if not folder.exists():
        docstrings.write(folder, most, progress=progress)
    return folder


def workspace(root: Path) -> Workspace:
    """The demo's workspace below `root`, made unless it is there.

    Raises:
        ResurveyError: when something else is in its place.
    """
    work = root / WORK
    if not (work / MARK).exists():
        loop.init(work, read.beir(root / BROUGHT), {"model": "bundled"})
    return Workspace.open(work)


def prove(session: Session) -> Comparison | None:
    """What is live against the best untouched pipeline on the test side; None where that is what is live.

    The test side is read once for every candidate that goes live, however often the demo runs.
    """
    now = live(session.workspace)
    if now is None or now.candidate == use.reference(session.workspace):
        return None
    if proof(session.workspace) is None:
        use.evaluate(session, ["live"], "test")
        loop.report(session)
    return proof(session.workspace)
