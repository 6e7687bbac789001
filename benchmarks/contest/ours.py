"""Ours: init, run and rank as a user would, through the command line; cached by the package's source and the task.

Knows no test judgment. Where init got the dev judgments, the dev queries' own held-out scores are read from the
workspace; else the dev or test queries are ranked from outside.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from contest.reference import Ranked
from contest.scoring import MRR, NDCG, RECALL, Scored
from contest.source import CACHE, commit, key, load, package, resurvey, save
from contest.task import Task, queries

UNTOUCHED = {"base": "dense", "bm25": "BM25", "rrf": "RRF"}
DEPTH = 100


SEEDS = ("engines", "vectors")
"""What of an index depends on encoder and texts alone, whatever was judged."""


def ours(task: Task, effort: str, *, seeded: bool = False) -> tuple[str, dict[str, Any]]:
    """The key and what came of one run: seconds, what is live, and either `scores` or `runs` by system.

    `scores` holds every query of the trial, train and dev; `gate` names those that decided. `seeded` brings the
    vectors of earlier rows along: the same results sooner, and seconds that are none of a whole run.
    """
    name = key(package(), effort, task.digest(), *(["seeded"] if seeded else []), files=(Path(__file__),))
    path = CACHE / "ours" / f"{task.name}-{effort}-{name}.json"
    found: dict[str, Any] | None = None if commit().endswith("+") else load(path)
    if found is None:
        print(f"{task.name}: ours, {effort} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            found = _measure(task, effort, Path(folder), CACHE / "seeds" / task.name if seeded else None)
        save(path, found)
    return name, found


def _measure(task: Task, effort: str, folder: Path, seeds: Path | None) -> dict[str, Any]:
    work = folder / "work"
    seconds = _run(task, effort, folder, work, seeds)
    gate = json.loads((work / "gate.json").read_text())
    found: dict[str, Any] = {"live": gate["live"], "sentence": gate["sentence"], "seconds": seconds}
    if task.inside:
        ladder = json.loads((work / "candidates" / "ladder.json").read_text())
        return {**found, "scores": held_out(work, gate["live"]), "gate": ladder["gate_queries"]}
    queries(folder / "asked.jsonl", task.asked)
    runs: dict[str, Ranked] = {}
    for system, candidate in (("dense", "base"), ("ours", "live")):
        started = time.monotonic()
        runs[system] = ranked(work, folder / "asked.jsonl", folder / f"{system}.trec", candidate)
        seconds["rank"] = round(time.monotonic() - started, 1)
    return {**found, "runs": runs}


def _run(task: Task, effort: str, folder: Path, work: Path, seeds: Path | None) -> dict[str, float]:
    """init and run; seconds of each, and of a second run that finds everything current."""
    place = task.write(folder / "in")
    arguments = ["--beir", str(place)] if task.brought else ["--corpus", str(place / "corpus.jsonl")]
    started = time.monotonic()
    resurvey("init", str(work), *arguments)
    for part in SEEDS if seeds else ():
        _linked(Path(str(seeds)) / part, work / "index" / part)
    brought = time.monotonic()
    resurvey("run", str(work), "--effort", effort, "--json")
    ran = time.monotonic()
    resurvey("run", str(work), "--effort", effort, "--json")
    again = time.monotonic() - ran
    for part in SEEDS if seeds else ():
        _linked(work / "index" / part, Path(str(seeds)) / part)
    return {"init": round(brought - started, 1), "run": round(ran - brought, 1), "run again": round(again, 1)}


def _linked(source: Path, target: Path) -> None:
    """Every file below `source` below `target`, too, as a link: such files are written once and never changed."""
    for path in sorted(found for found in source.rglob("*") if found.is_file()):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            os.link(path, place)


def ranked(work: Path, asked: Path, output: Path, candidate: str) -> Ranked:
    """What a candidate of a workspace returns for a file of queries."""
    resurvey("rank", str(work), "--queries", str(asked), "--output", str(output), "--candidate", candidate)
    run: Ranked = {}
    for line in output.read_text().splitlines():
        query, _, document, _, score, _ = line.split()
        run.setdefault(query, {})[document] = float(score)
    return run


def held_out(work: Path, live: str) -> dict[str, Scored]:
    """System to the trial's held-out scores: the untouched pipelines, every scored candidate, and `ours`, what is live."""
    candidates = work / "candidates"
    first = _first(candidates / "rankings.parquet")
    table = pq.read_table(candidates / "baselines.parquet").to_pydict()
    found = {
        UNTOUCHED.get(name, name): _scored(table["query"], {NDCG: values}, first.get(name, {}))
        for name, values in table.items()
        if name != "query"
    }
    for path in sorted(candidates.glob("*/scores.parquet")):
        columns = pq.read_table(path).to_pydict()
        asked, kept = columns.pop("query"), path.parent.name
        known = {NDCG: next(iter(columns.values())), **({RECALL: columns["R@100"]} if "R@100" in columns else {})}
        found[kept] = _scored(asked, known, _first(path.parent / "rankings.parquet").get(kept, {}))
    return {**found, "ours": found[UNTOUCHED.get(live, live)]}


def _scored(asked: list[str], columns: Mapping[str, list[float]], first: Mapping[str, int]) -> Scored:
    """Per query its measures; the reciprocal rank from the place of its first right document, where that was kept."""
    rows: Scored = {
        query: {name: values[place] for name, values in columns.items()} for place, query in enumerate(asked)
    }
    for query, rank in first.items():
        rows[query][MRR] = 1 / rank if 0 < rank <= DEPTH else 0.0
    return rows


def _first(path: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in pq.read_table(path).to_pylist() if path.exists() else ():
        found.setdefault(row["name"], {})[row["query"]] = row["first"]
    return found
