"""Real `resurvey` processes, forked from a server that has loaded the heavy libraries once, on machines made small.

What a process may be denied: room on its disk (a tmpfs of its own where the system lets one be mounted, else a
limit on the size of files), and the powers of root. No skip is needed anywhere.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

HEAVY = [
    "torch", "sentence_transformers", "transformers.models.bert.modeling_bert", "lightgbm", "sklearn.feature_extraction.text",
    "scipy.stats", "scipy.sparse", "wordfreq", "ir_measures", "pyarrow.parquet", "lance_namespace_urllib3_client", "typer",
]  # fmt: skip
"""Not lancedb: it starts a thread, and a fork leaves threads behind."""
NEW_MOUNTS, NEW_USERS, PRIVATE = 0x00020000, 0x10000000, (1 << 18) | (1 << 14)
PATIENCE = 120.0

SERVER = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Denied:
    """What the machine refuses to one process."""

    powers: bool = False
    """Root may no more than anybody else may."""
    disk: str = ""
    """This folder becomes a disk of its own …"""
    room: int = 0
    """… with so many bytes free beside what lies there now …"""
    kept: str = ""
    """… and what lies there in the end is copied to this folder, where there is room."""
    growth: int = 0
    """No file may grow beyond so many bytes."""


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def drop_powers() -> None:
    """Give up every capability: from now on permissions hold for root, too."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def own_disk(folder: Path, room: int) -> None:
    """Mount a small tmpfs at `folder`, for this process alone, with what lay there and `room` bytes free."""
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", NEW_MOUNTS)
    except OSError:
        _call("unshare", NEW_USERS | NEW_MOUNTS)
        for name, line in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path("/proc/self", name).write_text(line)
    _call("mount", b"none", b"/", None, PRIVATE, None)
    outside = folder.with_name(f"{folder.name}.outside")
    shutil.copytree(folder, outside)
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=64m")
    shutil.copytree(outside, folder, dirs_exist_ok=True)
    shutil.rmtree(outside)
    free = os.statvfs(folder)
    with (folder / "ballast").open("wb") as ballast:
        ballast.write(bytes(max(0, free.f_bavail * free.f_frsize - room)))


def can_mount(folder: Path) -> bool:
    """Whether a process may mount a disk of its own here."""
    tried = SERVER.Process(target=_try_mount, args=(folder,))
    tried.start()
    tried.join(PATIENCE)
    return tried.exitcode == 0


def _try_mount(folder: Path) -> None:
    try:
        own_disk(folder, 1 << 20)
    except OSError:
        sys.exit(1)


def _command(arguments: list[str], told: Path, denied: Denied) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(told / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    if denied.disk:
        own_disk(Path(denied.disk), denied.room)
    if denied.growth:
        resource.setrlimit(resource.RLIMIT_FSIZE, (denied.growth, denied.growth))
    if denied.powers:
        drop_powers()
    sys.argv = ["resurvey", *arguments]
    from resurvey.__main__ import main

    try:
        main()
    finally:
        if denied.disk:
            (Path(denied.disk) / "ballast").unlink()
            shutil.copytree(denied.disk, denied.kept)


@dataclass
class Running:
    """One `resurvey` process."""

    told: Path
    process: BaseProcess
    arguments: tuple[str, ...] = field(default=())

    @property
    def out(self) -> str:
        return (self.told / "out").read_text()

    @property
    def err(self) -> str:
        return (self.told / "err").read_text()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that has ended does not mind."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)

    def when(self, reached: Callable[[], bool]) -> bool:
        """Wait until `reached`; False when the process ended first."""
        until = time.monotonic() + PATIENCE
        while not reached():
            if not self.process.is_alive():
                return reached()
            assert time.monotonic() < until, self.err
            time.sleep(0.002)
        return True

    def code(self) -> int:
        """Wait for the end; the exit code."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, f"{self.arguments} hangs: {self.err}"
        return self.process.exitcode


def start(told: Path, *arguments: str | Path, denied: Denied | None = None) -> Running:
    """Start `resurvey` with these arguments; `told` is a new folder for what it prints."""
    told.mkdir(parents=True, exist_ok=True)
    SERVER.set_forkserver_preload(HEAVY)
    given = [str(argument) for argument in arguments]
    process = SERVER.Process(target=_command, args=(given, told, denied or Denied()))
    process.start()
    return Running(told, process, tuple(given))
