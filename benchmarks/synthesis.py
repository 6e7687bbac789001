"""How alike synthetic and real queries are, how many pass, and whether learning from them helps; on train and dev.

    python benchmarks/synthesis.py [--data FOLDER] [--keep FOLDER] [--only NAME …] [--count 4000] [--words]

For each collection queries are made without a language model, tried on RRF of words and vectors, and drawn to be
like the train queries. Distances are Kolmogorov-Smirnov's. The last columns are a cheap proxy for training: a linear
map of query vectors (ridge towards the identity, strength chosen on a fifth of the documents held out), learned from
the drawn queries, from the judged train queries, and from both; NDCG@10 of dense search on dev.
aero-cranfield has only test judgments: of it, only what passes is counted, and its queries are not read.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from resurvey.data.split import qrels_of
from resurvey.evaluate.measures import NDCG, score
from resurvey.search.builder import Builder
from resurvey.search.compose import best, first_stage
from resurvey.search.encode import open_encoder
from resurvey.search.index import Index, open_index
from resurvey.search.recipe import dense, fused, lexical
from resurvey.settings import Settings, defaults
from resurvey.train.examples import Example, from_judgments
from resurvey.train.synthesis import Known, Order, Synthesis, synthesise
from resurvey.types import Floats, Json, Qrels, Query, Run
from resurvey.workspace import Artefacts
from work.side import COLLECTIONS, built_on

HERE = Path(__file__).parent
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Of the pull towards the identity, in mean eigenvalues of the queries' second moments."""
SEED = 13


def main() -> None:
    """A block of lines a collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--keep", type=Path, help="where vectors are kept between runs")
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS)
    parser.add_argument("--count", type=int, default=4_000)
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument(
        "--words", action="store_true", help="try queries on words alone, embed nothing, skip the proxy"
    )
    parser.add_argument("--examples", type=int, default=0, help="examples to print of each kind")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        keep = arguments.keep or Path(scratch)
        for name in arguments.only or COLLECTIONS:
            measure(arguments.data / name, keep / name, arguments)


def measure(folder: Path, keep: Path, arguments: argparse.Namespace) -> None:
    """Make queries for one collection and print what became of them."""
    brought = built_on(folder)
    asked = {query.id: query for query in brought.queries}
    sides = {side: qrels_of(brought.judgments.get(side, ())) for side in ("train", "dev")}
    train, dev = ([asked[q] for q in sides[side] if q in asked] for side in ("train", "dev"))
    settings = Settings(defaults())
    index = open_index(keep, brought.documents, open_encoder("bundled", keep / "engine"), settings)
    builder = Builder(index, Artefacts(keep / "artefacts"))
    search = builder.node(lexical(100) if arguments.words else fused([lexical(100), dense(100)], 100)).search
    order = Order(arguments.count, arguments.each, language=index.language)
    found = synthesise(brought.documents, search, Known(tuple(train), sides["train"]), order)
    print(f"{folder.name}: {told(found.log)}", flush=True)
    for provenance in found.examples.counts() if arguments.examples else ():
        rows = [row for row in found.examples if row.provenance == provenance][: arguments.examples]
        print(*(f"    {provenance}: {row.query!r}" for row in rows), sep="\n")
    if train and not arguments.words:
        print(f"  {proxy(index, found, (train, sides['train']), (dev, sides['dev']))}", flush=True)


def told(log: Json) -> str:
    """The log on a few lines."""
    made, kept = sum(log["made"].values()), sum(log["kept"].values())
    dropped = {reason: sum(row.values()) for reason, row in log["dropped"].items()}
    passed = kept + dropped["out of the match"]
    lines = [
        f"{log['documents read']} of {log['documents']} documents, {made} made, {passed} passed ({passed / max(1, made):.0%}), {kept} kept",
        f"dropped {dropped}", f"made {log['made']}", f"kept {log['kept']}", f"distances {log['distance to real queries']}",
    ]  # fmt: skip
    return "\n  ".join(lines)


Judged = tuple[Sequence[Query], Qrels]


def proxy(index: Index, found: Synthesis, train: Judged, dev: Judged) -> str:
    """NDCG@10 of dense search on dev: as it is, and with a map learned from each source."""
    judged = from_judgments(*train).rows
    drawn = found.examples.rows
    cells = {"untouched": ndcg(index, dev, None)}
    for name, rows in (("synthetic", drawn), ("judged", judged), ("both", (*judged, *drawn))):
        moved, strength = learned(index, rows)
        cells[f"{name} ({len(rows)}, {strength:g})"] = ndcg(index, dev, moved)
        if name == "synthetic":
            cells["the same on train and dev"] = ndcg(index, _both(train, dev), moved)
            cells["untouched on train and dev"] = ndcg(index, _both(train, dev), None)
    return ", ".join(f"{name} {value:.4f}" for name, value in cells.items())


def _both(train: Judged, dev: Judged) -> Judged:
    places = np.random.default_rng(SEED).permutation(len(train[0]))[:1000]
    return [*(train[0][place] for place in places), *dev[0]], {**train[1], **dev[1]}


def learned(index: Index, rows: Sequence[Example]) -> tuple[Floats, float]:
    """The map that ranks queries about held-out documents best, fitted again on all, and its strength."""
    rows = [row for row in rows if row.document in index.rows]
    asked = index.vectors.vectors([row.query for row in rows], "query")
    owners = np.array([index.rows[row.document] for row in rows])
    wanted = np.stack([_nearest(index, vector, owner) for vector, owner in zip(asked, owners, strict=True)])
    held = np.random.default_rng(SEED).random(len(index.documents))[owners] < 0.2
    queries = [Query(str(place), rows[place].query) for place in np.flatnonzero(held)[:1000]]
    qrels: dict[str, Mapping[str, int]] = {query.id: {rows[int(query.id)].document: 1} for query in queries}
    scores = [ndcg(index, (queries, qrels), _ridge(asked[~held], wanted[~held], s)) for s in STRENGTHS]
    strength = STRENGTHS[int(np.argmax(scores))]
    return _ridge(asked, wanted, strength), strength


def _nearest(index: Index, vector: Floats, owner: int) -> Floats:
    start = int(index.starts[owner])
    stop = int(index.starts[owner + 1]) if owner + 1 < len(index.starts) else len(index.owners)
    passages = np.asarray(index.passages[start:stop])
    return np.asarray(passages[int(np.argmax(passages @ vector))])


def _ridge(asked: Floats, wanted: Floats, strength: float) -> Floats:
    size = asked.shape[1]
    pull = strength * len(asked) / size * np.eye(size)
    return np.asarray(np.linalg.solve(asked.T @ asked + pull, asked.T @ wanted + pull), dtype=np.float32)


def ndcg(index: Index, judged: Judged, moved: Floats | None) -> float:
    """Mean NDCG@10 of dense search with query vectors multiplied by a map."""
    queries, qrels = judged
    vectors = index.vectors.vectors([query.text for query in queries], "query")
    if moved is not None:
        vectors = vectors @ moved
    rankings = {}
    for query, vector in zip(queries, vectors, strict=True):
        rows, scores = best(index.best_passages((index.passages @ vector)[None, :])[0], 10)
        rankings[query.id] = first_stage("dense", index.ids[rows].tolist(), scores)
    return score(Run("dense", rankings), {query.id: qrels[query.id] for query in queries})[NDCG].mean


if __name__ == "__main__":
    main()
