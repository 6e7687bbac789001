"""How good word search is: ours beside plain stemmed BM25, on train and dev queries of each collection.

    python benchmarks/lexical.py [--data FOLDER] [--queries 1500]

Plain is bm25s with its defaults (k1 1.5, b 0.75), its own tokenizer, PyStemmer's English stemmer and its English stop
words, over whole documents. Ours searches passages of 128 tokens: words alone, then with the identifiers' weight
learned as the treatment learns it (five folds, every query ranked by a weight it had no say in), then with the weight
used when nothing is known. Differences are paired, in points, with 95 % intervals. aero-cranfield has only test
judgments and is left out.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import bm25s
import numpy as np
import Stemmer

from resurvey.data.split import folds, qrels_of
from resurvey.evaluate.compare import compare
from resurvey.evaluate.measures import NDCG, Scores, score, score_mapping
from resurvey.protocols import Encoder
from resurvey.search.analyse import identifiers
from resurvey.search.encode import open_encoder
from resurvey.search.index import open_index
from resurvey.search.lexical import Lexical
from resurvey.settings import Settings, defaults
from resurvey.treat.identifiers import BLIND, GRID
from resurvey.treat.weigh import WeightTable
from resurvey.types import Document, Qrels, Query
from work.side import COLLECTIONS, built_on

HERE = Path(__file__).parent
SEED, FOLDS = 13, 5


def main() -> None:
    """One line a collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--queries", type=int, default=1500, help="most train queries of a collection")
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS)
    arguments = parser.parse_args()
    columns = ("collection", "queries", "with identifiers", "plain", "words", "against plain", "weight", "learned against words", "blind against words")  # fmt: skip
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    with tempfile.TemporaryDirectory() as engine:
        encoder = open_encoder("bundled", Path(engine))
        for name in arguments.only or COLLECTIONS:
            if name != "aero-cranfield":
                print(row(arguments.data / name, arguments.queries, encoder), flush=True)


def row(folder: Path, most: int, encoder: Encoder) -> str:
    """Measure one collection."""
    documents, queries, qrels = _brought(folder, most)
    with tempfile.TemporaryDirectory() as place:
        index = open_index(Path(place), documents, encoder, Settings(defaults()))
        runs = [Lexical(index, 100, weight).search(queries) for weight in GRID.tolist()]
        found = [score(run, qrels)[NDCG] for run in runs]
        language = index.language
    values = np.column_stack([scores.values for scores in found])
    holding = np.array([bool(identifiers(query.text, language)) for query in queries])
    learned, weights = _learned(WeightTable(values, GRID), queries, holding)
    plain, words, blind = _plain(documents, queries, qrels), found[0], found[GRID.tolist().index(BLIND)]
    cells = (
        folder.name, f"{len(queries):,}", f"{int(holding.sum())}", f"{plain.mean:.4f}", f"{words.mean:.4f}",
        _difference(plain, words), "/".join(f"{w:g}" for w in sorted(set(weights))),
        _difference(words, Scores("learned", NDCG, words.queries, learned)), _difference(words, blind),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _brought(folder: Path, most: int) -> tuple[Sequence[Document], list[Query], Qrels]:
    brought = built_on(folder)
    asked = {query.id: query for query in brought.queries}
    train, dev = (qrels_of(brought.judgments.get(side, ())) for side in ("train", "dev"))
    known = [query for query in train if query in asked]
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(known))[:most])
    qrels: dict[str, Mapping[str, int]] = {known[place]: train[known[place]] for place in chosen}
    qrels |= {query: grades for query, grades in dev.items() if query in asked}
    return brought.documents, [asked[query] for query in qrels], qrels


def _learned(table: WeightTable, queries: Sequence[Query], holding: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Every query's value at the weight that the other folds' queries ask for, and those weights."""
    fold, values, weights = folds(queries, FOLDS, SEED), np.zeros(len(queries)), []
    for held in range(FOLDS):
        weight = table.judged_weight(np.flatnonzero((fold != held) & holding), SEED, BLIND)
        weights.append(weight)
        values[fold == held] = table.values[fold == held, GRID.tolist().index(weight)]
    return values, weights


def _plain(documents: Sequence[Document], queries: Sequence[Query], qrels: Qrels) -> Scores:
    stemmer = Stemmer.Stemmer("english")

    def cut(texts: list[str], *, ids: bool) -> object:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False, return_ids=ids)

    judge = bm25s.BM25()
    judge.index(cut([document.full_text for document in documents], ids=True), show_progress=False)
    rows, scores = judge.retrieve(cut([query.text for query in queries], ids=False), k=100, show_progress=False)
    run = {
        query.id: {documents[row].id: float(s) for row, s in zip(found, values, strict=True) if s > 0}
        for query, found, values in zip(queries, rows, scores, strict=True)
    }
    return score_mapping("plain", run, qrels)[NDCG]


def _difference(first: Scores, second: Scores) -> str:
    found = compare(first, second)
    low, high = 100 * found.interval.low, 100 * found.interval.high
    return f"{100 * found.difference:+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    main()
