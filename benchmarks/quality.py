"""Quality on real collections: init, run and rank as a user would, scored from outside, beside the peers.

    python benchmarks/quality.py [--data FOLDER] [--effort small] [--split test] [--only NAME ...]
    python benchmarks/quality.py --effort medium --peers            # beside the peers (contest/peers.py says which)
    python benchmarks/quality.py --only-peers --only product-match  # the peers alone
    python benchmarks/quality.py --no-judgments                     # nothing judged is brought; all six with --split test
    python benchmarks/quality.py --train-queries 50 100 200 --draw 1 2 3   # the learning curve

Train and dev judgments go in; neither test judgments nor test queries do. Without `--split test` the table shows
held-out scores: of dev queries beside the peers, which train on train alone, else of the gate's queries (dev where
it is large enough, else train and dev, cross-fitted). Ours is then read from what the run kept for each dev query,
which was fitted without it. `--no-judgments` and `--train-queries` bring no dev judgments, and rank dev from outside.

With `--split test` everything is ranked first; then the test side is read once, scored with pytrec_eval, and commit,
command and numbers are appended to `benchmarks/ledger.jsonl`. Rankings are cached below `benchmarks/cache/`: ours by
the package's source and the input, each peer by its own file and the input. A finished test row is never read again.
`--seeded` brings the vectors that earlier rows of a collection embedded: for rows whose seconds nobody quotes.
`--limit 40` is a smoke test on a cut collection.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contest import jobs, tables
from contest.ours import ours
from contest.reference import Ranked, reference_bm25, reference_rrf
from contest.scoring import MEASURES, RECALL, Scored, interval, mean, score
from contest.source import CACHE, HERE, commit, key, load, noted, save
from contest.task import COLLECTIONS, Choice, Task, task, text_of, truths

TARGETS = {
    "attack-procedures": 0.57,
    "covid-faq": 0.64,
    "code-cosqa": 0.585,
    "product-match": 0.84,
    "job-titles": 0.60,
    "aero-cranfield": 0.40,
}
SYSTEMS = ("BM25", "dense", "RRF", "ours")


def main() -> None:
    """Measure every collection and print the tables."""
    arguments = _arguments()
    if arguments.split == "test" and commit().endswith("+"):
        sys.exit("the test side is read for committed code only: commit, then again")
    rows = [
        measure(arguments, task(arguments.data / name, choice))
        for choice in _choices(arguments)
        for name in _names(arguments)
    ]
    print(f"NDCG@10, {arguments.split}, effort {arguments.effort}; commit {commit()}\n")
    for line in _shown(arguments, rows):
        print(line)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--effort", default="small", choices=("small", "medium", "large"))
    parser.add_argument("--split", default="held-out", choices=("held-out", "test"))
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS)
    parser.add_argument("--peers", action="store_true", help="beside the peers")
    parser.add_argument("--only-peers", action="store_true", help="the peers without ours")
    parser.add_argument("--no-judgments", action="store_true", help="bring documents alone")
    parser.add_argument(
        "--train-queries", type=int, nargs="*", default=[], metavar="N", help="bring N training queries"
    )
    parser.add_argument("--draw", type=int, nargs="*", default=[1], metavar="K", help="which draws of them")
    parser.add_argument("--seeded", action="store_true", help="embed nothing twice; seconds mean nothing then")
    parser.add_argument("--limit", type=int, default=0, help="a smoke test: so many training and scored queries")
    return parser.parse_args()


def _choices(arguments: argparse.Namespace) -> list[Choice]:
    judged = not arguments.no_judgments
    if not arguments.train_queries:
        return [Choice(arguments.split, judged, limit=arguments.limit)]
    return [
        Choice(arguments.split, judged, count, draw, arguments.limit)
        for count in arguments.train_queries
        for draw in arguments.draw
    ]


def _names(arguments: argparse.Namespace) -> list[str]:
    """The collections that have what is asked for: aero-cranfield has neither training nor dev judgments."""
    blind = arguments.split == "test" and not arguments.train_queries
    return [name for name in arguments.only or COLLECTIONS if blind or name != "aero-cranfield"]


def measure(arguments: argparse.Namespace, task: Task) -> dict[str, Any]:
    """One collection's row: everything ranked, then scored; a finished test row is taken from the cache."""
    with_peers = arguments.peers or arguments.only_peers
    names = ["scored"]
    ranked: dict[str, Ranked] = {}
    seconds: dict[str, float] = {}
    row: dict[str, Any] = {
        "collection": task.name, "commit": commit(), "effort": arguments.effort, "split": arguments.split,
        "judged": task.choice.judged, "train queries": len(task.training), "draw": task.choice.draw,
    }  # fmt: skip
    scored: dict[str, Scored] = {}
    if with_peers:
        name, found, row["facts"] = jobs.rows(task)
        names.append(name)
        ranked = {system: run for system, (run, _) in found.items()}
        seconds = {system: spent for system, (_, spent) in found.items()}
    if not arguments.only_peers:
        name, made = ours(task, arguments.effort, seeded=arguments.seeded)
        names.append(name)
        row |= {"live": made["live"], "ours seconds": made["seconds"], "sentence": made["sentence"]}
        seconds["ours"] = sum(made["seconds"].get(step, 0.0) for step in ("init", "run", "rank"))
        if "scores" in made:
            asked = list(task.asked) if with_peers else made["gate"]
            kept = ("ours",) if with_peers else SYSTEMS
            scored = {system: {q: made["scores"][system][q] for q in asked} for system in kept}
        else:
            beside = ranked if with_peers else _untouched(task, made["runs"]["dense"])
            ranked = {**beside, "ours": made["runs"]["ours"]}
    row["seconds"] = seconds
    return _scored(row, task, ranked, scored, key(*names, arguments.effort, arguments.split, task.digest()))


