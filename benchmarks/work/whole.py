"""The main job from data to report on ten thousand passages, stage by stage; and what the ranker's evidence costs."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from resurvey import loop
from resurvey.data.chunk import cut
from resurvey.data.read import Sources, beir, read
from resurvey.protocols import Tokenizer
from resurvey.search import recipe
from resurvey.search.encode import open_encoder
from resurvey.search.features import Evidence
from resurvey.search.fuse import ReciprocalRank, fuse
from resurvey.session import Session
from resurvey.types import Document
from resurvey.workspace import Workspace, read_json
from work.side import Row, Work, built_on, timed

ASKED = "covid-faq"
FILLERS = ("attack-procedures", "aero-cranfield", "job-titles", "code-cosqa")
TRAIN, DEV = 1000, 300
CANDIDATES, TIMED = 200, 200
STAGES = ("diagnose", "decide", "treat", "promote", "report")


def enough(data: Path, passages: int, tokenizer: Tokenizer) -> Iterator[Document]:
    """Documents of one collection and then of others, until they make so many passages."""
    made = 0
    for name in (ASKED, *FILLERS):
        documents = read(Sources(data / name / "corpus.jsonl")).documents
        lengths = [len(spans) for spans in tokenizer.offsets([d.full_text for d in documents])]
        for document, length in zip(documents, lengths, strict=True):
            if made >= passages:
                return
            made += len(cut([document], tokenizer, 128).passages) if length > 128 else 1
            yield Document(f"{name}:{document.id}", document.text, document.title)


def written(data: Path, folder: Path, passages: int) -> Path:
    """A BEIR folder of that many passages with a thousand training queries."""
    encoder = open_encoder("bundled", folder / "engine")
    rows = [{"_id": d.id, "title": d.title, "text": d.text} for d in enough(data, passages, encoder)]
    brought, there = built_on(data / ASKED), {row["_id"] for row in rows}
    place = folder / "data"
    (place / "qrels").mkdir(parents=True)
    (place / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for side, most in (("train", TRAIN), ("dev", DEV)):
        found = [j for j in brought.judgments[side] if f"{ASKED}:{j.document}" in there]
        asked = set(list(dict.fromkeys(j.query for j in found))[:most])
        lines = [f"{j.query}\t{ASKED}:{j.document}\t{j.grade}\n" for j in found if j.query in asked]
        (place / "qrels" / f"{side}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")
    queries = "".join(json.dumps({"_id": q.id, "text": q.text}) + "\n" for q in brought.queries)
    (place / "queries.jsonl").write_text(queries, encoding="utf-8")
    return place


def run(arguments: argparse.Namespace) -> list[Row]:
    """`resurvey run --effort small` as a process of its own on a fresh workspace, and what each stage took."""
    with tempfile.TemporaryDirectory() as folder:
        root, source = Path(folder) / "workspace", written(arguments.data, Path(folder), arguments.job)
        loop.init(root, beir(source), {"precision": arguments.precision})
        row = Row(
            f"run --effort small, {arguments.job:,} passages, {TRAIN:,} training queries, {arguments.precision}",
            "at most 300 s",
        )
        command = [sys.executable, "-m", "resurvey", "run", str(root), "--effort", "small"]
        seconds, done = timed(_silently, command)
        row.ours.append(seconds)
        assert done.returncode == 0, done.stderr
        shares = {name: read_json(root / "manifests" / f"{name}.json")["seconds"] for name in STAGES}
        rest = seconds - sum(shares.values())
        told = ", ".join(f"{name} {100 * part / seconds:.0f} %" for name, part in (*shares.items(), ("start", rest)))
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        row.note = f"{told}; embedding {_embedding(root):.0f} % of all; {memory:,.0f} MB at most"
        return [row, *_evidence(root)]


def _silently(command: list[str]) -> Any:
    environment = {**os.environ, "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _embedding(root: Path) -> float:
    """Percent of the time between first and last write of any vector segment: an upper bound of embedding's share."""
    times = sorted(path.stat().st_mtime for path in (root / "index" / "vectors").rglob("*.npy"))
    stages = sum(read_json(root / "manifests" / f"{name}.json")["seconds"] for name in STAGES)
    return 100 * (times[-1] - times[0]) / stages if times else 0.0


def _evidence(root: Path) -> list[Row]:
    """All features of the ranker for 200 candidates a query, vectors there, in a batch and one query at a time."""
    session = Session(Workspace.open(root))
    index, queries = session.index, list(session.trial.queries[:TIMED])
    nodes = [recipe.lexical(CANDIDATES), recipe.dense(CANDIDATES), recipe.characters(CANDIDATES)]
    pool = fuse([session.builder.node(node).search(queries) for node in nodes], ReciprocalRank(), CANDIDATES)
    rows = [
        Row(f"evidence of {CANDIDATES} candidates, a query in a batch of {TIMED}", "at most 0.002 s"),
        Row("the same, one query at a time, p50", "at most 0.002 s"),
    ]
    evidence = Evidence(index)
    evidence.pairs(queries, pool)
    for _ in range(5):
        rows[0].ours.append(timed(evidence.pairs, queries, pool)[0] / len(queries))
        rows[1].ours.append(statistics.median(timed(evidence.pairs, [query], pool)[0] for query in queries[:50]))
    rows[0].note = f"{np.mean([len(pool[q.id]) for q in queries]):.0f} candidates of {len(index.documents):,} documents"
    return rows


WORK: dict[str, Work] = {"run": run}
