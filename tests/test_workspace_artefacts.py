"""Folders as artefacts: kept once by names and bytes, whole or not there, and nothing tampered is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resurvey import workspace as module
from resurvey.errors import ResurveyError
from resurvey.workspace import Artefacts, create, folder_digest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as models are saved: files, and files in a folder below."""
    folder = tmp_path / "trained"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "1_Pooling" / "config.json").write_bytes(b"\x00weights")
    return folder


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    return Artefacts(tmp_path / "artefacts")


def test_a_folder_is_kept_once_and_comes_back_as_it_was(artefacts: Artefacts, model: Path) -> None:
    reference = artefacts.put_folder(model)
    assert reference == f"sha256:{folder_digest(model)}"
    place = artefacts.folder_of(reference)
    assert place == artefacts.folder / reference.removeprefix("sha256:")
    assert (place / "config.json").read_text() == "{}"
    assert (place / "1_Pooling" / "config.json").read_bytes() == b"\x00weights"
    before = place.stat().st_mtime_ns
    assert artefacts.put_folder(model) == reference
    assert place.stat().st_mtime_ns == before
    assert os.listdir(artefacts.folder) == [place.name]


def test_names_and_bytes_make_the_reference_and_where_the_folder_stood_does_not(
    artefacts: Artefacts, model: Path, tmp_path: Path
) -> None:
    first = artefacts.put_folder(model)
    assert artefacts.put_folder(model.rename(tmp_path / "elsewhere")) == first
    model = tmp_path / "elsewhere"
    (model / "config.json").rename(model / "renamed.json")
    second = artefacts.put_folder(model)
    (model / "renamed.json").write_text("[]")
    assert len({first, second, artefacts.put_folder(model)}) == 3


@pytest.mark.parametrize("harm", ["changed", "added", "removed"])
def test_a_tampered_folder_is_refused(artefacts: Artefacts, model: Path, harm: str) -> None:
    reference = artefacts.put_folder(model)
    place = artefacts.folder / reference.removeprefix("sha256:")
    harmed = place / ("new.json" if harm == "added" else "config.json")
    if harm == "removed":
        harmed.unlink()
    else:
        harmed.write_text("[]")
    with pytest.raises(ResurveyError) as caught:
        artefacts.folder_of(reference)
    assert str(caught.value) == (
        f"{place}: its content no longer matches its name\nNext: remove {place}, then resurvey treat DIR"
    )


def test_a_missing_folder_is_named(artefacts: Artefacts) -> None:
    with pytest.raises(ResurveyError, match="names this artefact, and it is missing\nNext: resurvey treat DIR"):
        artefacts.folder_of("sha256:0123")


def test_a_folder_is_read_through_once_by_one_reader(
    artefacts: Artefacts, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, read = artefacts.put_folder(model), []
    digest = module.folder_digest
    monkeypatch.setattr(module, "folder_digest", lambda folder: read.append(folder) or digest(folder))
    assert artefacts.folder_of(reference) == artefacts.folder_of(reference)
    assert len(read) == 1
    Artefacts(artefacts.folder).folder_of(reference)
    assert len(read) == 2


def test_a_copy_that_fails_leaves_nothing(artefacts: Artefacts, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        artefacts.put_folder(model)
    assert not any(artefacts.folder.iterdir())


def test_whoever_keeps_the_same_folder_first_is_believed(
    artefacts: Artefacts, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, rename = Artefacts(artefacts.folder), os.rename

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        other.put_folder(model)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    reference = artefacts.put_folder(model)
    assert artefacts.folder_of(reference).is_dir()
    assert len(os.listdir(artefacts.folder)) == 1


def test_a_half_written_folder_is_swept_by_the_next_writer(tmp_path: Path, model: Path) -> None:
    workspace = create(tmp_path / "domain")
    whole = workspace.artefacts.put_folder(model)
    left = workspace.artefacts.folder / f".{'0' * 64}.0123abcd"
    left.mkdir()
    (left / "config.json").write_text("{")
    with workspace.lease():
        assert not left.exists()
    assert workspace.artefacts.folder_of(whole).is_dir()
