"""Confidence on real collections: are the probabilities right, are foreign queries told, and missing answers?

    python benchmarks/confidence.py [--data FOLDER] [--effort small] [--split test] [--only NAME ...]

By default train judgments alone go in, and the dev queries are asked from outside, as strangers to everything that
was fitted. With `--split test` train and dev go in, the test queries are asked, and commit, command and numbers are appended to
`benchmarks/ledger.jsonl`; the judgments of the test side are opened after everything was ranked.

Foreign queries are those of the other five collections. Answers are taken away for real: the relevant documents of half
of the queries leave the corpus, which is indexed anew without them and searched by the same recipe; the other half, whose answers
stay, is asked beside it. aero-cranfield has neither train nor dev: nothing is judged there, and without the test
side its own queries are the stand-ins of the run.

Workspaces are kept below `benchmarks/cache/confidence/` and vectors are seeded as `quality.py --seeded` does.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contest.ours import SEEDS
from contest.source import CACHE, HERE, commit, key, load, noted, package, resurvey, save
from contest.task import COLLECTIONS, Choice, Grades, Task, task, truths
from resurvey.evaluate.calibration import auc, calibration, coverage_risk
from resurvey.opened import Opened
from resurvey.search.builder import Builder
from resurvey.search.confidence import Assessor, Confidence, limits_of
from resurvey.search.index import open_index
from resurvey.search.signs import FIRST
from resurvey.types import Doubles, Json, Query, Run
from resurvey.use import assessor_of, recipe_of
from resurvey.workspace import Workspace

MOST, STRANGERS = {"dev": 500, "test": 2000}, 80
"""Queries that are asked, and foreign ones from each other collection."""


def main() -> None:
    """Measure every collection and print the table."""
    arguments = _arguments()
    if arguments.split == "test" and commit().endswith("+"):
        sys.exit("the test side is read for committed code only: commit, then again")
    print(f"confidence, {arguments.split}, effort {arguments.effort}; commit {commit()}\n")
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS))
    for name in arguments.only or COLLECTIONS:
        print("| " + " | ".join(_cells(_row(arguments, name))) + " |", flush=True)


def _row(arguments: argparse.Namespace, name: str) -> Json:
    """One collection's row; a finished test row is taken from the cache, and its judgments are never read again."""
    path = CACHE / "confident" / f"{name}-{key(package(), arguments.effort, files=(Path(__file__),))}.json"
    if arguments.split == "test" and (kept := load(path)) is not None:
        return dict(kept)
    row = measure(arguments, name)
    if arguments.split == "test":
        save(path, row)
        noted("confidence.py", row)
    return row


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--effort", default="small", choices=("small", "medium", "large"))
    parser.add_argument("--split", default="dev", choices=("dev", "test"))
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS)
    return parser.parse_args()


def brought(data: Path, name: str, split: str) -> Task:
    """The task; on dev, train alone goes in."""
    found = task(data / name, Choice("test" if split == "test" else "held-out"))
    if split == "test":
        return found
    train = {side: rows for side, rows in found.brought.items() if side == "train"}
    known = {query for rows in train.values() for query in rows}
    return dataclasses.replace(found, brought=train, texts={q: t for q, t in found.texts.items() if q in known})


def workspace(found: Task, effort: str) -> Path:
    """A workspace in which the main job has ended; made once for one source and task."""
    place = CACHE / "confidence" / f"{found.name}-{key(package(), effort, found.digest())}"
    if not (place / "workspace.json").exists():
        given = found.write(place.with_suffix(".in"))
        resurvey(
            "init",
            str(place),
            *(["--beir", str(given)] if found.brought else ["--corpus", str(given / "corpus.jsonl")]),
        )
        for part in SEEDS:
            if (there := CACHE / "seeds" / found.name / part).exists():
                shutil.copytree(there, place / "index" / part, dirs_exist_ok=True)
    resurvey("run", str(place), "--effort", effort, "--json")
    return place


def measure(arguments: argparse.Namespace, name: str) -> Json:
    """One collection's row. Everything is ranked before a judgment of the asked side is opened."""
    print(f"{name} …", file=sys.stderr, flush=True)
    found = brought(arguments.data, name, arguments.split)
    session = Opened(Workspace.open(workspace(found, arguments.effort)))
    id, made = recipe_of(session, "live")
    assessor = assessor_of(session, made)
    own = _some([Query(query, text) for query, text in found.asked.items()], MOST[arguments.split])
    foreign = [
        Query(f"{other}:{query.id}", query.text)
        for other in COLLECTIONS
        if other != name
        for query in _some(_queries(arguments, other), STRANGERS)
    ]
    retriever = session.builder.recipe(made)
    ranked, strange = retriever.search(own), retriever.search(foreign)
    row: Json = {
        "collection": name,
        "live": id,
        "split": arguments.split,
        "effort": arguments.effort,
        "commit": commit(),
    }
    told = [assessor.assess(query, ranked[query.id]) for query in own]
    other = [assessor.assess(query, strange[query.id]) for query in foreign]
    row |= {"queries": len(own), "foreign": _foreign(assessor, (own, ranked), (foreign, strange))}
    row |= {
        "false alarms": _share([one.not_covered for one in told]),
        "caught": _share([one.not_covered for one in other]),
    }
    if own and assessor.calibration is not None and assessor.calibration.hits is not None:
        truth = truths(found)[""]
        judged = [query for query in own if any(grade > 0 for grade in truth.get(query.id, {}).values())]
        row |= _judged(judged, ranked, {query.id: one for query, one in zip(own, told, strict=True)}, truth)
        row |= {"missing": _missing(session, made, assessor, judged, truth)}
    return row


