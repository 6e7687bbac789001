"""Refreshing: a process of its own makes what was written searchable, so that searches feel nothing of it.

The process is started at the first write and ends when nothing was written for a while. It refreshes once for all
that was written meanwhile; several workers have one each, and the workspace's own locks let one work at a time. What
fails is tried again, later and later. Knows when to refresh; `resurvey.refresh` knows how.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from resurvey.errors import Problem, ResurveyError
from resurvey.serve.logs import log
from resurvey.types import Json

IDLE = 120.0
"""Seconds without a write after which the process ends."""
FIRST, LONGEST = 2.0, 60.0
"""Seconds until a refresh that failed is tried again: twice as long every time, up to the longest."""
NICE = 10
"""Searches go first."""


class Refresher:
    """Refreshes what is asked for, one at a time, in the background.

    Args:
        done: says which version can be found by now.
    """

    def __init__(self, root: Path, done: Callable[[], int]) -> None:
        self.root = root
        self.done = done
        self.trouble: list[Problem] = []
        """Why what was written is not searchable yet."""
        self._wanted = self._made = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    @property
    def behind(self) -> int:
        """Versions that were asked for and cannot be found yet."""
        return max(0, self._wanted - self.done())

    def ask(self, version: int) -> None:
        """Make everything up to a version searchable, soon."""
        with self._changed:
            self._wanted = max(self._wanted, version)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="refresh", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """End the process; a refresh under way goes on where it was when it is asked for again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._end()

    def _work(self) -> None:
        wait = FIRST
        while not self._closed:
            with self._changed:
                if not self._changed.wait_for(self._due, IDLE):
                    self._end()
                    self._changed.wait_for(self._due)
                wanted = self._wanted
            if self._closed:
                return
            told = self._refreshed()
            if "problems" not in told:
                self.trouble, wait, self._made = [], FIRST, wanted
                log("refreshed", version=wanted, snapshot=told.get("snapshot"))
                continue
            self.trouble = [Problem(*problem) for problem in told["problems"]]
            log("refresh failed", level="error", why="; ".join(map(str, self.trouble)), again=wait)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, wait)
            wait = min(LONGEST, 2 * wait)

    def _due(self) -> bool:
        return self._closed or self._wanted > max(self._made, self.done())

    def _refreshed(self) -> Json:
        """What the process says of one refresh."""
        try:
            if self._process is None or self._process.poll() is not None:
                command = [sys.executable, "-m", __name__, str(self.root)]
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
                )
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write("refresh\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError as error:
            line, why = "", str(error)
        else:
            why = "the process that refreshes has ended"
        if not line:
            self._end()
            return {"problems": [["", why]]}
        told: Json = json.loads(line)
        return told

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe
                    pipe.close()


def main() -> None:
    """Refresh once for every line that comes in; say in one line what came of it."""
    from resurvey.refresh import refresh
    from resurvey.workspace import Workspace

    told, sys.stdout = sys.stdout, sys.stderr
    os.nice(NICE)
    for _ in sys.stdin:
        try:
            found = refresh(Workspace.open(Path(sys.argv[1])))
            answer: Json = {"snapshot": found.snapshot if found else None}
        except ResurveyError as error:
            answer = {"problems": [[problem.where, problem.what] for problem in error.problems]}
        except Exception as error:
            answer = {"problems": [["", repr(error)]]}
        told.write(json.dumps(answer) + "\n")
        told.flush()


if __name__ == "__main__":
    main()
