"""Rounds of one interruption each: a writer is killed, or its power fails; then everything acknowledged must be there.

Processes are forked from a server that has loaded what is slow to load; not LanceDB, which starts threads.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from power import lossy, writer

SERVER = multiprocessing.get_context("forkserver")
HEAVY = ["numpy", "pyarrow.parquet", "scipy.sparse", "sklearn.feature_extraction.text", "power.writer"]
PATIENCE = 120.0


@dataclass(frozen=True)
class Round:
    """One interruption: when, how many steps were acknowledged before it, and all that was wrong afterwards."""

    moment: str
    acknowledged: int
    wrong: list[str]


def _run(work: Callable[..., None], *arguments: Any) -> Any:
    SERVER.set_forkserver_preload(HEAVY)
    process = SERVER.Process(target=work, args=arguments)
    process.start()
    return process


def prepare(folder: Path) -> Path:
    """The workspace that every round begins with; `folder/start` holds it alone."""
    process = _run(writer.prepare, folder / "start" / "ws")
    process.join(PATIENCE)
    assert process.exitcode == 0
    (folder / "start" / "corpus.jsonl").unlink()
    return folder / "start"


def checked(root: Path, notes: Path) -> list[str]:
    """What `writer.wrong` says, from a process of its own."""
    verdict = notes.with_suffix(".verdict")
    process = _run(writer.check, root, notes, verdict)
    process.join(PATIENCE)
    if not verdict.exists():
        return [f"whoever looked ended with {process.exitcode}"]
    found: list[str] = json.loads(verdict.read_text())
    return found


def acknowledged(notes: Path) -> int:
    """Steps that were acknowledged."""
    return notes.read_text().count('["acknowledged"') if notes.exists() else 0


def undisturbed(start: Path, folder: Path) -> tuple[int, float]:
    """Changes of the file system and seconds that all steps take."""
    with lossy.mounted(start, folder / "mount", folder / "whole"):
        process = _run(writer.write, folder / "mount" / "ws", folder / "whole.notes", 0)
        process.join(PATIENCE)
        assert process.exitcode == 0, (folder / "whole.notes.error").read_text()
    plain = folder / "plain"
    shutil.copytree(start, plain)
    process = _run(writer.write, plain / "ws", folder / "plain.notes", 0)
    _until(folder / "plain.notes", "begins", process)
    began = time.monotonic()
    process.join(PATIENCE)
    assert process.exitcode == 0
    return lossy.changes(folder / "whole"), time.monotonic() - began


def _until(notes: Path, word: str, process: Any) -> None:
    until = time.monotonic() + PATIENCE
    while process.is_alive() and not (notes.exists() and word in notes.read_text()):
        assert time.monotonic() < until
        time.sleep(0.002)


def kill(start: Path, folder: Path, seed: int, seconds: float) -> Round:
    """`kill -9` after so many seconds of writing; the page cache survives."""
    place = folder / f"kill{seed}"
    shutil.copytree(start, place)
    notes = folder / f"kill{seed}.notes"
    process = _run(writer.write, place / "ws", notes, seed)
    _until(notes, "begins", process)
    process.join(seconds)
    if process.is_alive() and process.pid:
        os.kill(process.pid, signal.SIGKILL)
    process.join(PATIENCE)
    found = Round(f"{seconds:.2f} s", acknowledged(notes), checked(place / "ws", notes))
    shutil.rmtree(place)
    return found


def power_loss(start: Path, folder: Path, seed: int, fail_at: int, careless: bool = False) -> Round:
    """The power fails at a change of the file system, before it happens; `careless` writers sync no table."""
    left, notes = folder / f"left{seed}", folder / f"left{seed}.notes"
    with lossy.mounted(start, folder / "mount", left, fail_at, seed):
        process = _run(writer.write, folder / "mount" / "ws", notes, seed, careless)
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
    if not left.exists():  # this writer had fewer changes to make
        notes.unlink()
        return power_loss(start, folder, seed, 1 + fail_at % lossy.changes(left), careless)
    found = Round(f"change {fail_at}", acknowledged(notes), checked(left / "ws", notes))
    shutil.rmtree(left)
    return found


def moments(count: int, most: float, seed: int) -> list[float]:
    """Moments in as many equal parts of the time, one in each."""
    return [most * (place + random.Random(seed + place).random()) / count for place in range(count)]
