"""The folder is the contract: writes are whole or not there, and nothing stale or tampered is believed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey import workspace as module
from resurvey.errors import ResurveyError
from resurvey.workspace import (
    Artefacts,
    Workspace,
    canonical,
    code_digest,
    create,
    digest,
    file_digest,
    read_json,
    write_bytes,
    write_json,
)

Write = Callable[[str, str], Path]
PARTS = st.lists(st.binary(max_size=4), max_size=4)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return create(tmp_path / "domain")


def test_a_digest_frames_its_parts() -> None:
    assert digest() == hashlib.sha256().hexdigest()
    assert digest("ab", b"c") == hashlib.sha256(b"2:ab1:c").hexdigest()
    assert digest("é") == hashlib.sha256("2:é".encode()).hexdigest()


@tried(max_examples=100, deadline=None, derandomize=True, database=None)
@given(PARTS, PARTS)
def test_two_lists_of_parts_have_one_digest_only_when_equal(left: list[bytes], right: list[bytes]) -> None:
    assert (digest(*left) == digest(*right)) == (left == right)


def test_equal_values_have_equal_canonical_text() -> None:
    assert canonical({"b": [1, "é"], "a": None}) == canonical({"a": None, "b": [1, "é"]}) == '{"a":null,"b":[1,"é"]}'


def test_the_code_digest_is_of_every_module() -> None:
    root = Path(module.__file__).parent
    sources = sorted(root.rglob("*.py"))
    assert len(sources) > 40
    parts = [part for path in sources for part in (str(path.relative_to(root)), path.read_bytes())]
    assert code_digest() == digest(*parts)


def test_a_write_makes_folders_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    for data in (b"first", b"second"):
        write_bytes(path, data)
        assert path.read_bytes() == data
        assert os.listdir(path.parent) == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    broken: Any = "a text, no bytes"
    with pytest.raises(TypeError):
        write_bytes(path, broken)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["file"])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["file"])


def test_a_rename_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_bytes(tmp_path / "taken", b"data")
    assert os.listdir(tmp_path) == ["taken"]
    assert os.listdir(tmp_path / "taken") == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["file"])


def test_a_write_is_on_disk_before_its_name_is_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(handle: int) -> None:
        folder = os.path.isdir(f"/proc/self/fd/{handle}")
        seen.append("folder" if folder else f"{os.fstat(handle).st_size} bytes")
        fsync(handle)

    def note_replace(old: str, new: Path) -> None:
        seen.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_bytes(tmp_path / "file", b"12345")
    assert seen == ["5 bytes", "rename", "folder"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@tried(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_json_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value
    assert list(read_json(path)) == list(value)


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff", b"[]", b"1"])
def test_a_file_that_is_no_json_object_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(ResurveyError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}: is damaged: ")
    assert caught.value.next == f"remove {path} and run again"


def test_a_missing_json_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResurveyError) as caught:
        read_json(tmp_path / "plan.json")
    assert str(caught.value) == f"{tmp_path}/plan.json: is missing\nNext: the command that writes it, again"


def test_artefacts_are_kept_once_by_their_content(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path / "artefacts")
    reference = artefacts.put(b"learned")
    assert reference == "sha256:" + hashlib.sha256(b"learned").hexdigest()
    assert artefacts.put(b"learned") == reference != artefacts.put(b"other")
    assert artefacts.get(reference) == b"learned"
    assert len(os.listdir(artefacts.folder)) == 2


def test_a_tampered_artefact_is_refused_and_so_is_a_missing_one(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    reference = artefacts.put(b"learned")
    path = tmp_path / reference.removeprefix("sha256:")
    path.write_bytes(b"learneD")
    with pytest.raises(ResurveyError) as caught:
        artefacts.get(reference)
    assert str(caught.value) == (
        f"{path}: its content no longer matches its name\nNext: remove {path}, then resurvey treat DIR"
    )
    path.unlink()
    with pytest.raises(ResurveyError) as caught:
        artefacts.get(reference)
    assert str(caught.value) == (f"{path}: the recipe names this artefact, and it is missing\nNext: resurvey treat DIR")


def test_a_folder_without_the_mark_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ResurveyError) as caught:
        Workspace.open(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is not a workspace\nNext: resurvey init {tmp_path} --corpus FILE"


@pytest.mark.parametrize("format", ["2", "null", '"1"'])
def test_a_workspace_of_another_format_is_refused(workspace: Workspace, format: str) -> None:
    assert Workspace.open(workspace.root).root == workspace.root
    mark = workspace.root / "workspace.json"
    mark.write_text(f'{{"format": {format}}}', encoding="utf-8")
    with pytest.raises(ResurveyError) as caught:
        Workspace.open(workspace.root)
    shown = json.loads(format)
    assert str(caught.value) == (
        f"{mark}: has format {shown}, this resurvey reads format 1\n"
        "Next: install the resurvey that wrote it, or init anew"
    )


def test_the_settings_are_the_workspaces_own(workspace: Workspace) -> None:
    (workspace.root / "resurvey.toml").write_text("depth = 33\n", encoding="utf-8")
    assert workspace.settings.integer("depth") == 33
    assert workspace.settings is workspace.settings


def test_a_second_writer_is_told_at_once_and_may_come_later(workspace: Workspace) -> None:
    other = Workspace(workspace.root)
    with workspace.lease():
        with pytest.raises(ResurveyError) as caught, other.lease():
            pass
        assert str(caught.value) == (
            f"{workspace.root}: another resurvey command is writing here\n"
            "Next: wait for it to end, then the same command again"
        )
    with other.lease():
        pass


def test_a_writer_in_another_process_is_told_too(workspace: Workspace) -> None:
    program = (
        "import sys; from pathlib import Path; from resurvey.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lease(): print('held')"
    )
    command = [sys.executable, "-c", program, str(workspace.root)]
    with workspace.lease():
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another resurvey command is writing here" in refused.stderr
    assert refused.stdout == ""
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "held\n"


def test_a_lease_ends_with_an_error(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[filelock.BaseFileLock] = []

    def lock(path: Path) -> filelock.BaseFileLock:
        held.append(real(path))
        return held[-1]

    real = filelock.FileLock
    monkeypatch.setattr(filelock, "FileLock", lock)
    with pytest.raises(RuntimeError, match="broken"), workspace.lease():
        raise RuntimeError("broken")
    assert [lock.is_locked for lock in held] == [False]


def test_a_stage_is_current_until_its_key_or_an_output_changes(workspace: Workspace) -> None:
    outputs = [workspace.plan, workspace.root / "index" / "table"]
    for path in outputs:
        write_bytes(path, b"made")
    assert not workspace.current("decide", "key")
    assert workspace.manifest("decide") is None
    workspace.publish("decide", "key", outputs, 1.23456)
    assert workspace.current("decide", "key")
    assert not workspace.current("diagnose", "key")
    assert not workspace.current("decide", "another key")
    assert workspace.manifest("decide") == {
        "stage": "decide",
        "key": "key",
        "outputs": {"plan.json": file_digest(outputs[0]), "index/table": file_digest(outputs[1])},
        "seconds": 1.235,
    }
    for path in outputs:
        path.write_bytes(b"MADE")
        assert not workspace.current("decide", "key")
        path.unlink()
        assert not workspace.current("decide", "key")
        path.write_bytes(b"made")
        assert workspace.current("decide", "key")


def test_a_stage_whose_output_is_missing_is_not_published(workspace: Workspace) -> None:
    with pytest.raises(FileNotFoundError):
        workspace.publish("decide", "key", [workspace.plan], 1)
    assert not workspace.current("decide", "key")


def test_a_damaged_manifest_is_named(workspace: Workspace) -> None:
    workspace.publish("decide", "key", [], 1)
    path = workspace.root / "manifests" / "decide.json"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ResurveyError, match=r"decide\.json: is damaged"):
        workspace.current("decide", "key")


def test_a_key_changes_with_inputs_settings_and_code(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace.root / "resurvey.toml").write_text("depth = 33\n", encoding="utf-8")
    key = workspace.key("input")
    assert (
        key
        == Workspace(workspace.root).key("input")
        == digest(canonical(workspace.settings.making), code_digest(), "input")
    )
    (workspace.root / "resurvey.toml").write_text("depth = 34\n", encoding="utf-8")
    monkeypatch.setattr(module, "code_digest", lambda: "another program")
    assert len({key, workspace.key("other"), workspace.key("input"), Workspace(workspace.root).key("input")}) == 4


def test_the_data_key_is_the_hash_of_the_data_manifest(workspace: Workspace) -> None:
    write_json(workspace.data / "manifest.json", {"files": {}})
    assert workspace.data_key() == hashlib.sha256((workspace.data / "manifest.json").read_bytes()).hexdigest()


def test_the_lineage_gives_back_what_was_recorded(workspace: Workspace) -> None:
    assert workspace.recorded("promote") == []
    workspace.record("init", sources={"é": 1})
    workspace.record("promote", candidate="0001")
    workspace.record("promote", candidate="0002\u2028\n")
    assert [entry["candidate"] for entry in workspace.recorded("promote")] == ["0001", "0002\u2028\n"]
    (first,) = workspace.recorded("init")
    assert list(first) == ["at", "what", "sources"]
    assert first["sources"] == {"é": 1}
    assert len(first["at"]) == len("2026-01-01T00:00:00Z")


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_torn_last_line_is_passed_over_and_takes_no_later_one_with_it(workspace: Workspace, kept: int) -> None:
    workspace.record("promote", candidate="0001")
    whole = workspace.lineage.read_bytes()
    workspace.record("promote", candidate="0002")
    torn = workspace.lineage.read_bytes()[: len(whole) + kept] if kept > 0 else workspace.lineage.read_bytes()[:-2]
    workspace.lineage.write_bytes(torn)
    assert [entry["candidate"] for entry in workspace.recorded("promote")] == ["0001"]
    workspace.record("promote", candidate="0003")
    assert [entry["candidate"] for entry in workspace.recorded("promote")] == ["0001", "0003"]


def test_what_a_killed_writer_left_is_swept_by_the_next_one_and_nothing_else(tmp_path: Path) -> None:
    workspace = create(tmp_path / "ws")
    half = [".plan.json.ab12_xyz", "manifests/.decide.json.aad0ba74", "candidates/0001-x/.recipe.json.00000000"]
    half += ["index/vectors/e1/.a.npy.q1w2e3r4", "reports/figures/.ladder.png.abcdefgh"]
    kept = [".lock", ".gitignore", "plan.json", "candidates/0001-x/recipe.json", ".notes.md"]
    for name in (*half, *kept):
        (workspace.root / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / name).write_text("x")
    (workspace.root / "index" / "engines" / ".e5.zxcvbnm1").mkdir(parents=True)
    with workspace.lease():
        pass
    assert not [name for name in half if (workspace.root / name).exists()]
    assert not list((workspace.root / "index" / "engines").iterdir())
    assert all((workspace.root / name).exists() for name in kept)
