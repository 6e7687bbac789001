"""Peers' jobs, run one after another in processes of their own and cached by their file and their inputs.

A change of the package runs none of them again. A killed run goes on with the jobs that are missing.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contest import peers, reference
from contest.reference import Ranked, reference_rrf
from contest.source import CACHE, key, load, process, save
from contest.task import Task

PACKAGES = ("sentence-transformers", "torch", "transformers", "bm25s")
UNTOUCHED = ("dense", "BM25", "RRF")
TRAINED = ("trained", "trained + RRF", "mined", "mined + RRF", "adapter", "adapter + RRF")
Row = tuple[Ranked, float]
"""A ranking and its seconds end to end."""


def rows(task: Task, model: str = "") -> tuple[str, dict[str, Row], dict[str, Any]]:
    """The key of all jobs, each system's row, and each job's facts; without judgments only what is untouched."""
    files = tuple(Path(str(module.__file__)) for module in (peers, reference))
    found: dict[str, Row] = {}
    facts: dict[str, Any] = {}
    names = []
    with tempfile.TemporaryDirectory() as folder:
        place = task.write_peer(Path(folder))
        inputs = tuple(sorted(place.glob("*.jsonl")))
        for job in peers.JOBS if task.training else ("untouched",):
            given = inputs if job != "untouched" else tuple(p for p in inputs if p.name != "train.jsonl")
            name = key(job, model, *map(version, PACKAGES), files=(*files, *given))
            path = CACHE / "peers" / f"{task.name}-{job}-{name}.json"
            if load(path) is None:
                print(f"{task.name}: peer {job} …", file=sys.stderr, flush=True)
                output = place / "output.json"
                process("-m", "contest.peers", job, str(place), str(output), *(["--model", model] if model else []))
                save(path, load(output))
            names.append(name)
            facts[job] = _add(load(path), job, found)
    return key(*names), found, facts


def _add(made: dict[str, Any], job: str, found: dict[str, Row]) -> dict[str, Any]:
    """Put a job's systems among the rows, alone and fused with BM25; what else there is to say of it."""
    steps: dict[str, float] = made["seconds"]
    if job == "untouched":
        found["dense"] = made["runs"]["dense"], sum(steps.values()) - steps["BM25"]
        found["BM25"] = made["runs"]["BM25"], steps["BM25"]
        found["RRF"] = _fused(found, "dense")
    else:
        found[job] = made["runs"][job], sum(steps.values())
        found[f"{job} + RRF"] = _fused(found, job)
    return {**made["facts"], "steps": steps}


def _fused(found: dict[str, Row], name: str) -> Row:
    """A system fused with BM25; the seconds of fusing itself are left out."""
    run, seconds = found[name]
    return reference_rrf([found["BM25"][0], run]), seconds + found["BM25"][1]
