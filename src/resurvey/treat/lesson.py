"""From a trial to a lesson: judged queries with the passages that answer them, mined negatives, and who is asked.

Negatives come from words, vectors and both fused, in the space of the state that the ladder stands on. Knows nothing
about how weights learn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resurvey.search.candidates import InPassages, Near, Plan, Searched, best_passages, candidates
from resurvey.search.fuse import ReciprocalRank
from resurvey.search.index import Index
from resurvey.train.task import HeldOut, Task
from resurvey.treat.attempt import State
from resurvey.treat.mine import cosines, in_passages, mine
from resurvey.treat.negatives import Known, Mined, Positives, Rules
from resurvey.treat.trial import Trial
from resurvey.types import Floats, Ints, Query

DEPTH = 50
"""Candidates of each source among which negatives are looked for."""
NUMBER = 8
ASKED = 250
"""Held-out queries that say when to stop and how far to go."""
AMONG = 700
"""Passages among which they must find theirs."""
RIVALS = 10
"""Candidates of each held-out query that are surely among those."""


def task_of(trial: Trial, state: State, queries: Sequence[Query]) -> tuple[Task, Mined]:
    """What judged queries teach, with what mining found and why."""
    index = trial.builder.of(state.dense)
    vectors = index.vectors.vectors([query.text for query in queries], "query", trial.progress)
    starts = np.append(index.starts, len(index.owners))
    positives = in_passages(_answers(trial, index, queries), vectors, index.passages, starts)
    plan = Plan(
        (
            Near("dense", index.nearest("passages", asked=vectors), vectors, DEPTH),
            InPassages(
                Searched("lexical", trial.builder.node({**state.lexical, "depth": DEPTH}), queries, index.rows),
                vectors, index.passages, starts,
            ),
        ), len(queries), ReciprocalRank(), DEPTH,
    )  # fmt: skip
    mined = mine(
        candidates(plan, progress=trial.progress), positives, cosines(vectors, index.passages),
        Rules(number=NUMBER, depth=DEPTH), known=Known(documents=index.owners, passages=index.passages), scored_by="dense",
    )  # fmt: skip
    return _compact(index, queries, positives, mined), mined


def _answers(trial: Trial, index: Index, queries: Sequence[Query]) -> Positives:
    """The rows of the documents that answer each query."""
    rows = [
        sorted(index.rows[d] for d, grade in trial.qrels[query.id].items() if grade > 0 and d in index.rows)
        for query in queries
    ]
    offsets = np.cumsum([0, *map(len, rows)])
    return Positives(offsets, np.array([row for found in rows for row in found], dtype=np.int64))


def _compact(index: Index, queries: Sequence[Query], positives: Positives, mined: Mined) -> Task:
    """The task over those passages alone that play a part in it."""
    used = np.unique(np.concatenate([positives.rows, mined.negatives[mined.negatives >= 0]]))
    kin = kindred(index, used)

    def places(rows: Ints) -> tuple[int, ...]:
        return tuple(np.searchsorted(used, rows).tolist())

    answers = [positives.rows[a:b] for a, b in zip(positives.offsets[:-1], positives.offsets[1:], strict=True)]
    texts = index.cut.texts
    return Task(
        tuple(query.text for query in queries), tuple(texts[row] for row in used),
        tuple(map(places, answers)), tuple(places(row[row >= 0]) for row in mined.negatives), tuple(kin.tolist()),
    )  # fmt: skip


def kindred(index: Index, rows: Ints, near: float = 0.97) -> Ints:
    """A label for each passage row: its document's, shared with those of which a passage is all but the same."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    vectors: Floats = index.passages[rows]
    pairs: list[Ints] = []
    for start in range(0, len(rows), 1024):
        one, other = np.nonzero(vectors[start : start + 1024] @ vectors.T >= near)
        pairs.append(np.stack([one + start, other]).astype(np.int64))
    joined = np.concatenate(pairs, axis=1)
    documents, labels = np.unique(index.owners[rows], return_inverse=True)
    edges = labels[joined[0]], labels[joined[1]]
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(len(documents),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1][labels], dtype=np.int64)


def held_out_of(trial: Trial, state: State, places: Ints) -> HeldOut:
    """Some of the queries at `places`, and the passages among which they must find theirs: answers and their rivals."""
    rng = np.random.default_rng(trial.settings.integer("seed"))
    chosen = np.sort(rng.choice(places, min(ASKED, len(places)), replace=False))
    queries = [trial.queries[place] for place in chosen]
    index = trial.builder.of(state.dense)
    vectors = index.vectors.vectors([query.text for query in queries], "query", trial.progress)
    starts = np.append(index.starts, len(index.owners))
    runs = [trial.run(state.dense), trial.run(state.lexical)]
    needed, rivals = set[int](), set[int]()
    for query, vector in zip(queries, vectors, strict=True):
        answers = [d for d, grade in trial.qrels[query.id].items() if grade > 0]
        others = [d for run in runs for d in run[query.id].documents[:RIVALS]]
        for documents, found in ((answers, needed), (others, rivals)):
            rows = np.array(sorted({index.rows[d] for d in documents if d in index.rows}), dtype=np.int64)
            found.update(best_passages(vector, rows, index.passages, starts).tolist())
    left = rng.permutation(sorted(rivals - needed))[: max(0, AMONG - len(needed))]
    among = np.array(sorted({*needed, *left.tolist()}), dtype=np.int64)
    texts, passages = index.cut.texts, index.cut.passages
    return HeldOut(
        tuple(query.text for query in queries), tuple(texts[row] for row in among),
        tuple(passages[row].document for row in among), tuple(dict(trial.qrels[query.id]) for query in queries),
    )  # fmt: skip
