"""Quality on real collections: init, run and rank as a user would, scored from outside.

    python benchmarks/quality.py [--data FOLDER] [--effort small] [--split test] [--only NAME ...]

Train and dev judgments go in; neither test judgments nor test queries do. Without `--split test`
the table shows the run's own held-out scores (cross-validated over train and dev). With it, the
test side is read once: the TREC runs are scored with pytrec_eval, and commit, command and numbers
are appended to `benchmarks/ledger.jsonl`. Finished rows are cached by commit and inputs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytrec_eval

HERE = Path(__file__).parent
COLLECTIONS = ("attack-procedures", "covid-faq", "code-cosqa", "product-match", "job-titles", "aero-cranfield")
TARGETS = {
    "attack-procedures": 0.57,
    "covid-faq": 0.64,
    "code-cosqa": 0.585,
    "product-match": 0.84,
    "job-titles": 0.60,
    "aero-cranfield": 0.40,
}
SYSTEMS = ("BM25", "dense", "RRF", "ours")
RESAMPLES = 9_999
Scored = dict[str, dict[str, float]]
"""query id to {measure: value}"""
Ranked = dict[str, dict[str, float]]
"""query id to {document id: score}"""


def main() -> None:
    """Measure every collection and print one table."""
    arguments = _arguments()
    rows = []
    for name in arguments.only or COLLECTIONS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows.append(measure(arguments.data / name, arguments.effort, arguments.split))
    show(rows, arguments.split)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--effort", default="small", choices=("small", "medium", "large"))
    parser.add_argument("--split", default="held-out", choices=("held-out", "test"))
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS)
    return parser.parse_args()


def measure(source: Path, effort: str, split: str) -> dict[str, Any]:
    """One collection's row, from the cache when commit and inputs are those of a finished one."""
    commit = _commit()
    if split == "test" and commit.endswith("+"):
        sys.exit("the test side is read for committed code only: commit, then again")
    key = hashlib.sha256("|".join([commit, effort, split, _digest(source)]).encode()).hexdigest()[:16]
    cached = HERE / "cache" / f"{source.name}-{split}-{key}.json"
    if cached.exists() and not commit.endswith("+"):
        row: dict[str, Any] = json.loads(cached.read_text())
        return row
    with tempfile.TemporaryDirectory() as folder:
        row = _on_test(source, effort, Path(folder)) if split == "test" else _held_out(source, effort, Path(folder))
    row |= {"collection": source.name, "commit": commit, "effort": effort, "split": split}
    cached.parent.mkdir(exist_ok=True)
    cached.write_text(json.dumps(row))
    if split == "test":
        with (HERE / "ledger.jsonl").open("a") as ledger:
            ledger.write(
                json.dumps(
                    {
                        "at": time.strftime("%Y-%m-%d"),
                        "command": f"benchmarks/quality.py --effort {effort} --split test",
                        **row,
                    }
                )
                + "\n"
            )
    return row


def _held_out(source: Path, effort: str, folder: Path) -> dict[str, Any]:
    seconds = _run(source, effort, folder)
    found = json.loads(_resurvey("evaluate", str(folder / "work"), "--json"))
    gate = json.loads((folder / "work" / "gate.json").read_text())
    means = {name: next(iter(values.values())) for name, values in found["means"].items()}
    known = {"base": "dense", "bm25": "BM25", "rrf": "RRF"}
    row = {known[name]: mean for name, mean in means.items() if name in known}
    return {
        **row,
        "ours": means.get(gate["live"]),
        "live": gate["live"],
        "queries": found["queries"],
        "seconds": seconds,
        "rungs": means,
        "sentence": gate["sentence"],
    }


def _on_test(source: Path, effort: str, folder: Path) -> dict[str, Any]:
    seconds = _run(source, effort, folder)
    qrels = _qrels(source / "qrels" / "test.tsv")
    asked = _queries(source, set(qrels))
    _write_queries(folder / "test.jsonl", asked)
    ranked: dict[str, Ranked] = {}
    for system, candidate in (("dense", "base"), ("ours", "live")):
        output = folder / f"{system}.trec"
        started = time.monotonic()
        _resurvey(
            "rank",
            str(folder / "work"),
            "--queries",
            str(folder / "test.jsonl"),
            "--output",
            str(output),
            "--candidate",
            candidate,
        )
        if system == "ours":
            seconds["rank"] = round(time.monotonic() - started, 1)
        ranked[system] = _read_run(output)
    ranked["BM25"] = reference_bm25(source, asked)
    ranked["RRF"] = reference_rrf([ranked["BM25"], ranked["dense"]])
    live = json.loads((folder / "work" / "live.json").read_text())["candidate"]
    sides = {"": qrels, **{path.stem: _qrels(path) for path in sorted((source / "qrels").glob("test-*.tsv"))}}
    scored = {side: {system: _score(run, truth) for system, run in ranked.items()} for side, truth in sides.items()}
    row: dict[str, Any] = {system: _mean(found) for system, found in scored[""].items()}
    row |= {"recall": {system: _mean(found, "recall_100") for system, found in scored[""].items()}}
    row |= {"against": {system: _interval(scored[""][system], scored[""]["ours"]) for system in SYSTEMS[:3]}}
    row |= {
        "sides": {
            side: {system: _mean(found) for system, found in systems.items()}
            for side, systems in scored.items()
            if side
        }
    }
    return {**row, "live": live, "queries": len(qrels), "seconds": seconds}


