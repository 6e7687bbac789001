"""Kills: `run` is killed with SIGKILL at moments uniform in time, restarted, and must end the same.

    python benchmarks/kill.py [--data FOLDER] [--kills 30] [--documents 300]

Prints one line a kill and a verdict; exits 1 when any restarted run ends otherwise than the
undisturbed one: other verdicts, or per-query scores that differ by more than 1e-6.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

HERE = Path(__file__).parent
TOLERANCE = 1e-6


def main() -> None:
    """Kill, restart, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data" / "covid-faq")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--queries", type=int, default=120)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _sample(arguments.data, root / "in", arguments.documents, arguments.queries)
        _resurvey("init", str(root / "fresh"), "--beir", str(root / "in")).wait()
        shutil.copytree(root / "fresh", root / "whole")
        started = time.monotonic()
        assert _resurvey("run", str(root / "whole"), "--effort", "small").wait() == 0
        seconds = time.monotonic() - started
        truth = outcome(root / "whole")
        print(f"undisturbed: {seconds:.1f} s, live {truth['live']}", flush=True)
        bad = sum(not _kill(root, place, seconds, truth, arguments.kills) for place in range(arguments.kills))
    print(f"{arguments.kills} kills, {bad} ended otherwise")
    sys.exit(1 if bad else 0)


def _kill(root: Path, place: int, seconds: float, truth: dict[str, Any], kills: int) -> bool:
    """One kill in its own stratum of the run's time, so that moments are uniform; True when all is the same."""
    work = root / "work"
    shutil.copytree(root / "fresh", work)
    moment = seconds * (place + random.Random(place).random()) / kills
    process = _resurvey("run", str(work), "--effort", "small")
    try:
        process.wait(moment)
        ended = "had ended"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        ended = "killed"
    again = _resurvey("run", str(work), "--effort", "small").wait()
    found = outcome(work) if again == 0 else {}
    difference = max(
        (
            abs(a - b)
            for name in truth["scores"]
            for a, b in zip(truth["scores"][name], found.get("scores", {}).get(name, [9.0]), strict=False)
        ),
        default=9.0,
    )
    same = (
        again == 0
        and found["verdicts"] == truth["verdicts"]
        and found["live"] == truth["live"]
        and difference <= TOLERANCE
    )
    print(
        f"{place + 1:3d}  {ended} at {moment:6.2f} s: {'same' if same else 'OTHERWISE'}, largest difference {difference:.1e}",
        flush=True,
    )
    shutil.rmtree(work)
    return same


def outcome(work: Path) -> dict[str, Any]:
    """What a finished run decided: verdicts, what is live, per-query scores of every candidate."""
    verdicts = {
        path.parent.name: json.loads(path.read_text())["kept"]
        for path in sorted(work.glob("candidates/*/verdict.json"))
    }
    tables = {path.parent.name: pq.read_table(path) for path in sorted(work.glob("candidates/*/scores.parquet"))}
    scores = {name: table.column(1).to_pylist() for name, table in tables.items()}
    return {"verdicts": verdicts, "live": json.loads((work / "live.json").read_text()), "scores": scores}


def _resurvey(*arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", "from resurvey.cli import main; main()", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _sample(source: Path, folder: Path, documents: int, queries: int) -> None:
    """The first documents of a BEIR folder, with some training queries about them."""
    (folder / "qrels").mkdir(parents=True)
    corpus = (source / "corpus.jsonl").read_text().splitlines()[:documents]
    known = {json.loads(line)["_id"] for line in corpus}
    (folder / "corpus.jsonl").write_text("\n".join(corpus) + "\n")
    header, *rows = (source / "qrels" / "train.tsv").read_text().splitlines()
    kept = [row for row in rows if row.split("\t")[1] in known][:queries]
    (folder / "qrels" / "train.tsv").write_text("\n".join([header, *kept]) + "\n")
    asked = {row.split("\t")[0] for row in kept}
    lines = (source / "queries.jsonl").read_text().splitlines()
    (folder / "queries.jsonl").write_text("\n".join(line for line in lines if json.loads(line)["_id"] in asked) + "\n")


if __name__ == "__main__":
    main()
