"""The pages of the commands are true: every block of commands runs, every help text is what is printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import call

from resurvey.cli import app
from resurvey.types import Document, Query

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "commands"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FRONT = ROOT / "README.md"
FRESH = {"init", "demo", "FRONT"}
"""Pages that begin without a workspace."""


def commands() -> list[str]:
    return [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...], queries: tuple[Query, ...]) -> Path:
    """What a reader of the pages has: a BEIR folder, the same as single files, a run of another engine, a workspace."""
    folder = tmp_path_factory.mktemp("desk")
    data = folder / "my-data"
    (data / "qrels").mkdir(parents=True)
    corpus = [{"_id": d.id, "title": d.title, "text": d.text, **dict(d.metadata)} for d in documents]
    asked = [{"_id": q.id, "text": q.text} for q in queries]
    for name, rows in (("corpus", corpus), ("queries", asked)):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = {q.id: f"d{place // 3}" for place, q in enumerate(queries)}
    sides = {"train": range(40), "dev": range(40, 52), "test": range(52, 60)}
    for side, places in sides.items():
        rows_ = "".join(f"q{place}\t{judged[f'q{place}']}\t1\n" for place in places)
        (data / "qrels" / f"{side}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows_}")
    shutil.copy(data / "corpus.jsonl", folder / "docs.jsonl")
    shutil.copy(data / "queries.jsonl", folder / "queries.jsonl")
    (folder / "judgments.tsv").write_text("".join(f"{q}\t{d}\t1\n" for q, d in judged.items()))
    (folder / "results.trec").write_text("".join(f"{q} Q0 {d} 1 1.0 mine\n" for q, d in judged.items()))
    assert call("init", folder / "work", "--beir", data).code == 0
    assert call("run", folder / "work").code == 0
    return folder


def test_every_command_has_a_page_and_every_page_a_command() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} - {"README"} == set(commands())


def test_generated_parts_are_what_the_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"python docs/generate.py would change:\n{done.stdout}{done.stderr}"


def test_blocks_are_of_kinds_that_are_checked() -> None:
    """`sh` runs here, `text` is generated help or output; anything else would be code that nothing runs."""
    for path in [*PAGES.glob("*.md"), FRONT, ROOT / "docs" / "transcript.md"]:
        kinds = {kind for kind, _ in BLOCK.findall(path.read_text(encoding="utf-8"))}
        assert kinds <= {"sh", "text"}, path.name


@pytest.mark.parametrize("name", ["FRONT", *commands()])
def test_every_block_of_a_page_runs(name: str, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(desk, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    if name in FRESH:
        shutil.rmtree("work")
    page = (FRONT if name == "FRONT" else PAGES / f"{name}.md").read_text(encoding="utf-8")
    for kind, text in BLOCK.findall(page):
        for line in text.splitlines() if kind == "sh" else []:
            words = shlex.split(line, comments=True)
            assert words[0] == "resurvey", line
            ended = call(*words[1:])
            assert ended.code == 0, f"{line}\n{ended.err}"
            assert ended.out.strip(), line
