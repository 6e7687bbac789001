"""What a machine can do to a command: a full disk, no permission, a second command, a folder that goes away, Ctrl-C.

Real processes on a real workspace. Each fault ends with one clear message; afterwards, with the fault gone, the
same command ends as if nothing had happened.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from processes import Denied, Running, can_mount, start

from resurvey.cli.faults import message_for
from resurvey.errors import STOPPED, ResurveyError
from resurvey.types import Document, Query

STOP = f"resurvey: {STOPPED}\n"
COMMANDS = ("init", "run", "rank", "report")


@dataclass(frozen=True)
class Place:
    """A folder for one test: `disk/ws` is the workspace, `disk/run.trec` what rank writes."""

    root: Path
    brought: Path
    model: Path
    before: dict[str, Path]
    undisturbed: dict[str, Any]

    @property
    def disk(self) -> Path:
        return self.root / "disk"

    @property
    def workspace(self) -> Path:
        return self.disk / "ws"

    @property
    def output(self) -> Path:
        return self.disk / "run.trec"

    def start(self, command: str, denied: Denied | None = None) -> Running:
        """Start one of COMMANDS."""
        told = self.root / f"told{len(list(self.root.glob('told*')))}"
        return start(told, command, self.workspace, *self.options(command), denied=denied)

    def options(self, command: str) -> tuple[str | Path, ...]:
        if command == "init":
            return ("--beir", self.brought, "--model", self.model)
        return ("--queries", self.brought / "queries.jsonl", "--output", self.output) if command == "rank" else ()

    def prepare(self, command: str) -> None:
        """The disk as it is before `command`."""
        shutil.rmtree(self.disk, ignore_errors=True)
        self.disk.mkdir(parents=True)
        if command in self.before:
            shutil.copytree(self.before[command], self.workspace)

    def result(self, command: str) -> Any:
        """What a command made, without its dates."""
        if command == "init":
            return json.loads((self.workspace / "data" / "manifest.json").read_text())
        if command == "rank":
            return self.output.read_text()
        page = (self.workspace / "reports" / "report.html").read_text()
        return page, json.loads((self.workspace / "reports" / "report.json").read_text())

    def completes(self, command: str) -> None:
        """The same command, undisturbed, ends well and as if nothing had been."""
        ended = self.start(command)
        assert ended.code() == 0, ended.err
        assert self.result(command) == self.undisturbed[command]
        assert not [path.name for path in self.disk.rglob(".*") if path.name not in {".lock", ".writer", ".building"}]


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    documents: tuple[Document, ...],
    queries: tuple[Query, ...],
    model_folder: Path,
) -> Place:
    """The workspace before every command, and what each makes when nothing disturbs it."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "beir" / "qrels").mkdir(parents=True)
    rows = {
        "corpus": [{"_id": d.id, "title": d.title, "text": d.text} for d in documents],
        "queries": [{"_id": q.id, "text": q.text} for q in queries],
    }
    for name, found in rows.items():
        (folder / "beir" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    judged = "".join(f"q{place}\td{place // 3}\t1\n" for place in range(0, 60, 2))  # too few for the slow treatments
    (folder / "beir" / "qrels" / "dev.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    place = Place(folder, folder / "beir", model_folder, {}, {})
    place.disk.mkdir()
    for command in COMMANDS:
        ended = place.start(command)
        assert ended.code() == 0, ended.err
        place.undisturbed[command] = place.result(command)
        for later in {"init": ("run",), "run": ("rank", "report")}.get(command, ()):
            place.before[later] = folder / f"before-{later}"
            shutil.copytree(place.workspace, place.before[later])
    shutil.rmtree(place.before["report"] / "reports")
    return place


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path, made.brought, made.model, made.before, made.undisturbed)
    subprocess.run(["chmod", "-R", "u+w", tmp_path], check=True)


def clear(ended: Running, *said: str) -> None:
    """One message with its value, its rule and the next command; no traceback, no second voice."""
    assert ended.code() == 1, ended.err
    assert ended.out == ""
    assert re.fullmatch(r"resurvey: .+\nNext: .+\n", ended.err), ended.err
    for words in said:
        assert words in ended.err


# the disk


@pytest.mark.parametrize(
    ("command", "room", "growth"),
    [("init", 4096, 300), ("run", 40_000, 2_000), ("run", 170_000, 8_000), ("rank", 0, 500), ("report", 0, 500)],
)
def test_a_full_disk_is_told_and_costs_nothing(command: str, room: int, growth: int, place: Place) -> None:
    place.prepare(command)
    if can_mount(place.disk):
        kept = place.root / "kept"
        ended = place.start(command, Denied(disk=str(place.disk), room=room, kept=str(kept)))
        clear(ended, str(place.disk), "the disk is full", "make room there, then the same command again")
        shutil.rmtree(place.disk)
        shutil.copytree(kept, place.disk)  # the same files where there is room
    else:
        ended = place.start(command, Denied(growth=growth))
        clear(ended, str(place.disk), "a file would grow beyond", "then the same command again")
    place.completes(command)


def test_output_that_nobody_can_take_is_told_too(place: Place) -> None:
    place.prepare("report")
    (place.root / "full").mkdir()
    (place.root / "full" / "out").symlink_to("/dev/full")
    ended = start(place.root / "full", "report", place.workspace)
    assert ended.code() == 1
    assert ended.err == "resurvey: the disk is full\nNext: make room there, then the same command again\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_without_permission_is_told_and_costs_nothing(command: str, place: Place) -> None:
    place.prepare(command)
    folder = place.workspace / "reports" if command == "report" else place.disk
    folder.mkdir(exist_ok=True)
    if command == "run":
        folder = place.workspace
    folder.chmod(0o555)
    ended = place.start(command, Denied(powers=True))
    clear(ended, str(folder), "permission is missing", "chmod")
    folder.chmod(0o755)
    place.completes(command)


def in_the_way(path: Path, *, file: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine") if file else path.mkdir()


@pytest.mark.parametrize(
    ("command", "where", "file", "said"),
    [
        ("init", "ws", True, "is there already"),
        ("run", "ws/index", True, "is a file, and a folder must be there"),
        ("rank", "run.trec", False, "is a folder, and --output names a file"),
        ("report", "ws/reports/report.html", False, "is a folder"),
    ],
)
def test_what_lies_in_the_way_is_told_and_kept(command: str, where: str, file: bool, said: str, place: Place) -> None:
    place.prepare(command)
    thing = place.disk / where
    in_the_way(thing, file=file)
    clear(place.start(command), str(thing), said)
    assert thing.read_text() == "mine" if file else thing.is_dir()
    thing.unlink() if file else thing.rmdir()
    place.completes(command)


# other commands, other hands


def paused(place: Place, command: str, reached: Callable[[], bool]) -> Running:
    """A command that stands still from the moment on that `reached` is true."""
    running = place.start(command)
    assert running.when(reached), running.err
    running.send(signal.SIGSTOP)
    return running


def test_a_second_command_is_told_at_once_and_the_first_is_not_disturbed(place: Place) -> None:
    place.prepare("run")
    first = paused(place, "run", (place.workspace / "index").exists)
    for command in ("run", "rank", "report"):
        clear(place.start(command), "another resurvey command is writing here", "wait for it to end")
    first.send(signal.SIGCONT)
    assert first.code() == 0, first.err
    assert place.result("run") == place.undisturbed["run"]


def test_of_two_inits_of_one_folder_the_first_to_end_wins(place: Place) -> None:
    place.prepare("init")
    slow = paused(place, "init", lambda: any(place.disk.glob(".ws.*")))
    quick = place.start("init")
    assert quick.code() == 0, quick.err
    slow.send(signal.SIGCONT)
    clear(slow, str(place.workspace), "is there already")
    assert place.result("init") == place.undisturbed["init"]
    assert [path.name for path in place.disk.iterdir()] == ["ws"]


def test_a_workspace_that_is_removed_does_not_come_back_in_parts(place: Place) -> None:
    place.prepare("run")
    running = paused(place, "run", (place.workspace / "diagnosis.json").exists)
    shutil.rmtree(place.workspace)
    running.send(signal.SIGCONT)
    clear(running, f"{place.workspace}: the workspace was removed or moved while the command ran", "resurvey init")
    assert list(place.disk.iterdir()) == []


def test_a_workspace_that_is_moved_goes_on_where_it_is_now(place: Place) -> None:
    place.prepare("run")
    running = paused(place, "run", (place.workspace / "plan.json").exists)
    place.workspace.rename(place.root / "moved")
    running.send(signal.SIGCONT)
    clear(running, "removed or moved while the command ran", "go on where it is now")
    (place.root / "moved").rename(place.workspace)
    place.completes("run")


# Ctrl-C


def test_ctrl_c_in_every_stage_of_a_run_loses_nothing(place: Place) -> None:
    place.prepare("run")
    for stage in (".lock", "index/vectors", "diagnosis.json", "candidates/0001-*", "gate.json"):
        running = place.start("run")
        assert running.when(lambda stage=stage: any(place.workspace.glob(stage))), running.err
        running.send(signal.SIGINT)
        assert (running.code(), running.err, running.out) == (130, STOP, ""), stage
    place.completes("run")


def test_ctrl_c_while_init_reads_leaves_nothing_behind(place: Place) -> None:
    place.prepare("init")
    running = paused(place, "init", lambda: any(place.disk.glob(".ws.*")))
    running.send(signal.SIGINT)
    running.send(signal.SIGCONT)
    assert (running.code(), running.err) == (130, STOP)
    assert list(place.disk.iterdir()) == []
    place.completes("init")


@pytest.mark.parametrize("library", ["_multiarray_umath", "libarrow.so"])
def test_ctrl_c_while_a_library_loads_is_the_same_message(library: str, place: Place) -> None:
    place.prepare("run")
    process = subprocess.Popen(
        [sys.executable, "-m", "resurvey", "run", place.workspace], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    while library not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err, out) == (130, STOP, "")


DROPPED = "class D:\n  def __del__(self):\n    os.kill(os.getpid(), signal.SIGINT)\n    for _ in range(1000): pass\nD()"


@pytest.mark.parametrize("moment", ["os.kill(os.getpid(), signal.SIGINT)", DROPPED], ids=["import", "destructor"])
def test_ctrl_c_before_the_first_command_is_known_is_the_same_message(moment: str) -> None:
    program = f"""
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            exec({moment!r}, globals())
sys.meta_path.insert(0, Finder())
runpy.run_module("resurvey", run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr, ended.stdout) == (130, STOP, "")


# messages


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "the memory is used up"),
        (pa.ArrowMemoryError("malloc of size 1 failed"), "the memory is used up"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory"), "the memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "the memory is used up"),
        (RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)"), "here: the disk is full"),
        (pa.ArrowInvalid("No space left on device"), "here: the disk is full"),
        (sqlite3.OperationalError("database is locked"), "here: another program holds it"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "here: permission is missing"),
        (OSError(5, "Input/output error", "/x"), "/x: the disk does not answer"),
        (OSError(116, "Stale file handle", "/x"), "/x: Stale file handle"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch: is not installed\nNext: resurvey doctor"),
    ],
    ids=lambda found: type(found).__name__ if isinstance(found, Exception) else None,
)  # fmt: skip
def test_every_library_that_meets_a_limit_is_understood(error: Exception, said: str) -> None:
    told = message_for(error, "here")
    assert isinstance(told, ResurveyError)
    assert said in str(told)
    assert "\nNext: " in str(told)


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyError("x"), ValueError("bad"), SystemExit(2)])
def test_a_defect_of_ours_keeps_its_traceback(error: BaseException) -> None:
    assert message_for(error) is None
