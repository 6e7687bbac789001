"""The service: the engine that answers now, the next one being opened, and the threads that search.

What goes live is seen in `live.json`, opened and warmed in the background, and takes over by one assignment; requests
under way finish on the engine they began with. What cannot be opened changes nothing but what /health says. Knows
engines and workspaces; knows nothing about HTTP.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from resurvey.errors import Problem, ResurveyError
from resurvey.promote.live import Live, live
from resurvey.search.corpus import Head
from resurvey.serve.engine import Engine
from resurvey.serve.keys import Keyring
from resurvey.serve.limits import Buckets
from resurvey.serve.logs import log
from resurvey.serve.metrics import Metrics
from resurvey.serve.refreshing import Refresher
from resurvey.workspace import HEAD, Workspace

LOOK = 0.25
"""Seconds between two looks at what is live."""
AGAIN = 30.0
"""Seconds until something that could not be opened is tried again."""
MOST_WAITING = 256
"""Requests that may wait for a thread; more are sent away."""
Result = TypeVar("Result")


class BusyError(Exception):
    """More requests wait than can be answered soon."""


class NotReadyError(Exception):
    """Nothing is opened yet."""


class Service:
    """One process's share of the service."""

    def __init__(self, workspace: Workspace, *, metrics: Metrics | None = None, buckets: Buckets | None = None) -> None:
        self.workspace = workspace
        self.settings = workspace.settings
        self.metrics = metrics or Metrics()
        self.buckets = buckets or Buckets(self.settings.number("serve_rate"))
        self.keyring = Keyring(workspace)
        self.seconds = self.settings.number("serve_seconds")
        self.engine: Engine | None = None
        self.draining = False
        self.trouble: list[Problem] = []
        """Why what is live by now does not answer yet."""
        self.failed: ResurveyError | None = None
        """Why nothing could be opened at all."""
        self.refresher = Refresher(workspace.root, lambda: self.version)
        self.began = time.time()
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "search")
        self._aside = ThreadPoolExecutor(2, "aside")
        self._waiting = 0
        self._head = workspace.index / HEAD
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether it answers, and is not about to stop."""
        return self.engine is not None and not self.draining

    def now(self) -> Engine:
        """The engine that answers from now on.

        Raises:
            NotReadyError: when nothing is opened yet.
        """
        if self.engine is None:
            raise NotReadyError
        return self.engine

    @property
    def version(self) -> int:
        """The newest version of the documents that can be found here; 0 before anything is opened."""
        return self.engine.found(Head.read(self._head)) if self.engine else 0

    def start(self, failed: Callable[[], None] = lambda: None) -> None:
        """Open what is live and watch for what comes, in a thread of its own; `failed` is called where nothing opens."""
        self._watcher = threading.Thread(target=self._watch, args=(failed,), name="watch", daemon=True)
        self._watcher.start()

    def open(self) -> None:
        """Open what is live, now.

        Raises:
            ResurveyError: when nothing is live, or it cannot be opened.
        """
        self._take(required(self.workspace))

    def close(self) -> None:
        """Stop watching, and let go of the threads."""
        self._stop.set()
        self.refresher.close()
        if self._watcher is not None:
            self._watcher.join(LOOK * 4)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._aside.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[], Result], *, aside: bool = False) -> Result:
        """What `work` returns, from a thread; `aside` from one that searches never wait for.

        Raises:
            BusyError: when too many wait already.
            TimeoutError: when it takes longer than a request may.
        """
        if self._waiting >= MOST_WAITING:
            raise BusyError
        self._waiting += 1
        self.metrics.waiting.labels("requests").inc()
        try:
            future = asyncio.get_running_loop().run_in_executor(self._aside if aside else self._pool, work)
            return await asyncio.wait_for(future, self.seconds)
        finally:
            self._waiting -= 1
            self.metrics.waiting.labels("requests").dec()

    async def searchable(self, version: int) -> bool:
        """Wait until a version can be found here, as long as a request may take; whether it can."""
        until = time.monotonic() + self.seconds
        while self.version < version and time.monotonic() < until and not self.refresher.trouble:
            await asyncio.sleep(0.02)
        return self.version >= version

    def look(self) -> bool:
        """Whether something else is live by now, and was opened."""
        try:
            found = live(self.workspace)
            if found is None or (self.engine is not None and found == self.engine.live):
                return False
            self._take(found)
        except Exception as error:  # whatever is wrong with the new one, the old one goes on
            problems = list(error.problems) if isinstance(error, ResurveyError) else [Problem("", repr(error))]
            self.trouble = problems
            self.metrics.switches.labels("failed").inc()
            log("switch failed", level="error", why="; ".join(map(str, problems)))
            raise
        return True

    def _take(self, found: Live) -> None:
        """Open and warm an engine, and let it answer from now on."""
        began = time.perf_counter()
        engine = Engine(self.workspace.root, found, told=self.metrics.embedding)
        self.engine, self.trouble, first = engine, [], self.engine is None
        self.metrics.lives(engine.made_of, len(engine.opened.index.documents))
        if not first:
            self.metrics.switches.labels("done").inc()
        log("live", **engine.made_of, seconds=round(time.perf_counter() - began, 2))

    def _watch(self, failed: Callable[[], None]) -> None:
        seen, tried = self._stamp(), time.monotonic()
        try:
            if self.engine is None:
                self.open()
        except BaseException as error:
            self.failed = (
                error if isinstance(error, ResurveyError) else ResurveyError(f"cannot open what is live: {error!r}")
            )
            failed()
            return
        head = Head.read(self._head)
        if head is not None and head.version > self.version:  # written, and never made searchable
            self.refresher.ask(head.version)
        while not self._stop.wait(LOOK):
            now = self._stamp()
            if now == seen and not (self.trouble and time.monotonic() - tried > AGAIN):
                continue
            seen, tried = now, time.monotonic()
            try:
                self.look()
            except Exception:
                continue  # told in `look`, and tried again

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self.workspace.live.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino


def required(workspace: Workspace) -> Live:
    """What is live.

    Raises:
        ResurveyError: when nothing is.
    """
    found = live(workspace)
    if found is None:
        raise ResurveyError(
            [Problem(str(workspace.root), "nothing is live yet, so there is nothing to serve")],
            f"resurvey run {workspace.root}",
        )
    return found
