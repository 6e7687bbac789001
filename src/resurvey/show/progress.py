"""Progress on stderr: a bar with time left where there is a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bars:
    """A `types.Progress` that draws; one line for what is being done now."""

    def __init__(self, quiet: bool) -> None:
        self._drawn = Progress(
            TextColumn("{task.description:<22}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(file=sys.stderr), transient=True, disable=quiet or not sys.stderr.isatty(),
        )  # fmt: skip
        self._task: TaskID | None = None
        self._name = ""

    def __enter__(self) -> Bars:
        self._drawn.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drawn.stop()

    def __call__(self, task: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of `task` are done."""
        if task != self._name:
            if self._task is not None:
                self._drawn.remove_task(self._task)
            self._task, self._name = self._drawn.add_task(task, total=total), task
        assert self._task is not None
        self._drawn.update(self._task, completed=done, total=total)
