"""Near-identical identifiers told apart (R60): accuracy@1 on families that no judged query asked for.

    python benchmarks/identifiers.py [--effort small] [--seed 13] [--no-judgments] [--errors 10]

A generated catalogue (contest/lookalikes.py) of threads, screws, part numbers, versions, doses, codes, statutes and
forms; queries write them with other punctuation, spacing and order, with units, and with numbers in words. init, run
and rank as a user would, with the judged queries of the training families; then the probe's queries are ranked by
what is live, by the encoder alone, by BM25 and by RRF, and the share whose first document is the right one is
printed, over all, by kind and by form. Two kinds (statutes and forms) are seen by no judged query.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from contest.lookalikes import UNSEEN, Asked, Catalogue, catalogue
from contest.ours import ranked
from contest.reference import Ranked
from contest.source import commit, resurvey
from contest.task import queries

SYSTEMS = {"pipeline": "live", "encoder alone": "base", "BM25": "bm25", "RRF": "rrf"}
WANTED = 0.95


def main() -> None:
    """Make the catalogue, run, rank, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effort", default="small", choices=("small", "medium", "large"))
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--no-judgments", action="store_true", help="bring documents alone")
    parser.add_argument("--errors", type=int, default=0, help="wrong answers of the pipeline to print")
    arguments = parser.parse_args()
    made = catalogue(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        runs = _ranked(made, Path(folder), arguments.effort, not arguments.no_judgments)
        seconds = time.monotonic() - started
    probe = made.queries["probe"]
    found = {system: right(probe, run) for system, run in runs.items()}
    head = f"accuracy@1, effort {arguments.effort}, seed {arguments.seed}; {len(made.documents):,} documents, "
    judged = 0 if arguments.no_judgments else len(made.queries["train"]) + len(made.queries["dev"])
    print(f"{head}{judged:,} judged queries, {len(probe):,} probed; commit {commit()}; {seconds:.0f} s\n")
    for line in table(probe, found):
        print(line)
    for line in errors(made, runs["pipeline"], arguments.errors):
        print(line)
    sys.exit(0 if sum(found["pipeline"]) >= WANTED * len(probe) else 1)


def _ranked(made: Catalogue, folder: Path, effort: str, judged: bool) -> dict[str, Ranked]:
    place, work = write(made, folder / "in", judged), folder / "work"
    resurvey("init", str(work), *(["--beir", str(place)] if judged else ["--corpus", str(place / "corpus.jsonl")]))
    resurvey("run", str(work), "--effort", effort, "--json")
    queries(folder / "probe.jsonl", {asked.id: asked.text for asked in made.queries["probe"]})
    return {
        system: ranked(work, folder / "probe.jsonl", folder / f"{name}.trec", name) for system, name in SYSTEMS.items()
    }


def write(made: Catalogue, folder: Path, judged: bool = True) -> Path:
    """The catalogue as a BEIR folder without the probe's queries."""
    (folder / "qrels").mkdir(parents=True)
    rows = ({"_id": id, "title": title, "text": text} for id, (title, text) in made.documents.items())
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = {side: made.queries[side] if judged else () for side in ("train", "dev")}
    queries(folder / "queries.jsonl", {asked.id: asked.text for side in known.values() for asked in side})
    for side, found in known.items():
        lines = ["query-id\tcorpus-id\tscore", *(f"{asked.id}\t{asked.wanted}\t1" for asked in found)]
        (folder / "qrels" / f"{side}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def right(probe: Sequence[Asked], run: Ranked) -> list[bool]:
    """Whether the first document of each query is the one wanted; the run's order is the file's."""
    return [next(iter(run.get(asked.id, {})), "") == asked.wanted for asked in probe]


def table(probe: Sequence[Asked], found: Mapping[str, Sequence[bool]]) -> Iterator[str]:
    """Accuracy over all, of kinds no judged query asked for, by kind and by form."""
    yield "| | queries | " + " | ".join(found) + " |\n|---" + "|---" * (len(found) + 1) + "|"
    for name, chosen in groups(probe).items():
        cells = (f"{sum(hits[place] for place in chosen) / max(1, len(chosen)):.3f}" for hits in found.values())
        yield f"| {name} | {len(chosen)} | " + " | ".join(cells) + " |"


def groups(probe: Sequence[Asked]) -> dict[str, list[int]]:
    """Places of queries by what they share."""
    found: dict[str, list[int]] = {"all": [], "kinds never judged": []}
    for asked in probe:
        found[asked.kind] = []
    for form in sorted({asked.form for asked in probe}):
        found[f"“{form}”"] = []
    for place, asked in enumerate(probe):
        unseen = ["kinds never judged"] if asked.kind in UNSEEN else []
        for name in ("all", *unseen, asked.kind, f"“{asked.form}”"):
            found[name].append(place)
    return found


def errors(made: Catalogue, run: Ranked, count: int) -> Iterator[str]:
    """Some queries that the pipeline answered with another document."""
    probe = made.queries["probe"]
    wrong = [asked for asked, hit in zip(probe, right(probe, run), strict=True) if not hit]
    for asked in wrong[:: max(1, len(wrong) // count)][:count] if count else ():
        first = next(iter(run.get(asked.id, {})), "")
        told = made.documents[first][1] if first else "nothing"
        yield f"- {asked.form}: “{asked.text}” wants “{made.documents[asked.wanted][1]}”, found “{told}”"


if __name__ == "__main__":
    main()
