"""Progress on stderr: what is being done, how far it is, how long it will take; nothing where no terminal is.

A task whose name starts with a capital is a chapter: it stays above while smaller tasks come and go.
"""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Left(ProgressColumn):
    """Time left in words, once there is something to reckon with."""

    def render(self, task: Task) -> Text:
        if task.total is None or task.time_remaining is None:
            return Text("")
        return Text(f"{TimeRemainingColumn(compact=True).render(task).plain} left", style="cyan")


class _Count(MofNCompleteColumn):
    """Done of all, where that is known."""

    def render(self, task: Task) -> Text:
        return Text("") if task.total is None else super().render(task)


class Bars:
    """A `types.Progress` that draws: the chapter, and what is being done in it now."""

    def __init__(self, quiet: bool, console: Console | None = None) -> None:
        self._drawn = Progress(
            SpinnerColumn(finished_text=" "), TextColumn("{task.description:<24}"), BarColumn(bar_width=22), _Count(), _Left(),
            console=console or Console(file=sys.stderr), transient=True,
            disable=quiet or (console is None and not sys.stderr.isatty()),
        )  # fmt: skip
        self._lines: dict[bool, tuple[str, TaskID]] = {}

    def __enter__(self) -> Bars:
        self._drawn.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drawn.stop()

    def __call__(self, task: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of `task` are done; a total of 1 or less only turns."""
        chapter = task[:1].isupper()
        known = total if total > 1 else None
        if task != self._lines.get(chapter, ("", None))[0]:
            for line in (False, True) if chapter else (False,):
                if line in self._lines:
                    self._drawn.remove_task(self._lines.pop(line)[1])
            self._lines[chapter] = task, self._drawn.add_task(task, total=known)
        self._drawn.update(self._lines[chapter][1], completed=done, total=known)
