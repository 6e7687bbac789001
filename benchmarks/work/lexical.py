"""Words: BM25 of 100,000 passages beside bm25s, and how good it is beside plain stemmed BM25.

The passages are real texts jittered: sentences of all six collections' passages drawn at random, as many a passage
as a real one has. The peer is bm25s as fast as it goes here: its numba scorer where numba is installed, else its
default, one thread (with more it was slower), its own tokenizer with PyStemmer's English stemmer and stop words.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resurvey.data.chunk import Cut
from resurvey.data.read import Sources, read
from resurvey.search.analyse import words
from resurvey.search.index import Index
from resurvey.search.lexical import Lexical
from resurvey.search.store import IDENTIFIERS, WORDS, Store, build
from resurvey.settings import Settings, defaults
from resurvey.types import Document, Passage, Query
from work.side import COLLECTIONS, Row, Work, built_on, timed

PASSAGES, QUERIES, DEPTH, SENTENCES = 100_000, 1000, 100, 6
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def texts_and_queries(data: Path, count: int) -> tuple[list[str], list[str]]:
    """Jittered passages, and train and dev queries of the collections that have them, in equal parts."""
    rng, sentences, sizes, asked = np.random.default_rng(13), [], [], []
    for name in COLLECTIONS:
        brought = read(Sources(data / name / "corpus.jsonl"))
        for document in brought.documents:
            found = [sentence for sentence in SENTENCE.split(document.full_text) if len(sentence) > 20]
            sentences += found
            sizes += [min(len(found), SENTENCES)] * bool(found)
        asked.append(_judged(data / name)[: QUERIES // 5])
    drawn = (rng.integers(len(sentences), size=int(size)) for size in rng.choice(sizes, count))
    return [" ".join(sentences[place] for place in places) for places in drawn], [q for part in asked for q in part]


def _judged(folder: Path) -> list[str]:
    brought = built_on(folder)
    known = {row.query for side in ("train", "dev") for row in brought.judgments.get(side, ())}
    return [query.text for query in brought.queries if query.id in known]


class _Peer:
    def __init__(self) -> None:
        import bm25s
        import Stemmer

        self.module = bm25s
        self.stemmer = Stemmer.Stemmer("english")
        self.backend = "numba" if importlib.util.find_spec("numba") else "numpy"

    def read(self, texts: Sequence[str], *, ids: bool = True) -> Any:
        return self.module.tokenize(
            list(texts), stopwords="en", stemmer=self.stemmer, show_progress=False, return_ids=ids
        )

    def build(self, texts: Sequence[str]) -> Any:
        made = self.module.BM25(backend=self.backend)
        made.index(self.read(texts), show_progress=False)
        return made

    def search(self, made: Any, queries: Sequence[str]) -> Any:
        return made.retrieve(self.read(queries, ids=False), k=DEPTH, show_progress=False)


def _index(folder: Path, texts: Sequence[str]) -> Index:
    """Columns, LanceDB's indexes, and the postings of both streams."""
    documents = [Document(str(place), text) for place, text in enumerate(texts)]
    passages = tuple(Passage(document.id, 0, len(document.text)) for document in documents)
    parts = Cut(passages, tuple(texts), 0, 0, 0)
    store, chosen = Store(folder, build(folder, documents, parts, "english")), Settings(defaults())
    index = Index(folder, store, documents, parts, None, chosen)  # type: ignore[arg-type]  # no vectors here
    index.postings(WORDS)
    index.postings(IDENTIFIERS)
    return index


def lexical(arguments: argparse.Namespace) -> list[Row]:
    """Build, a batch of queries, and one query at a time."""
    count: int = arguments.corpus
    texts, asked = texts_and_queries(arguments.data, count)
    queries, peer = [Query(str(place), text) for place, text in enumerate(asked)], _Peer()
    made, batch, single, both = (
        Row(f"BM25, {count:,} passages: build, analysis and documents included", "0.67 (1.5 ×)"),
        Row(f"the same: {len(asked):,} queries in a batch", "1"),
        Row("the same: one query, p50", "1"),
        Row("the same with identifiers: one query, p50", "1"),
    )
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            seconds, theirs = timed(peer.build, texts)
            made.peer.append(seconds)
            seconds, index = timed(_index, Path(folder), texts)
            made.ours.append(seconds)
            ours, coded = Lexical(index, DEPTH), Lexical(index, DEPTH, 0.2)
            peer.search(theirs, asked[:20]), ours.search(queries[:20]), coded.search(queries[:20])
            batch.peer.append(timed(peer.search, theirs, asked)[0])
            batch.ours.append(timed(ours.search, queries)[0])
            single.peer.append(statistics.median(timed(peer.search, theirs, [text])[0] for text in asked))
            both.peer.append(single.peer[-1])
            single.ours.append(statistics.median(timed(ours.search, [query])[0] for query in queries))
            both.ours.append(statistics.median(timed(coded.search, [query])[0] for query in queries))
            shared = _lance(index, queries[:50])
    made.note = f"peer {peer.backend}; ours with both streams, documents stored and synced"
    single.note = f"first {DEPTH} found share {100 * shared:.0f} % with LanceDB's own index, whose k1 is lower"
    return [made, batch, single, both]


def _lance(index: Index, queries: Sequence[Query]) -> float:
    """Share of the first passages that LanceDB's index finds too."""
    run, shares = Lexical(index, DEPTH).search(queries), []
    for query in queries:
        rows, _ = index.store.match(" ".join(words(query.text, "english")), DEPTH)
        wanted = {index.ids[row] for row in rows}
        shares.append(len(wanted & set(run[query.id].documents)) / max(1, len(wanted)))
    return float(np.mean(shares))


WORK: dict[str, Work] = {"lexical": lexical}
