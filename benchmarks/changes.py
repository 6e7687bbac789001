"""Changes: what it costs to write documents into a large corpus, and to make them searchable; how the folder grows.

    python benchmarks/changes.py [--documents 10000] [--writes 200]

Documents are made words, vectors are hashed words: what the store itself takes is measured, embedding apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from power.writer import opened
from resurvey import loop, use
from resurvey.data.read import Sources
from resurvey.promote.live import Live, switch
from resurvey.refresh import refresh
from resurvey.search.corpus import Corpus
from resurvey.types import Document
from resurvey.upkeep import gc
from resurvey.workspace import Workspace

RARE = 20_000
"""Different words."""


def main() -> None:
    """Seconds of writes and refreshes, bytes of the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--writes", type=int, default=200)
    arguments = parser.parse_args()
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as name:
        workspace = _made(Path(name), arguments.documents, rng)
        corpus, count = Corpus(workspace), arguments.documents
        data = size(workspace.data)
        print(f"{count:,} documents: data {data:,} bytes, index {size(workspace.index):,}", flush=True)
        _print("write 1 document", [timed(corpus.upsert, [_document(n, rng)]) for n in range(9)])
        batch = count // 100
        _print("write 100 documents", [timed(corpus.upsert, [_document(n, rng) for n in range(100)]) for _ in range(5)])
        seconds = []
        for start in range(3):
            corpus.upsert([_document(start * batch + n, rng) for n in range(batch)])
            seconds.append(timed(refresh, workspace))
        _print("refresh after 1 % changed", seconds)
        corpus.upsert([Document("d0", corpus.documents()[0].text, "", {"field": 1})])
        _print("refresh after metadata alone", [timed(refresh, workspace)])
        before = size(workspace.index)
        for step in range(arguments.writes):
            corpus.upsert([_document(int(rng.integers(count)), rng)])
            if step % 5 == 4:
                refresh(workspace)
        after = size(workspace.index)
        print(
            f"{arguments.writes} writes, {arguments.writes // 5} refreshes: {before:,} to {after:,} bytes, {after / data:.1f} times the data"
        )
        gc(workspace)
        print(f"after gc: {size(workspace.index):,} bytes")


def _made(folder: Path, count: int, rng: np.random.Generator) -> Workspace:
    rows = [_document(number, rng) for number in range(count)]
    lines = "".join(json.dumps({"_id": d.id, "text": d.text}) + "\n" for d in rows)
    (folder / "corpus.jsonl").write_text(lines)
    loop.init(folder / "ws", Sources(corpus=folder / "corpus.jsonl"), {"language": "english"})
    workspace = Workspace.open(folder / "ws")
    switch(workspace, Live("rrf", opened(workspace).index.store.snapshot.number), "start")
    use.search(opened(workspace), rows[0].text[:40], "rrf", 3)
    return workspace


def _document(number: int, rng: np.random.Generator) -> Document:
    places = (RARE * rng.random(50) ** 3).astype(int)
    return Document(f"d{number}", " ".join(f"word{place}" for place in places))


def timed(work: Callable[..., Any], *arguments: Any) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _print(what: str, seconds: list[float]) -> None:
    print(
        f"{what}: {statistics.median(seconds):.3f} s (median of {len(seconds)}, worst {max(seconds):.3f})", flush=True
    )


if __name__ == "__main__":
    main()
