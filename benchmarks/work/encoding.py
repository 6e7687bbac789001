"""Encoding: passages, one query, and a corpus of which a little changed, beside `SentenceTransformer.encode`."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resurvey.data.chunk import cut
from resurvey.data.read import Sources, read
from resurvey.data.split import qrels_of
from resurvey.precision import Sample, compare, int8, sample
from resurvey.protocols import Encoder
from resurvey.search.compiled import CompiledEncoder
from resurvey.search.encode import locate, open_encoder
from resurvey.search.vectors import VectorStore
from work.side import Row, Work, built_on, timed

QUERIES = 200
CHANGED = 0.01


def _peer() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(locate("bundled"))


def _ours(folder: Path) -> Encoder:
    encoder = open_encoder("bundled", folder)
    encoder.encode(["warm"] * 8, "passage")
    return encoder


def _passages(data: Path, name: str, most: int, encoder: Encoder) -> tuple[list[str], list[str]]:
    """The first passages of a collection, as an index would hold them, and their documents."""
    parts = cut(read(Sources(data / name / "corpus.jsonl")).documents, encoder, 128)
    return list(parts.texts)[:most], [passage.document for passage in parts.passages][:most]


def _check(data: Path, name: str, texts: list[str], owners: list[str]) -> Sample:
    """Train and dev queries that these passages answer, up to 500, with their judgments; all passages compete."""
    brought = built_on(data / name)
    qrels = {
        query: grades
        for side in ("train", "dev")
        for query, grades in qrels_of(brought.judgments.get(side, ())).items()
        if any(grade > 0 and document in set(owners) for document, grade in grades.items())
    }
    asked = {query.id: query.text for query in brought.queries if query.id in qrels}
    chosen = dict(list(asked.items())[:500])
    if not chosen:
        return sample(texts, owners, {}, {}, 13)
    return Sample(tuple(texts), tuple(owners), chosen, {query: qrels[query] for query in chosen})


def embed(arguments: argparse.Namespace) -> list[Row]:
    """Passages of each collection through `SentenceTransformer.encode`, defaults, and through ours in both precisions."""
    peer, rows = _peer(), []
    with tempfile.TemporaryDirectory() as folder:
        ours = _ours(Path(folder))
        assert isinstance(ours, CompiledEncoder), "this benchmark is of the OpenVINO engine"
        for name in arguments.collections:
            texts, owners = _passages(arguments.data, name, arguments.passages, ours)
            check = _check(arguments.data, name, texts, owners)
            made, small = timed(int8, ours, Path(folder) / f"int8-{name}", lambda: (texts, check))  # noqa: B023
            full = Row(f"embed {len(texts):,} passages, {name}, float32", "1.1")
            eight = Row(f"the same, int8{'' if small is not ours else ' REFUSED'}", "2 (2.5)")
            small.encode(["warm"] * 8, "passage")
            for _ in range(arguments.rounds):
                seconds, wanted = timed(lambda: peer.encode(texts))  # noqa: B023
                full.peer.append(seconds)
                eight.peer.append(seconds)
                seconds, found = timed(ours.encode, texts, "passage")
                full.ours.append(seconds)
                eight.ours.append(timed(small.encode, texts, "passage")[0])
            wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
            full.note = f"largest difference {np.abs(wanted - found).max():.1e}, wanted 1e-5"
            facts = compare(ours, small, check)
            lost = f"NDCG@10 {facts['ndcg']} loses {100 * float(facts['lost']):+.2f} %, " if "lost" in facts else ""
            eight.note = f"{lost}first ten {100 * float(facts['shared']):.1f} % the same, {facts['queries']} queries; made and checked in {made:.0f} s"
            rows += [full, eight]
    return rows


def query(arguments: argparse.Namespace) -> list[Row]:
    """One query at a time, in both precisions."""
    peer = _peer()
    texts = [json.loads(line)["text"] for line in _lines(arguments.data / "covid-faq" / "queries.jsonl", QUERIES)]
    with tempfile.TemporaryDirectory() as folder:
        ours = _ours(Path(folder))
        assert isinstance(ours, CompiledEncoder), "this benchmark is of the OpenVINO engine"
        passages, owners = _passages(arguments.data, "covid-faq", QUERIES, ours)
        small = int8(
            ours, Path(folder) / "int8", lambda: (passages, _check(arguments.data, "covid-faq", passages, owners))
        )
        rows = [Row("embed one query, p50, float32", "3"), Row("the same, int8", "3")]
        for _ in range(arguments.rounds):
            theirs = _median(lambda text: peer.encode([text], normalize_embeddings=True), texts)
            for row, encoder in zip(rows, (ours, small), strict=True):
                row.peer.append(theirs)
                row.ours.append(_median(lambda text: encoder.encode([text], "query"), texts))  # noqa: B023
        ends = [timed(ours.encode, [text], "query")[0] for text in texts]
        rows[0].note = f"ours p99 {1000 * float(np.quantile(ends, 0.99)):.1f} ms"
        rows[1].note = "" if small is not ours else "REFUSED"
    return rows


def _median(work: Callable[[str], Any], texts: Sequence[str]) -> float:
    return statistics.median(timed(work, text)[0] for text in texts)


def again(arguments: argparse.Namespace) -> list[Row]:
    """All passages, and then again when one in a hundred changed, in a warm process; the peer is ours, all anew."""
    with tempfile.TemporaryDirectory() as folder:
        ours = _ours(Path(folder) / "engine")
        texts, _ = _passages(arguments.data, "covid-faq", arguments.passages, ours)
        row = Row(f"embed {len(texts):,} passages again after 1 % changed", "33 (3 %)")
        for number in range(arguments.rounds):
            store = VectorStore(Path(folder) / str(number), ours)
            row.peer.append(timed(lambda: store.vectors(texts, "passage"))[0])  # noqa: B023
            step = int(1 / CHANGED)
            changed = [f"{t} changed" if place % step == 0 else t for place, t in enumerate(texts)]
            row.ours.append(timed(lambda: store.vectors(changed, "passage"))[0])  # noqa: B023
    return [row]


def _lines(path: Path, most: int) -> Sequence[str]:
    with path.open(encoding="utf-8") as file:
        return [line for _, line in zip(range(most), file, strict=False)]


WORK: dict[str, Work] = {"embed": embed, "query": query, "again": again}