def _queries(arguments: argparse.Namespace, name: str) -> list[Query]:
    """The texts that are asked of a collection; never a judgment."""
    return [Query(id, text) for id, text in brought(arguments.data, name, arguments.split).asked.items()]


def _some(queries: Sequence[Query], most: int) -> list[Query]:
    if len(queries) <= most:
        return list(queries)
    return [queries[place] for place in np.sort(np.random.default_rng(13).choice(len(queries), most, replace=False))]


def _foreign(assessor: Assessor, own: tuple[Sequence[Query], Run], foreign: tuple[Sequence[Query], Run]) -> float:
    """AUC of how far foreign queries are from the documents against one's own; the run's own held-out ones where none is asked."""
    assert assessor.calibration is not None, "the run fitted it"
    cover = assessor.calibration.cover

    def far(queries: Sequence[Query], run: Run) -> Doubles:
        return np.array([cover.far(assessor.signs(query, run[query.id])) for query in queries])

    mine = far(*own) if own[0] else np.array(cover.own)
    return auc(far(*foreign), mine)


def _judged(asked: Sequence[Query], run: Run, told: dict[str, Confidence], truth: Grades) -> Json:
    """Calibration of the first ten hits and of any of them, and what answering only the surest half is worth."""
    right = {q.id: [truth[q.id].get(d, 0) > 0 for d in run[q.id].documents[:FIRST]] for q in asked}
    said = np.array([p for q in asked for p in told[q.id].probabilities[:FIRST]], dtype=np.float64)
    hits = calibration(said, np.array([one for q in asked for one in right[q.id]]))
    any_right = np.array([any(right[q.id]) for q in asked])
    answers = np.array([told[q.id].found for q in asked], dtype=np.float64)
    found, curve = calibration(answers, any_right), coverage_risk(answers, any_right)
    half = min(curve, key=lambda point: abs(point.coverage - 0.5))
    return {
        "hits": {"error": hits.error, "noise": hits.noise, "predictions": len(said)},
        "found": {"error": found.error, "noise": found.noise, "said": float(answers.mean()), "true": float(any_right.mean())},
        "risk": {"all": curve[0].risk, "half": half.risk, "covered": half.coverage},
    }  # fmt: skip


def _missing(session: Opened, made: Json, assessor: Assessor, asked: Sequence[Query], truth: Grades) -> Json:
    """Answers taken out of the index, for one half of the queries and then for the other, and searched by the same recipe."""
    halves = np.random.default_rng(5).permutation(len(asked))
    gone: list[float] = []
    there: list[float] = []
    reached: list[bool] = []
    for number, half in enumerate((halves[::2], halves[1::2])):
        chosen = {asked[place].id for place in half}
        out = {d for id in chosen for d, grade in truth[id].items() if grade > 0}
        kept = [document for document in session.collection.documents if document.id not in out]
        folder = session.workspace.root / f"reduced-{number}"
        index = open_index(folder, kept, session.encoder, session.settings, session.workspace.index / "vectors")
        builder = Builder(index, session.workspace.artefacts, session.adapted)
        judge = Assessor(assessor.calibration, index, limits_of(session.settings))
        run = builder.recipe(made).search(asked)
        for query in asked:
            right = {d for d, grade in truth[query.id].items() if grade > 0}
            found = judge.assess(query, run[query.id]).found or 0.0
            if query.id in chosen:
                gone.append(found)
            elif not right & out:
                there.append(found)
                reached.append(bool(right & set(run[query.id].documents[:FIRST])))
    least = assessor.limits.missing
    present, absent = np.array(there), np.array(gone)
    return {
        "auc": auc(present, absent), "auc of found": auc(present[np.array(reached, dtype=bool)], absent),
        "claimed": _share(absent < least), "claimed of those there": _share(present < least), "queries": [len(there), len(gone)],
    }  # fmt: skip


def _share(flags: Any) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")


HEADS = (
    "collection", "live", "queries", "hits: error (noise)", "any of ten: error (noise)", "said / true", "risk: all / surest half",
    "foreign: AUC", "foreign called", "own called", "missing: AUC (those found)", "missing called / there called",
)  # fmt: skip


def _cells(row: Json) -> list[str]:
    cells = [row["collection"], row["live"], str(row["queries"])]
    if "hits" in row:
        hits, found, risk = row["hits"], row["found"], row["risk"]
        cells += [
            f"{hits['error']:.3f} ({hits['noise']:.3f})", f"{found['error']:.3f} ({found['noise']:.3f})",
            f"{found['said']:.3f} / {found['true']:.3f}", f"{risk['all']:.3f} / {risk['half']:.3f}",
        ]  # fmt: skip
    else:
        cells += ["–"] * 4
    cells += [f"{row['foreign']:.3f}", f"{row['caught']:.2f}", f"{row['false alarms']:.3f}"]
    if "missing" not in row:
        return [*cells, "–", "–"]
    missing = row["missing"]
    return [
        *cells, f"{missing['auc']:.3f} ({missing['auc of found']:.3f})",
        f"{missing['claimed']:.2f} / {missing['claimed of those there']:.2f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
