"""The diagnosis at scale: time and memory of searching and examining passages that are embedded already.

Passages and queries are real text, jittered (`lexical.texts_and_queries`). Their vectors are hashed words, projected: an
examination takes as long over these as over a model's, and a hundred thousand are made in a minute. Building runs in one
process, examining in another, so that what building held is not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resurvey.diagnose.examine import Patient, examine
from resurvey.diagnose.geometry import spread_finding
from resurvey.diagnose.hubness import hub_finding
from resurvey.protocols import Kind
from resurvey.search.builder import Builder
from resurvey.search.index import Index, open_index
from resurvey.search.recipe import BASE, LEXICAL, RRF, untouched
from resurvey.search.tokens import Estimated
from resurvey.settings import Settings, defaults
from resurvey.types import Document, Floats, Query, Run, silent
from resurvey.workspace import Artefacts, read_json, write_json
from work.mining import _peak

QUERIES = 500
DIMENSIONS, BUCKETS = 384, 2**15


class Hashed(Estimated):
    """An encoder whose vectors are sums of what its words were given at random."""

    name, fingerprint = "hashed words", "hashed-words-384"
    dimensions, max_tokens, tokens_known = DIMENSIONS, 512, False

    def __init__(self) -> None:
        self._rows = np.random.default_rng(13).normal(size=(BUCKETS, DIMENSIONS)).astype(np.float32)

    def prompt(self, _: Kind) -> str:
        """None."""
        return ""

    def encode(self, texts: Sequence[str], _: Kind) -> Floats:
        """Unit vectors of shape (texts, dimensions)."""
        from sklearn.feature_extraction.text import HashingVectorizer

        counts = HashingVectorizer(n_features=BUCKETS, alternate_sign=False).transform(texts)
        found = np.asarray(counts @ self._rows, dtype=np.float32)
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def build(folder: Path, texts: Sequence[str], queries: Sequence[str]) -> None:
    """An index of the texts with all vectors that an examination reads, and the queries beside it."""
    documents = [Document(str(place), text) for place, text in enumerate(texts)]
    write_json(folder / "made.json", {"texts": list(texts), "queries": list(queries[:QUERIES])})
    index = open_index(folder / "index", documents, Hashed(), Settings(defaults()))
    for view in ("truncated", "passages"):
        index.view(view)
        index.view(view, "center")
    index.vectors.vectors(list(queries[:QUERIES]), "query")


def measured(folder: Path) -> dict[str, Any]:
    """Seconds and megabytes above the vectors, of each step, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "work.examining", str(folder)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _open(folder: Path) -> tuple[Index, list[Query]]:
    made = read_json(folder / "made.json")
    documents = [Document(str(place), text) for place, text in enumerate(made["texts"])]
    queries = [Query(str(place), text) for place, text in enumerate(made["queries"])]
    return open_index(folder / "index", documents, Hashed(), Settings(defaults())), queries


def _child(folder: Path) -> dict[str, Any]:
    index, queries = _open(folder)
    vectors = sum(index.view(view).nbytes for view in ("truncated", "passages")) / 2**20
    builder = Builder(index, Artefacts(folder / "artefacts"))
    before = _peak()
    steps: dict[str, float] = {}
    started = time.perf_counter()
    nodes = untouched(100)
    named = {"dense": BASE, "lexical": LEXICAL, "fused": RRF}
    runs = {name: Run(name, builder.node(nodes[key]).search(queries).rankings) for name, key in named.items()}
    steps["searching"] = time.perf_counter() - started
    started = time.perf_counter()
    hub_finding(runs["dense"], index.documents)
    spread_finding(index.truncated, 13)
    steps["hubs and pairs"] = time.perf_counter() - started
    qrels = {query.id: {runs["fused"][query.id].documents[0]: 1} for query in queries}
    started = time.perf_counter()
    examine(Patient(index, queries, qrels, runs, standin=False, seed=13), silent)
    steps["examining"] = time.perf_counter() - started
    return {"seconds": steps, "megabytes": _peak() - before, "opened": before, "vectors": vectors}


if __name__ == "__main__":
    print(json.dumps(_child(Path(sys.argv[1]))))
