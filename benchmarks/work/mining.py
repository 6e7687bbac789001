"""Mining: five hard negatives a query, vectors given, beside sentence-transformers' `mine_hard_negatives`.

Every measurement is a process of its own, in turns, so that its peak memory is its own. Vectors are real
embeddings, jittered: recall on made-up Gaussian ones says nothing. The peer gets a stub that returns the vectors
(and inner products instead of its default's cosines, which would normalise all vectors again for every batch).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from resurvey.types import Floats, Ints
from work.side import Row, Work, built_on, timed

TEXTS = {
    "attack-procedures": 1500, "covid-faq": 2500, "code-cosqa": 2500, "product-match": 3000, "job-titles": 1000, "aero-cranfield": 1500,
}  # fmt: skip
"""Passages embedded once; all others are these, moved a little."""
PASSAGE_NOISE, QUERY_NOISE = (0.2, 0.6), (0.5, 2.0)
"""Length of what is added to a unit vector, drawn evenly from this range."""
NUMBER, DEPTH, MARGIN = 5, 100, 0.95
PEERS: dict[str, dict[str, Any]] = {"faiss": {"use_faiss": True}, "torch": {"faiss_batch_size": 1024}}
"""Its two ways; with its own batch of 16,384 the second needs 6.5 GB at 100,000 passages and is no faster."""
OURS = ("exact", "approximate")
CHECKED, LISTED = 1000, 1000
EDGE = 1e-6


def mining(arguments: argparse.Namespace) -> list[Row]:
    """Ours, exact and approximate, each beside both ways of the peer."""
    queries, passages = map(int, arguments.mine.split("x"))
    name = f"mine {NUMBER} negatives, {queries:,} queries × {passages:,} passages"
    rows = {
        (ours, peer): Row(f"{name}, {ours}; peer with {peer}", "1.3" if ours == "exact" else "3")
        for ours in OURS
        for peer in PEERS
    }
    with tempfile.TemporaryDirectory() as folder:
        _vectors(Path(folder), arguments.data, queries, passages)
        for _ in range(arguments.rounds):
            facts = {kind: _child(kind, Path(folder)) for kind in (*PEERS, *OURS)}
            for (ours, peer), row in rows.items():
                row.peer.append(facts[peer]["seconds"])
                row.ours.append(facts[ours]["seconds"])
                same = _same(Path(folder), ours, peer)
                row.note = f"{same}; {facts[ours]['note']}; memory above the vectors: peer {_memory(facts[peer])}, ours {_memory(facts[ours])}"
    return list(rows.values())


def _memory(facts: dict[str, Any]) -> str:
    return f"{facts['peak']:,.0f} MB ({facts['libraries']:,.0f} of it before it began)"


def _vectors(folder: Path, data: Path, queries: int, passages: int) -> None:
    """Passages near real embeddings and queries near passages, as files."""
    rng = np.random.default_rng(1)
    base = _embedded(data)
    chosen = rng.permutation(len(base))[:passages] if passages <= len(base) else rng.integers(0, len(base), passages)
    moved = _moved(base[chosen], PASSAGE_NOISE, rng)
    answers = rng.integers(0, passages, queries) if queries > passages else rng.permutation(passages)[:queries]
    np.save(folder / "passages.npy", moved)
    np.save(folder / "queries.npy", _moved(moved[answers], QUERY_NOISE, rng))
    np.save(folder / "answers.npy", answers)


def _moved(vectors: Floats, lengths: tuple[float, float], rng: np.random.Generator) -> Floats:
    noise = rng.standard_normal(vectors.shape, dtype=np.float32) / np.float32(vectors.shape[1] ** 0.5)
    moved = vectors + noise * rng.uniform(*lengths, (len(vectors), 1)).astype(np.float32)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)


def _embedded(data: Path) -> Floats:
    """Real embeddings of passages of all collections, made once on this machine."""
    kept = Path(tempfile.gettempdir()) / "resurvey-benchmark" / "passages.npy"
    if not kept.exists():
        from resurvey.data.chunk import cut
        from resurvey.data.read import Sources, read
        from resurvey.search.encode import open_encoder

        kept.parent.mkdir(exist_ok=True)
        encoder = open_encoder("bundled", kept.parent / "engine")
        texts = [
            list(cut(read(Sources(data / name / "corpus.jsonl")).documents, encoder, 128).texts)[:most]
            for name, most in TEXTS.items()
        ]
        np.save(kept, encoder.encode([text for several in texts for text in several], "passage"))
    return np.asarray(np.load(kept), dtype=np.float32)


def _child(kind: str, folder: Path) -> dict[str, Any]:
    """Seconds and megabytes of one kind of mining in a process of its own."""
    done = subprocess.run([sys.executable, __file__, kind, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _peak() -> float:
    """Megabytes this process held at most. Not ru_maxrss, which begins with what the parent held."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(kind: str, folder: Path) -> None:
    """What the child does: load, time, save the negatives, print the facts."""
    import faiss  # noqa: F401
    import torch  # noqa: F401

    queries, passages, answers = (np.load(folder / f"{name}.npy") for name in ("queries", "passages", "answers"))
    work = _peer(kind, queries, passages, answers) if kind in PEERS else _ours(kind, queries, passages, answers, folder)
    size = (queries.nbytes + passages.nbytes) / 2**20
    before = _peak() - size
    started = time.perf_counter()
    done = work()
    seconds = time.perf_counter() - started
    facts = {"seconds": seconds, "peak": _peak() - size, "libraries": before}
    negatives, note = done()
    np.save(folder / f"{kind}.npy", negatives)
    print(json.dumps({**facts, "note": note}))


