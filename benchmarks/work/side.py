"""Side by side: a peer and us doing the same work in turns, so that both meet the same noise."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from resurvey.data.read import Brought, beir, read

COLLECTIONS = ("attack-procedures", "covid-faq", "code-cosqa", "product-match", "job-titles", "aero-cranfield")


@dataclass(slots=True)
class Row:
    """One line of the table: seconds of the peer and of us, round by round, and what was compared."""

    name: str
    wanted: str
    peer: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    note: str = ""

    def __str__(self) -> str:
        if not self.peer:
            return f"| {self.name} | – | {statistics.median(self.ours):.3g} s | – | {self.wanted} | {self.note} |"
        ratios = [peer / ours for peer, ours in zip(self.peer, self.ours, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        return f"| {self.name} | {statistics.median(self.peer):.3g} s | {statistics.median(self.ours):.3g} s | {spread} | {self.wanted} | {self.note} |"


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    started = time.perf_counter()
    found = work(*arguments)
    return time.perf_counter() - started, found


Work: TypeAlias = Callable[[argparse.Namespace], list[Row]]
"""Arguments of the command to finished rows."""


def built_on(folder: Path) -> Brought:
    """A collection's documents, queries, train and dev judgments; the test side is not opened."""
    found = beir(folder)
    sides = {side: path for side, path in found.judgments.items() if side != "test"}
    return read(replace(found, judgments=sides))