def _run(source: Path, effort: str, folder: Path) -> dict[str, float]:
    """init and run on a copy that holds no test judgment and no test query; seconds of each."""
    known: set[str] = set()
    (folder / "in" / "qrels").mkdir(parents=True)
    (folder / "in" / "corpus.jsonl").write_bytes((source / "corpus.jsonl").read_bytes())
    for split in ("train", "dev"):
        path = source / "qrels" / f"{split}.tsv"
        if path.exists():
            known |= set(_qrels(path))
            (folder / "in" / "qrels" / path.name).write_bytes(path.read_bytes())
    _write_queries(folder / "in" / "queries.jsonl", _queries(source, known))
    started = time.monotonic()
    _resurvey("init", str(folder / "work"), "--beir", str(folder / "in"))
    brought = time.monotonic()
    _resurvey("run", str(folder / "work"), "--effort", effort, "--json")
    ran = time.monotonic()
    _resurvey("run", str(folder / "work"), "--effort", effort, "--json")
    again = time.monotonic() - ran
    return {"init": round(brought - started, 1), "run": round(ran - brought, 1), "run again": round(again, 1)}


def _resurvey(*arguments: str) -> str:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from resurvey.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"resurvey {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def reference_bm25(source: Path, queries: Mapping[str, str]) -> Ranked:
    """bm25s with its defaults, English stemmer and stop words: an independent BM25 over whole documents."""
    import bm25s
    import Stemmer

    documents = [json.loads(line) for line in (source / "corpus.jsonl").read_text().splitlines()]
    stemmer = Stemmer.Stemmer("english")
    texts = [f"{row.get('title', '')} {row['text']}".strip() for row in documents]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(queries.values()), stopwords="en", stemmer=stemmer, show_progress=False)
    places, scores = index.retrieve(tokens, k=min(100, len(texts)), show_progress=False)
    return {
        query: {documents[int(p)]["_id"]: float(s) for p, s in zip(row, values, strict=True) if s > 0}
        for query, row, values in zip(queries, places, scores, strict=True)
    }


def reference_rrf(runs: Sequence[Ranked], k: int = 60) -> Ranked:
    """Reciprocal rank fusion of the top 100s, ranks from 1."""
    fused: Ranked = {}
    for run in runs:
        for query, scores in run.items():
            for rank, document in enumerate(sorted(scores, key=lambda d: -scores[d])[:100], start=1):
                totals = fused.setdefault(query, {})
                totals[document] = totals.get(document, 0.0) + 1 / (k + rank)
    return fused


def _score(run: Ranked, qrels: Mapping[str, Mapping[str, int]]) -> Scored:
    found = pytrec_eval.RelevanceEvaluator(
        {q: dict(g) for q, g in qrels.items()}, {"ndcg_cut_10", "recall_100"}
    ).evaluate(run)
    return {query: found.get(query, {"ndcg_cut_10": 0.0, "recall_100": 0.0}) for query in qrels}


def _mean(scored: Scored, measure: str = "ndcg_cut_10") -> float:
    return float(np.mean([row[measure] for row in scored.values()]))


def _interval(baseline: Scored, ours: Scored) -> list[float]:
    """Difference and its 95 % paired bootstrap interval."""
    differences = np.array([ours[q]["ndcg_cut_10"] - baseline[q]["ndcg_cut_10"] for q in ours])
    rng = np.random.default_rng(13)
    means = np.array(
        [differences[rng.integers(0, len(differences), len(differences))].mean() for _ in range(RESAMPLES)]
    )
    return [float(differences.mean()), *(float(x) for x in np.quantile(means, [0.025, 0.975]))]


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in path.read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        found.setdefault(query, {})[document] = int(grade)
    return found


def _queries(source: Path, wanted: set[str]) -> dict[str, str]:
    rows = (json.loads(line) for line in (source / "queries.jsonl").read_text().splitlines())
    return {row["_id"]: row["text"] for row in rows if row["_id"] in wanted}


def _write_queries(path: Path, queries: Mapping[str, str]) -> None:
    path.write_text("".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in queries.items()))


def _read_run(path: Path) -> Ranked:
    run: Ranked = {}
    for line in path.read_text().splitlines():
        query, _, document, _, score, _ = line.split()
        run.setdefault(query, {})[document] = float(score)
    return run


def _digest(source: Path) -> str:
    sha = hashlib.sha256()
    for path in sorted(source.rglob("*.*")):
        if path.is_file():
            sha.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


def _commit() -> str:
    """The commit of the package and this file, with a + when they hold uncommitted changes."""
    head = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True
    )
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "../src", "quality.py"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
    )
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def show(rows: Sequence[Mapping[str, Any]], split: str) -> None:
    """Print the table as Markdown."""
    print(f"NDCG@10, {split}; commit {rows[0]['commit'] if rows else '–'}\n")
    print(
        "| collection | queries | BM25 | dense | RRF | ours | to reach | against the best untouched (95 %) | live | seconds: run, again |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        best = max(SYSTEMS[:3], key=lambda system: row.get(system) or 0.0)
        against = row.get("against", {}).get(best)
        difference = f"{best} {against[0]:+.3f} ({against[1]:+.3f} to {against[2]:+.3f})" if against else best
        cells = [f"{row[s]:.3f}" if row.get(s) is not None else "–" for s in SYSTEMS]
        seconds = row["seconds"]
        print(
            f"| {row['collection']} | {row['queries']} | {' | '.join(cells)} | {TARGETS[row['collection']]} | {difference} | {row['live']} | {seconds['run']:.0f}, {seconds['run again']:.1f} |"
        )
    for row in rows:
        for side, means in row.get("sides", {}).items():
            print(f"\n{row['collection']} {side}: " + ", ".join(f"{system} {means[system]:.3f}" for system in SYSTEMS))


if __name__ == "__main__":
    main()
