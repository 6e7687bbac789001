"""The diagnosis measured: what it says of real collections, and what it costs at scale.

    python benchmarks/diagnose.py findings [--data FOLDER] [--only NAME ...]    # the tables of docs/diagnose.md
    python benchmarks/diagnose.py chunks [--data FOLDER] [--only NAME ...] [--tokens 32 64 128 254]
    python benchmarks/diagnose.py halves [--data FOLDER] [--only NAME ...]
    python benchmarks/diagnose.py scale [--data FOLDER] [--sizes 1000 10000 100000]

`findings` runs `resurvey init` and `resurvey diagnose` as a user would, with train and dev judgments; test judgments stay
closed. `chunks` compares passage sizes by `resurvey chunks`. `halves` takes the findings
that rest on queries again over random halves of them, and counts their levels. `scale` examines passages that are embedded already: seconds of each step, and memory above what opening took.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contest.source import HERE, commit, resurvey
from contest.task import COLLECTIONS, Choice, task
from resurvey.diagnose.answer import bottleneck
from resurvey.diagnose.elsewhere import elsewhere
from resurvey.types import Level, diagnosis_from_json
from work import examining, halving, lexical

SHOWN = (
    "R14-corpus", "R14-queries", "R15-vocabulary", "R10-spread", "R11-rogue", "R13-collision", "R10-separation", "R12-hubs",
    "R19-quality", "R16-lift", "R17-literal-lift", "R18-recall", "R18-ranking", "R20-metadata",
)  # fmt: skip
CHUNKED = ("attack-procedures", "covid-faq", "code-cosqa", "job-titles")
"""Collections with judged queries and documents long enough to be cut."""
MARKS: dict[Level, str] = {"healthy": "", "suspect": " *", "confirmed": " **", "unknown": " ?"}


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("findings", "chunks", "halves", "scale"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS)
    parser.add_argument("--tokens", type=int, nargs="*", default=[32, 64, 128, 254])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    arguments = parser.parse_args()
    print(f"commit {commit()}\n")
    if arguments.what == "scale":
        scale(arguments.data, arguments.sizes)
    elif arguments.what == "chunks":
        chunks(arguments.data, arguments.only or CHUNKED, arguments.tokens)
    elif arguments.what == "halves":
        halves(arguments.data, arguments.only or CHUNKED)
    else:
        findings(arguments.data, arguments.only or COLLECTIONS)


def findings(data: Path, names: tuple[str, ...]) -> None:
    """A row for every finding, a column for every collection; then what each diagnosis answers and names."""
    found = {name: _diagnosed(data / name) for name in names}
    print("| finding | " + " | ".join(found) + " |\n|---" + "|---" * len(found) + "|")
    for id in SHOWN:
        cells = [_cell(diagnosis, id) for diagnosis in found.values()]
        title = next((f["title"] for d in found.values() for f in d["findings"] if f["id"] == id), id)
        print(f"| {title} ({id}) | " + " | ".join(cells) + " |")
    for name, diagnosis in found.items():
        whole = diagnosis_from_json(diagnosis)
        answer = bottleneck(whole)
        print(f"\n**{name}.** {answer.short}: {answer.sentence}")
        for row in diagnosis["findings"]:
            print(f"- {row['id']} ({row['level']}): {row['reading']}")
        for row in elsewhere(whole):
            if row["holds"] == "yes":
                print(f"- elsewhere: {row['observed']}: {row['problem']} ({row['evidence']})")


def chunks(data: Path, names: Sequence[str], sizes: Sequence[int]) -> None:
    """A row for every collection and size: passages, and documents found by each branch; points of dense search against the present size."""
    print(
        "| collection | tokens | passages | dense | points (95 %) | words | both | points of both (95 %) |\n|---|---|---|---|---|---|---|---|"
    )
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            _begun(data / name, Path(place))
            told = resurvey("chunks", f"{place}/work", "--sizes", ",".join(map(str, sizes)), "--json")
        found: dict[str, Any] = json.loads(told)
        for row in found["sizes"]:
            mark = " (in use)" if row["size"] == found["present"] else " (best)" if row["size"] == found["best"] else ""
            points = (_points(row.get(key)) for key in ("against present", "both against present"))
            of_dense, of_both = points
            means = [f"{row[branch]:.3f}" for branch in ("dense", "words", "both")]
            cells = (name, f"{row['size']}{mark}", f"{row['passages']:,}", means[0], of_dense, *means[1:], of_both)
            print(f"| {' | '.join(cells)} |", flush=True)


def halves(data: Path, names: Sequence[str]) -> None:
    """A row for every collection and finding: how often each level is given over random halves of the judged queries."""
    print("| collection | finding | " + " | ".join(MARKS) + " |\n|---|---" + "|---" * len(MARKS) + "|")
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            _begun(data / name, Path(place))
            for id, counts in halving.levels(Path(place) / "work").items():
                print(f"| {name} | {id} | {' | '.join(str(counts[level]) for level in MARKS)} |", flush=True)


def _points(found: dict[str, Any] | None) -> str:
    """A difference with its interval, in points."""
    if found is None:
        return "–"
    low, high = (100 * found["interval"][end] for end in ("low", "high"))
    return f"{100 * found['difference']:+.1f} ({low:+.1f} to {high:+.1f})"


def _begun(folder: Path, place: Path) -> None:
    """A workspace of one collection at `place`/work, without a test judgment."""
    chosen = task(folder, Choice())
    given = chosen.write(place / "in")
    arguments = ["--beir", str(given)] if chosen.brought else ["--corpus", str(given / "corpus.jsonl")]
    resurvey("init", f"{place}/work", *arguments)


def _diagnosed(folder: Path) -> dict[str, Any]:
    """What `resurvey diagnose --json` says of one collection."""
    with tempfile.TemporaryDirectory() as place:
        _begun(folder, Path(place))
        found: dict[str, Any] = json.loads(resurvey("diagnose", f"{place}/work", "--json"))
        return found


def _cell(diagnosis: dict[str, Any], id: str) -> str:
    row = next((row for row in diagnosis["findings"] if row["id"] == id), None)
    if row is None or row["value"] is None:
        return "–"
    around = f" ({row['interval']['low']:.3g} to {row['interval']['high']:.3g})" if row["interval"] else ""
    return f"{row['value']:.3g}{around}{MARKS[row['level']]}"


def scale(data: Path, sizes: list[int]) -> None:
    """A row for every number of passages."""
    print(
        "| passages | searching | hubs and pairs | examining | memory above opening | vectors |\n|---|---|---|---|---|---|"
    )
    for size in sizes:
        texts, queries = lexical.texts_and_queries(data, size)
        with tempfile.TemporaryDirectory() as folder:
            examining.build(Path(folder), texts, queries)
            found = examining.measured(Path(folder))
        seconds = " | ".join(f"{found['seconds'][step]:.1f} s" for step in ("searching", "hubs and pairs", "examining"))
        print(f"| {size:,} | {seconds} | {found['megabytes']:,.0f} MB | {found['vectors']:,.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
