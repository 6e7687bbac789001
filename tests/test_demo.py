"""The demo: real text from what is installed, the whole story with the commands named, and nothing done twice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from test_cli import call

from resurvey.data import docstrings
from resurvey.data.docstrings import MODULES, Entry, chosen, entries
from resurvey.data.read import beir, read
from resurvey.workspace import Workspace


@pytest.fixture(scope="module")
def found() -> list[Entry]:
    return entries()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("demo") / "shown"
    ended = call("demo", root, "--documents", "90")
    assert ended.code == 0, ended.err
    return root, ended.out


def test_entries_are_thousands_from_packages_on_one_side_each(found: list[Entry]) -> None:
    assert len(found) > 3_000
    sides = {package: {e.side for e in found if e.package == package} for package in {e.package for e in found}}
    assert all(len(side) == 1 for side in sides.values()), sides
    assert {e.side for e in found} == set(MODULES)


def test_a_documents_text_has_lost_the_line_that_asks_for_it(found: list[Entry]) -> None:
    cumsum = next(e for e in found if e.name == "numpy.cumsum")
    assert cumsum.summary == "Return the cumulative sum of the elements along a given axis."
    assert cumsum.signature.startswith("(a, axis=None")
    assert cumsum.summary not in cumsum.rest
    assert "Input array" in cumsum.rest


def test_a_function_written_in_c_is_asked_for_by_its_sentence_and_not_by_its_signature(found: list[Entry]) -> None:
    signatures = [e.name for e in found if re.fullmatch(r"[\w.]+\(.*\)", e.summary)]
    assert not signatures


def test_equal_summaries_stay_on_one_side() -> None:
    rows = [
        Entry(f"p{place}.f", "()", "The same words here.", "x", side) for place, side in enumerate(("train", "test"))
    ]
    assert chosen(rows, 10, 1) == rows[:1]


def test_a_sample_is_of_the_size_asked_for_and_the_same_every_time(found: list[Entry]) -> None:
    assert chosen(found, 100, 13) == chosen(found, 100, 13)
    assert len(chosen(found, 100, 13)) == 100


def test_what_is_written_reads_as_a_collection_with_three_sides(tmp_path: Path) -> None:
    assert docstrings.write(tmp_path / "api", 200) == 200
    brought = read(beir(tmp_path / "api"))
    assert len(brought.documents) == 200
    assert set(brought.judgments) == {"train", "dev", "test"}
    assert sum(map(len, brought.judgments.values())) == 200
    assert [path.name for path in tmp_path.iterdir()] == ["api"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(docstrings, "_write_rows", full)
    with pytest.raises(OSError, match="No space"):
        docstrings.write(tmp_path / "api", 60)
    assert not list(tmp_path.iterdir())


def test_the_demo_says_what_it_does_with_the_commands_one_would_type(shown: tuple[Path, str]) -> None:
    root, out = shown
    assert f"resurvey init {root / 'work'} --beir {root / 'api-reference'}" in out
    assert f"resurvey run {root / 'work'}" in out
    assert f"Report: {root / 'work' / 'reports' / 'report.html'}" in out
    assert "Next: " in out


def test_the_test_side_is_read_once_for_what_is_live(shown: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(shown[0], tmp_path / "again")
    workspace = Workspace.open(tmp_path / "again" / "work")
    before = len(workspace.recorded("test read"))
    ended = call("demo", tmp_path / "again", "--json")
    facts = json.loads(ended.out)
    assert len(workspace.recorded("test read")) == before
    assert before == (1 if facts["live"] != facts["best_untouched"] else 0)
    assert (facts["proof"] is not None) == (before == 1)


def test_the_second_time_skips_what_is_done(shown: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(shown[0], tmp_path / "again")
    work = tmp_path / "again" / "work"
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.json")}
    assert call("demo", tmp_path / "again").code == 0
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.json")} == before


def test_something_else_in_the_workspaces_place_is_left_alone(shown: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(shown[0] / "api-reference", tmp_path / "busy" / "api-reference")
    (tmp_path / "busy" / "work").mkdir()
    (tmp_path / "busy" / "work" / "mine.txt").write_text("x")
    ended = call("demo", tmp_path / "busy")
    assert ended.code == 1
    assert "is there already and is not empty" in ended.err
    assert [path.name for path in (tmp_path / "busy" / "work").iterdir()] == ["mine.txt"]
