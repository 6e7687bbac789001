"""Refresh: what was written becomes searchable.

Beside what is live, the next snapshot is made: documents that changed are cut, analysed and embedded, all else is
taken over. Everything that the live recipe reads is there before `live.json` names it, so that whoever serves goes on
until then and answers at once afterwards. A refresh that was killed goes on where it was. Knows what is live, and
nothing about why.
"""

from __future__ import annotations

from resurvey.opened import Opened
from resurvey.promote.live import REFRESH, Live, live, switch
from resurvey.search.corpus import Head
from resurvey.search.snapshots import building, refuse_other
from resurvey.search.store import snapshots
from resurvey.types import Progress, Query, silent
from resurvey.upkeep import tidy
from resurvey.use import retriever_of
from resurvey.workspace import HEAD, Workspace

WORDS = 8
"""Words of the question that is asked to have everything made."""


def refresh(workspace: Workspace, progress: Progress = silent) -> Live | None:
    """Make acknowledged writes searchable in what is live; None when nothing is live, or nothing is new.

    Raises:
        ResurveyError: when what is live was made with another encoder than is there now, its recipe cannot be built
            any more, or another command builds and does not end.
    """
    now = live(workspace)
    if now is None or _current(workspace, now):
        return None
    opened = Opened(workspace, progress)
    for snapshot in snapshots(workspace.index):
        if snapshot.number == now.snapshot:
            refuse_other(snapshot, opened.encoder, workspace.root)  # before anything is embedded
    number = opened.index.store.snapshot.number
    if number == now.snapshot:
        return None
    with building(workspace.index):
        warm(opened, now.candidate)
    new = Live((live(workspace) or now).candidate, number)  # a promotion may have come between
    switch(workspace, new, REFRESH)
    opened.index.store.close()
    tidy(workspace)
    return new


def warm(opened: Opened, candidate: str) -> None:
    """Have everything made that a candidate's recipe reads: one question goes through all of it."""
    asked = " ".join(opened.index.documents[0].full_text.split()[:WORDS]) if opened.index.documents else "anything"
    retriever_of(opened, candidate)[1].search([Query("warm", asked)])


def _current(workspace: Workspace, now: Live) -> bool:
    """Whether what is live holds the newest acknowledged documents, seen without loading anything."""
    head = Head.read(workspace.index / HEAD)
    there = {snapshot.number: snapshot for snapshot in snapshots(workspace.index)}
    return head is not None and now.snapshot in there and there[now.snapshot].corpus == head.version
