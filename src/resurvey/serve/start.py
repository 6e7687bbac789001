"""Starting: what must hold before anything listens, the socket, one process or several, and how they stop.

One worker runs in this process; several are processes of their own on one socket, watched and replaced. All stop the
same way: /ready says no, a moment passes so that whoever sends requests notices, what is under way is answered, and
then it ends. Knows processes and signals; knows nothing about searching.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from resurvey.errors import Problem, ResurveyError
from resurvey.serve.keys import read
from resurvey.serve.logs import begin, log
from resurvey.serve.service import required
from resurvey.workspace import Workspace

BACKLOG = 2048
SWITCHING = 0.0005
"""Seconds after which a thread that computes lets another have its turn: an answer must not wait for five milliseconds."""
PATIENCE = 30.0
"""Seconds that requests under way may take when the service stops."""
TOO_SOON = 5.0
"""A worker that ends sooner than this after its start will not be better for being started again at once."""
SHARED = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = "rates"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen, and with how many processes."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1


def serve(workspace: Workspace, place: Place, said: Callable[[str], None] = lambda _: None) -> None:
    """Serve until told to stop; `said` hears the address.

    Raises:
        ResurveyError: with all that stands in the way.
    """
    _check(workspace, place)
    with _listening(place) as listener:
        host, port = listener.getsockname()[:2]
        said(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        if place.workers == 1:
            alone(workspace, listener)
        else:
            Crew(workspace, listener, place.workers).run()


def _check(workspace: Workspace, place: Place) -> None:
    problems, next = [], ""
    try:
        required(workspace)
    except ResurveyError as error:
        problems, next = list(error.problems), error.next
    if not is_loopback(place.host) and not read(workspace):
        problems.append(Problem(f"--host {place.host}", "lets other machines in, and there is no key yet"))
        next = next or f"resurvey keys {workspace.root} add NAME --scope search, or serve on 127.0.0.1"
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        problems.append(Problem(str(error.name), "is not installed, and the service needs it"))
        next = "pip install 'resurvey[serve]'"
    if problems:
        raise ResurveyError(problems, next)


def is_loopback(host: str) -> bool:
    """Whether only this machine can come in by an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listening(place: Place) -> socket.socket:
    where = f"{place.host}:{place.port}"
    try:
        family, kind, proto, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise ResurveyError(
            [Problem(where, f"cannot be listened at: {what[:1].lower()}{what[1:]}")],
            "name another one with --port, or end what listens there",
        ) from error
    return listener


def alone(workspace: Workspace, listener: socket.socket, shared: Path | None = None) -> None:
    """Serve in this process, on a socket that listens already.

    Args:
        shared: the folder that all workers of one service share.

    Raises:
        ResurveyError: when what is live cannot be opened.
    """
    import uvicorn

    from resurvey.serve.api import make
    from resurvey.serve.limits import Buckets
    from resurvey.serve.service import Service

    begin()
    sys.setswitchinterval(SWITCHING)
    rate = workspace.settings.number("serve_rate")
    service = Service(workspace, buckets=Buckets(rate, shared / BUCKETS if shared else None))
    config = uvicorn.Config(
        make(service), log_config=None, access_log=False, server_header=False, lifespan="on", timeout_keep_alive=75,
        timeout_graceful_shutdown=int(max(PATIENCE, service.seconds)), backlog=BACKLOG,
    )  # fmt: skip
    server = uvicorn.Server(config)
    drain = workspace.settings.number("serve_drain_seconds")

    def stop(number: int, _: FrameType | None) -> None:
        if service.draining:  # told twice: at once
            server.should_exit = server.force_exit = True
            return
        service.draining = True
        log("stopping", signal=signal.Signals(number).name)
        threading.Timer(drain, lambda: setattr(server, "should_exit", True)).start()

    server.handle_exit = stop  # type: ignore[method-assign,assignment]  # uvicorn would stop listening before anyone is told
    service.start(failed=lambda: setattr(server, "should_exit", True))
    server.run(sockets=[listener])
    if service.failed is not None:
        raise service.failed
    log("stopped")


class Crew:
    """Several workers on one socket: started, replaced when they die, stopped together."""

    def __init__(self, workspace: Workspace, listener: socket.socket, count: int) -> None:
        self.workspace = workspace
        self.listener = listener
        self.count = count
        self._workers: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._stopping = False

    def run(self) -> None:
        """Until all have stopped.

        Raises:
            ResurveyError: when a worker cannot begin.
        """
        begin()
        with tempfile.TemporaryDirectory(prefix="resurvey-serve-") as shared:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._stop)
            for worker in range(self.count):
                self._start(worker, Path(shared))
            while self._workers:
                time.sleep(0.1)
                self._look(Path(shared))

    def _start(self, worker: int, shared: Path) -> None:
        environment = {**os.environ, SHARED: str(shared)}
        command = [sys.executable, "-m", "resurvey.serve", str(self.workspace.root), str(self.listener.fileno()), str(shared)]  # fmt: skip
        process = subprocess.Popen(command, env=environment, pass_fds=(self.listener.fileno(),), start_new_session=True)
        self._workers[worker] = process, time.monotonic()
        log("worker started", worker=worker, process=process.pid)

    def _look(self, shared: Path) -> None:
        """Notice who has ended, and start another in its place unless that would not help."""
        for worker, (process, began) in list(self._workers.items()):
            code = process.poll()
            if code is None:
                continue
            del self._workers[worker]
            _forget(process.pid, shared)
            if self._stopping:
                continue
            log("worker ended", level="error", worker=worker, process=process.pid, code=code)
            if time.monotonic() - began < TOO_SOON or code == 1:
                self._stop(signal.SIGTERM, None)
                raise ResurveyError(
                    f"a worker ended with code {code} as soon as it had begun", "its reason stands above"
                )
            self._start(worker, shared)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        for process, _began in self._workers.values():
            process.send_signal(number)


def _forget(process: int, shared: Path) -> None:
    """A worker that is gone no longer counts among those whose numbers are of now."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(process, str(shared))  # type: ignore[no-untyped-call]
