"""Kills and power losses: every acknowledged document is there, one consistent snapshot serves, the next write works.

A few rounds; `benchmarks/faults.py` has a hundred. The file system that forgets what was not synced is tested itself,
and a writer who syncs nothing is found out.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from power import lossy, rounds
from power.lossy import Lossy, dump

ROUNDS = 3


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace that every round begins with."""
    return rounds.prepare(tmp_path_factory.mktemp("power"))


@pytest.fixture(scope="module")
def mountable() -> None:
    """Skipped where no file system of one's own can be mounted, but never where CI=true."""
    if reason := lossy.available():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def left(disk: Lossy, folder: Path, share: float = 0.0) -> dict[str, bytes]:
    dump(disk.root, folder, random.Random(1), share)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def disk(tmp_path: Path) -> Lossy:
    (tmp_path / "start" / "d").mkdir(parents=True)
    (tmp_path / "start" / "old").write_bytes(b"old")
    return Lossy(tmp_path / "start", tmp_path / "after", 0, 0)


def put(made: Lossy, path: str, data: bytes, *, synced: bool) -> None:
    handle = made.create(path, 0o600)
    made.write(path, data, 0, handle)
    if synced:
        made.fsync(path, 0, handle)


def test_only_synced_bytes_under_synced_names_survive(tmp_path: Path) -> None:
    made = disk(tmp_path)
    put(made, "/named", b"x", synced=False)
    put(made, "/d/whole", b"y", synced=True)
    made.fsyncdir("/d", 0, made.opendir("/d"))
    put(made, "/d/late", b"z", synced=True)
    made.fsyncdir("/", 0, made.opendir("/"))
    assert left(made, tmp_path / "left") == {"old": b"old", "named": b"", "d/whole": b"y"}
    assert left(made, tmp_path / "all", 1.0) == {"old": b"old", "named": b"x", "d/whole": b"y", "d/late": b"z"}


def test_a_rename_is_durable_with_its_folder_and_until_then_the_old_file_is_there(tmp_path: Path) -> None:
    made = disk(tmp_path)
    put(made, "/new", b"new", synced=True)
    made.rename("/new", "/old")
    assert left(made, tmp_path / "before") == {"old": b"old"}
    made.fsyncdir("/", 0, made.opendir("/"))
    assert left(made, tmp_path / "then") == {"old": b"new"}


def test_nothing_happens_after_the_power_failed(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    made = Lossy(tmp_path / "start", tmp_path / "after", 2, 0)
    made.mkdir("/d", 0)
    for attempt in (lambda: made.mkdir("/e", 0), lambda: made.getattr("/"), lambda: made.create("/f", 0)):
        with pytest.raises(OSError, match=r"power|/"):
            attempt()
    assert not list((tmp_path / "after").glob("e"))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_kill_loses_nothing_that_was_acknowledged(seed: int, start: Path, tmp_path: Path) -> None:
    found = rounds.kill(start, tmp_path, seed, 0.2 + 0.5 * seed)
    assert found.wrong == []


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_power_loss_loses_nothing_that_was_acknowledged(
    seed: int, start: Path, tmp_path: Path, mountable: None
) -> None:
    found = rounds.power_loss(start, tmp_path, seed, 120 + 190 * seed)
    assert found.wrong == []


def test_a_writer_that_syncs_no_table_is_found_out(start: Path, tmp_path: Path, mountable: None) -> None:
    found = rounds.power_loss(start, tmp_path, 1, 120, careless=True)
    assert found.acknowledged
    assert found.wrong