def _ours(kind: str, queries: Floats, passages: Floats, answers: Ints, folder: Path) -> Any:
    from resurvey.search.batch import Clustered, Sweep
    from resurvey.search.candidates import Keeper, Near, Plan, candidates
    from resurvey.treat.mine import cosines, mine
    from resurvey.treat.negatives import Positives, Rules

    def work() -> Any:
        nearest = Sweep(passages) if kind == "exact" else Clustered(passages, queries, DEPTH)
        plan = Plan((Near("dense", nearest, queries, DEPTH + 1),), len(queries))
        rules = Rules(NUMBER, depth=DEPTH + 1, relative_margin=MARGIN, near=None)
        positives = Positives(np.arange(len(answers) + 1), answers)
        with tempfile.TemporaryDirectory(dir=folder) as kept:
            blocks = candidates(plan, Keeper(Path(kept), {"fingerprint": "given"}))
            mined = mine(blocks, positives, cosines(queries, passages), rules, scored_by="dense")
        return lambda: (mined.negatives, f"recall@{DEPTH} {_recall(nearest, queries, passages):.4f}, {mined}")

    return work


def _recall(nearest: Any, queries: Floats, passages: Floats) -> float:
    import faiss

    some = queries[:: max(1, len(queries) // CHECKED)].copy()
    _, wanted = faiss.knn(some, passages, DEPTH, metric=faiss.METRIC_INNER_PRODUCT)
    found, _ = nearest.search(some, DEPTH)
    return float(np.mean([len(np.intersect1d(a, b)) / DEPTH for a, b in zip(found, wanted, strict=True)]))


def _peer(kind: str, queries: Floats, passages: Floats, answers: Ints) -> Any:
    import torch
    from datasets import Dataset
    from sentence_transformers.util import dot_score, mine_hard_negatives, pairwise_dot_score

    class Stub:
        device = torch.device("cpu")
        similarity, similarity_pairwise = staticmethod(dot_score), staticmethod(pairwise_dot_score)

        def encode_document(self, *_: Any, **__: Any) -> Floats:
            return passages

        def encode_query(self, *_: Any, **__: Any) -> Floats:
            return queries

        def get_embedding_dimension(self) -> int:
            return int(passages.shape[1])

    stub: Any = Stub()
    corpus = [str(row) for row in range(len(passages))]
    pairs = Dataset.from_dict({"query": [f"q{n}" for n in range(len(queries))], "answer": [corpus[a] for a in answers]})

    def work() -> Any:
        mined = mine_hard_negatives(
            pairs, stub, corpus=corpus, range_max=DEPTH, relative_margin=1 - MARGIN, num_negatives=NUMBER,
            output_format="n-tuple", verbose=False, **PEERS[kind],
        )  # fmt: skip
        return lambda: (_rows(mined, len(queries)), "")

    return work


def _rows(mined: Any, queries: int) -> Ints:
    """The peer's texts as rows; -1 for queries it left out."""
    found = np.full((queries, NUMBER), -1, dtype=np.int64)
    places = np.array([int(text[1:]) for text in mined["query"]], dtype=np.int64)
    for number in range(NUMBER):
        found[places, number] = np.array(mined[f"negative_{number + 1}"], dtype=np.int64)
    return found


def _same(folder: Path, ours: str, peer: str) -> str:
    """How many queries got the same negatives; and where not, whether a candidate on the margin's edge explains it."""
    names = ("queries", "passages", "answers", ours, peer)
    queries, passages, answers, mine, theirs = (np.load(folder / f"{name}.npy") for name in names)
    mine[(mine < 0).any(axis=1)] = -1  # the peer leaves such queries out
    edges = others = 0
    for query in np.flatnonzero((np.sort(mine, axis=1) != np.sort(theirs, axis=1)).any(axis=1)):
        rows = np.setxor1d(mine[query], theirs[query])
        scores = passages[rows[rows >= 0]] @ queries[query]
        edge = MARGIN * float(passages[answers[query]] @ queries[query])
        tied = np.ptp(scores) < EDGE if len(scores) else False
        edges += bool(tied or (np.abs(scores - edge) < EDGE).any())
        others += 1
    return f"same negatives for {len(mine) - others:,} of {len(mine):,} queries, {edges} of the others by a tie or a candidate on the margin's edge"


def three_lists(arguments: argparse.Namespace) -> list[Row]:
    """Real collections: negatives from words, vectors and both fused; what each list brings, and what that costs."""
    from resurvey.data.split import qrels_of
    from resurvey.search.encode import open_encoder
    from resurvey.search.index import open_index
    from resurvey.settings import Settings, defaults

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        encoder = open_encoder("bundled", Path(folder) / "engine")
        for name in (n for n in arguments.collections if n in ("attack-procedures", "covid-faq")):
            brought = built_on(arguments.data / name)
            qrels = qrels_of(brought.judgments["train"])
            queries = [query for query in brought.queries if query.id in qrels][:LISTED]
            index = open_index(Path(folder) / name, brought.documents, encoder, Settings(defaults()))
            row = Row(f"mine from three lists, {len(queries):,} queries of {name}; peer is ours from dense alone", "–")
            asked = index.vectors.vectors([query.text for query in queries], "query")
            index.passages  # noqa: B018  # embedded before time is taken
            for _ in range(arguments.rounds):
                alone, everything = (
                    _mined(index, queries, qrels, asked, False),
                    _mined(index, queries, qrels, asked, True),
                )
                row.peer.append(alone[0])
                row.ours.append(everything[0])
            shares = ", ".join(f"{source} {100 * share:.0f} %" for source, share in everything[1].shares.items())
            row.note = f"{1000 * row.ours[-1] / len(queries):.1f} ms a query; found by {shares}; {everything[1]}; dense alone: {alone[1]}"
            rows.append(row)
    return rows


def _mined(index: Any, queries: Any, qrels: Any, asked: Floats, every: bool) -> tuple[float, Any]:
    """Seconds and negatives: passages, with all default rules."""
    from resurvey.search.candidates import InPassages, Near, Plan, Searched, Source, candidates
    from resurvey.search.fuse import ReciprocalRank
    from resurvey.search.lexical import Lexical
    from resurvey.search.nearest import Exact
    from resurvey.treat.mine import cosines, in_passages, mine
    from resurvey.treat.negatives import Known, positives_of

    def work() -> Any:
        starts = np.append(index.starts, len(index.owners))
        sources: list[Source] = [Near("dense", Exact(index.passages), asked, DEPTH)]
        if every:
            words = Searched("lexical", Lexical(index, DEPTH), queries, index.rows)
            sources.append(InPassages(words, asked, index.passages, starts))
        plan = Plan(tuple(sources), len(queries), ReciprocalRank() if every else None, DEPTH)
        positives = in_passages(positives_of(queries, qrels, index.rows), asked, index.passages, starts)
        known = Known(index.owners, None, index.passages)
        return mine(candidates(plan), positives, cosines(asked, index.passages), known=known, scored_by="dense")

    return timed(work)


WORK: dict[str, Work] = {"mine": mining, "mine-lists": three_lists}

if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2]))
