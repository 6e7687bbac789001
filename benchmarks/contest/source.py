"""What was measured: the commit, the hash of the package's source, and files of finished rows below `cache/`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
CACHE = HERE / "cache"


def commit() -> str:
    """The commit, with a + when the package or the benchmarks hold uncommitted changes."""
    changed = _git(
        "status",
        "--porcelain",
        "--",
        "../src",
        "quality.py",
        "ablation.py",
        "identifiers.py",
        "confidence.py",
        "contest",
    )
    return _git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def package() -> str:
    """The hash of the committed package: equal for commits that change other things alone."""
    return _git("rev-parse", "HEAD:src")


def key(*parts: str, files: tuple[Path, ...] = ()) -> str:
    """A short hash of parts and of files' contents."""
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return hashlib.sha256("|".join([*parts, *contents]).encode()).hexdigest()[:16]


def load(path: Path) -> Any:
    """A finished row, or None."""
    return json.loads(path.read_text()) if path.exists() else None


def save(path: Path, value: Any) -> None:
    """Write a finished row in one move: a kill leaves none, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(value))
    partial.rename(path)


def noted(program: str, facts: dict[str, Any]) -> None:
    """A read of the test side, in the ledger: when, by which command (the data's folder left out), and what was found."""
    given = ["FOLDER" if before == "--data" else word for before, word in zip(sys.argv, sys.argv[1:], strict=False)]
    row = {"at": time.strftime("%Y-%m-%d"), "command": " ".join([f"benchmarks/{program}", *given]), **facts}
    with (HERE / "ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps(row) + "\n")


def resurvey(*arguments: str) -> str:
    """Run the command line as a user does; what it printed. Ends this program with its message when it fails."""
    return process("-c", "from resurvey.cli import main; main()", *arguments)


def process(*arguments: str) -> str:
    """Run python offline on `arguments`, from the folder of the benchmarks; what it printed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=HERE, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
