"""What each rung adds, alone and in place: held-out NDCG@10 with 95 % intervals, as a Markdown table.

    python benchmarks/ablation.py [--data FOLDER] [--effort small] [--only NAME ...] [--train-queries N]

One workspace a collection gets train and dev judgments. Then `resurvey treat` climbs the whole plan, every step alone
from the untouched encoder, and the plan without each step in turn. "Alone" is the step against the untouched encoder;
"in place" is what the whole plan reaches minus what the plan without the step reaches, each with whatever its ladder
kept. Both are over the gate's queries, paired. Finished rows are cached by the package's source and the input.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from contest.ours import held_out
from contest.scoring import NDCG, Scored, interval, mean
from contest.source import CACHE, HERE, commit, key, load, package, resurvey, save
from contest.tables import points, verdict
from contest.task import COLLECTIONS, Choice, task

PLAN = "plan"
Climbed = dict[str, Any]
"""What one ladder ended with: `scores` (query to NDCG@10), `base` (the same, untouched), `reasons` by step."""


def main() -> None:
    """One table a collection, printed as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--effort", default="small", choices=("small", "medium", "large"))
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS)
    parser.add_argument("--train-queries", type=int, default=0, help="bring so many training queries and no dev")
    parser.add_argument("--limit", type=int, default=0, help="a smoke test: so many training and dev queries")
    arguments = parser.parse_args()
    print(f"NDCG@10, held out, effort {arguments.effort}; commit {commit()}")
    for name in arguments.only or [name for name in COLLECTIONS if name != "aero-cranfield"]:
        choice = Choice(train_queries=arguments.train_queries, draw=1, limit=arguments.limit)
        for line in table(name, ablated(arguments.data / name, arguments.effort, choice)):
            print(line, flush=True)


def ablated(source: Path, effort: str, choice: Choice) -> dict[str, Climbed]:
    """Every ladder of one collection by its name: `plan`, `only STEP`, `without STEP`."""
    cut = task(source, choice)
    name = key(package(), effort, cut.digest(), files=(Path(__file__),))
    folder = CACHE / "ablation" / f"{source.name}-{effort}-{name}"
    fresh = commit().endswith("+")
    with tempfile.TemporaryDirectory() as place:
        work = Path(place) / "work"
        opened: list[bool] = []

        def climb(label: str, steps: Sequence[str]) -> Climbed:
            path = folder / f"{label.replace(' ', '-')}.json"
            found: Climbed | None = None if fresh else load(path)
            if found is None:
                print(f"{source.name}: {label} …", file=sys.stderr, flush=True)
                if not opened:
                    resurvey("init", str(work), "--beir", str(cut.write(Path(place) / "in")))
                    opened.append(True)
                found = climbed(work, effort, steps)
                save(path, found)
            return found

        return ladders(climb)


def ladders(climb: Callable[[str, Sequence[str]], Climbed]) -> dict[str, Climbed]:
    """The plan, then every step alone, then the plan without it."""
    whole = climb(PLAN, ())
    steps = whole["steps"]
    found = {PLAN: whole}
    for step in steps:
        found[f"only {step}"] = climb(f"only {step}", [step])
        rest = [other for other in steps if other != step]
        found[f"without {step}"] = climb(f"without {step}", rest) if rest else {**whole, "scores": whole["base"]}
    return found


def climbed(work: Path, effort: str, steps: Sequence[str]) -> Climbed:
    """Treat a workspace with these steps (none: the plan's); what its ladder ended with."""
    resurvey("treat", str(work), *steps, "--effort", effort, "--json")
    ladder = json.loads((work / "candidates" / "ladder.json").read_text())
    verdicts = [json.loads((work / "candidates" / id / "verdict.json").read_text()) for id in ladder["candidates"]]
    planned = [step["treatment"] for step in json.loads((work / "plan.json").read_text())["steps"]]
    top = ladder["accepted"][-1] if ladder["accepted"] else "base"
    last = ladder["candidates"][-1] if len(steps) == 1 else top  # alone, a rung is shown even if it was not kept
    scores = held_out(work, top)
    shown = scores.get(last, scores["ours"])
    gate = ladder["gate_queries"]
    return {
        "steps": list(steps) or planned,
        "scores": {query: shown[query][NDCG] for query in gate},
        "base": {query: scores["dense"][query][NDCG] for query in gate},
        "reasons": {row["treatment"]: row["reason"] for row in verdicts},
        "kept": [row["treatment"] for row in verdicts if row["kept"]],
    }


def table(collection: str, found: dict[str, Climbed]) -> Iterator[str]:
    """One line a step, in the plan's order."""
    whole = found[PLAN]
    base, top = _scored(whole["base"]), _scored(whole["scores"])
    yield f"\n{collection}: {len(top)} queries, untouched {mean(base):.3f}, the whole plan {mean(top):.3f}\n"
    yield "| rung | alone, points (95 %) | in place, points (95 %) | | kept | why |\n|---|---|---|---|---|---|"
    for step in whole["steps"]:
        only, without = found[f"only {step}"], _scored(found[f"without {step}"]["scores"])
        alone = interval(base, _scored(only["scores"]))
        place = interval(without, top)
        nothing = only["scores"] == only["base"]
        kept = "yes" if step in whole["kept"] else "no"
        first = f"nothing: {only['reasons'][step]}" if nothing else points(alone)
        yield f"| {step} | {first} | {points(place)} | {verdict(place)} | {kept} | {whole['reasons'][step]} |"


def _scored(values: dict[str, float]) -> Scored:
    return {query: {NDCG: value} for query, value in values.items()}


if __name__ == "__main__":
    main()
