"""Time and memory by size: vectors streamed through the store, put into a view, moved, searched, each in a process of its own.

The encoder is a stub that returns real vectors, jittered, as fast as memory is copied: what is measured is ours.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from resurvey.protocols import Kind
from resurvey.search.mapped import kept_matrix, release, rows_within, slices
from resurvey.search.nearest import Exact
from resurvey.search.vectors import VectorStore
from resurvey.types import Floats
from work import real
from work.side import Row, Work

MEMORY = 1.0
STAGES = ("embed", "open", "view", "search")


class Stub:
    """Real vectors for any texts, at the speed of memory."""

    name, max_tokens, fingerprint = "stub", 256, "5" * 64

    def __init__(self, base: Floats) -> None:
        self.base = base
        self.dimensions = base.shape[1]

    def prompt(self, kind: Kind) -> str:  # noqa: ARG002
        """None."""
        return ""

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """No tokens."""
        return [[] for _ in texts]

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:  # noqa: ARG002
        """One of the real vectors, moved by a noise that the first text's hash decides."""
        rng = np.random.default_rng(abs(hash(texts[0])))
        moved = self.base[rng.integers(0, len(self.base), len(texts))]
        return np.asarray(moved + 0.01 * rng.random(moved.shape, dtype=np.float32), dtype=np.float32)


def scale(arguments: argparse.Namespace) -> list[Row]:
    """Each size in a process of its own; the peer of a size is the size before it, scaled up: 1 is linear."""
    real.passages(arguments.data)
    rows, before = [], 0.0
    for count in arguments.sizes:
        done = subprocess.run(
            [sys.executable, __file__, str(count), str(arguments.data)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        seconds = sum(facts[name] for name in STAGES)
        told = ", ".join(f"{name} {facts[name]:.1f} s" for name in STAGES)
        note = f"{told}; peak {facts['peak']:.0f} MB, of which {facts['texts']:.0f} MB before any vector; {facts['vectors']:.0f} MB of vectors, {facts['files']} files"
        row = Row(f"stream {count:,} passages through the store", "1 is linear", [before or seconds], [seconds], note)
        rows.append(row)
        before = seconds * 10
    return rows


def main() -> None:
    """One size, from texts to an exact search of 100 queries; prints its facts."""
    count, data = int(sys.argv[1]), Path(sys.argv[2])
    base, queries = real.passages(data)[:4096], real.queries(data)[:100]
    facts: dict[str, float] = {"vectors": count * base.shape[1] * 4 / 1e6}
    with tempfile.TemporaryDirectory(dir=real.KEPT) as folder:
        texts = [f"passage {place}" for place in range(count)]
        store = VectorStore(Path(folder), Stub(base.copy()))
        facts["texts"] = _peak()
        started = time.perf_counter()
        keys = store.embed(texts, "passage")
        facts["embed"] = -started + (started := time.perf_counter())
        store = VectorStore(Path(folder), store.encoder)
        facts["open"] = -started + (started := time.perf_counter())
        block = rows_within(MEMORY, base.shape[1])

        def blocks() -> Iterator[Floats]:
            for part in slices(len(keys), block):
                yield store.read(keys[part])

        view = kept_matrix(Path(folder) / "view.npy", (count, base.shape[1]), blocks)
        release(view)
        facts["view"] = -started + (started := time.perf_counter())
        Exact(view, MEMORY).search(queries, 100)
        facts["search"] = -started + time.perf_counter()
        facts["files"] = len(list(store.folder.iterdir()))
    facts["peak"] = _peak()
    print(json.dumps(facts))


def _peak() -> float:
    """Most megabytes this process ever held, mapped files counted."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


WORK: dict[str, Work] = {"scale": scale}

if __name__ == "__main__":
    main()