def _untouched(task: Task, dense: Ranked) -> dict[str, Ranked]:
    """Without peers, the encoder's own ranking is ours, and BM25 and RRF are the reference's."""
    ids, texts = [row["_id"] for row in task.documents], [text_of(row) for row in task.documents]
    lexical = reference_bm25(ids, texts, task.asked)
    return {"BM25": lexical, "dense": dense, "RRF": reference_rrf([lexical, dense])}


def _scored(
    row: dict[str, Any], task: Task, ranked: dict[str, Ranked], scored: dict[str, Scored], name: str
) -> dict[str, Any]:
    """Judgments are opened here and nowhere else."""
    test = task.choice.split == "test"
    path = CACHE / "scored" / f"{task.name}-{name}.json"
    if test and (found := load(path)) is not None:
        return {**row, **found}
    sides = truths(task) if ranked else {"": {}}
    whole = {**{system: score(run, sides[""]) for system, run in ranked.items()}, **scored}
    found = {"scored": whole, "sides": {
        side: {system: mean(score(run, truth)) for system, run in ranked.items()} for side, truth in sides.items() if side
    }}  # fmt: skip
    if test:
        save(path, found)
        _note({**row, **found})
    return {**row, **found}


def _note(row: dict[str, Any]) -> None:
    """A read of the test side, in the ledger: means and intervals, not queries."""
    scored = row["scored"]
    means = {system: mean(found) for system, found in scored.items()}
    others = [system for system in scored if system != "ours"]
    kept: dict[str, Any] = {
        **means,
        "recall": {system: mean(found, RECALL) for system, found in scored.items()},
        "measures": {system: {m: mean(found, m) for m in MEASURES} for system, found in scored.items()},
        "against": {system: interval(scored[system], scored["ours"]) for system in others} if "ours" in scored else {},
        "queries": len(next(iter(scored.values()))),
    }  # fmt: skip
    rest = {name: value for name, value in row.items() if name not in ("scored", "facts", "sentence")}
    noted("quality.py", {**kept, **rest})


def _shown(arguments: argparse.Namespace, rows: Sequence[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    if arguments.train_queries and not arguments.only_peers:
        lines += tables.curve(rows)
    elif not (arguments.peers or arguments.only_peers):
        lines += tables.plain(rows, TARGETS)
    results = [tables.Result(row["collection"], row["scored"], row["seconds"]) for row in rows]
    there = [*jobs.UNTOUCHED, *jobs.TRAINED, "ours"]
    systems = [system for system in there if any(system in result.scored for result in results)]
    if arguments.peers or arguments.only_peers:
        lines += tables.contest(results, systems, [system for system in jobs.TRAINED if system in systems])
    elif not arguments.train_queries:
        for system in jobs.UNTOUCHED:
            lines += [
                "",
                *tables.against(results, system),
                tables.summed(tables.whole(results, [system, "ours"]), system),
            ]
    if not arguments.only_peers:
        lines.append(tables.over_best(results, jobs.UNTOUCHED))
    for row in rows:
        for side, means in row["sides"].items():
            lines.append(
                f"\n{row['collection']} {side}: " + ", ".join(f"{name} {value:.3f}" for name, value in means.items())
            )
    return lines


if __name__ == "__main__":
    main()
