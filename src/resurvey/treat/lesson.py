"""From a trial to a lesson: judged queries with the passages that answer them, mined negatives, and who is asked.

Negatives come from words, vectors and both fused, in the space of the state that the ladder stands on. Knows nothing
about how weights learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from resurvey.data.split import clusters, folds
from resurvey.search.analyse import identifiers
from resurvey.search.candidates import InPassages, Near, Plan, Searched, best_passages, candidates
from resurvey.search.fuse import ReciprocalRank
from resurvey.search.index import Index
from resurvey.train.examples import JUDGMENT, Examples
from resurvey.train.task import HeldOut, Task
from resurvey.treat.attempt import State
from resurvey.treat.mine import cosines, in_passages, mine
from resurvey.treat.negatives import Known, Mined, Positives, Rules
from resurvey.treat.trial import Trial
from resurvey.types import Ints, Query

DEPTH = 50
"""Candidates of each source among which negatives are looked for."""
NUMBER = 8
ASKED = 250
"""Queries that say when to stop and how far to go, at most."""
PARTS = 5
"""Those queries are one part of so many, where there are few."""
AMONG = 400
"""Passages among which they must find theirs."""
NONE = Examples()
RIVALS = 10
"""Candidates of each held-out query that are surely among those."""


def task_of(
    trial: Trial, state: State, judged: Sequence[Query], kin: Ints, more: Examples = NONE
) -> tuple[Task, Mined]:
    """What judged queries teach, and examples beside them, with what mining found and why.

    Args:
        kin: what `kindred` says of every passage of the index.
    """
    index = trial.builder.of(state.dense)
    more = Examples(tuple(row for row in more if row.document in index.rows))
    queries = [*judged, *(Query(f"example {place}", row.query) for place, row in enumerate(more))]
    vectors = index.vectors.vectors([query.text for query in queries], "query", trial.progress)
    starts = np.append(index.starts, len(index.owners))
    answers = [
        *(sorted(index.rows[d] for d, g in trial.qrels[q.id].items() if g > 0 and d in index.rows) for q in judged),
        *([index.rows[row.document]] for row in more),
    ]
    positives = in_passages(_positives(answers), vectors, index.passages, starts)
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
        Rules(number=NUMBER, depth=DEPTH, near=None), known=Known(clusters=kin), scored_by="dense",
    )  # fmt: skip
    return _with_sources(_compact(index, queries, positives, mined, kin), index, more), mined


def _positives(rows: Sequence[Sequence[int]]) -> Positives:
    """Rows that answer each query, as mining takes them."""
    offsets = np.cumsum([0, *map(len, rows)])
    return Positives(offsets, np.array([row for found in rows for row in found], dtype=np.int64))


def _compact(index: Index, queries: Sequence[Query], positives: Positives, mined: Mined, kin: Ints) -> Task:
    """The task over those passages alone that play a part in it."""
    used = np.unique(np.concatenate([positives.rows, mined.negatives[mined.negatives >= 0]]))

    def places(rows: Ints) -> tuple[int, ...]:
        return tuple(np.searchsorted(used, rows).tolist())

    answers = [positives.rows[a:b] for a, b in zip(positives.offsets[:-1], positives.offsets[1:], strict=True)]
    texts = index.cut.texts
    return Task(
        tuple(query.text for query in queries), tuple(texts[row] for row in used),
        tuple(map(places, answers)), tuple(places(row[row >= 0]) for row in mined.negatives), tuple(kin[used].tolist()),
    )  # fmt: skip


def _with_sources(task: Task, index: Index, more: Examples) -> Task:
    """The task with each query's source; what a query was lifted from is hidden where it is asked (R61)."""
    if not len(more):
        return task
    passages, kin, positives = list(task.passages), list(task.kin), list(task.positives)
    judged = len(task.queries) - len(more)
    documents = index.documents
    for place, row in enumerate(more, judged):
        start, end = row.lifted
        span = documents[index.rows[row.document]].full_text[start:end]
        for answer in task.positives[place] if span else ():
            if span in task.passages[answer] and (left := task.passages[answer].replace(span, " ", 1)).strip():
                positives[place] = (len(passages),)
                passages.append(left.strip())
                kin.append(task.kin[answer])
    sources = (*(JUDGMENT,) * judged, *(row.provenance for row in more))
    return replace(task, passages=tuple(passages), kin=tuple(kin), positives=tuple(positives), sources=sources)


def alike(index: Index) -> Ints:
    """A label for every passage, shared by those of the same words and the same codes, numbers and dotted names.

    By words, not by vectors: what an encoder cannot tell apart is what it must learn to (R60).
    """
    texts = index.cut.texts
    same = clusters([Query("", text) for text in texts]).tolist()
    labels: dict[tuple[int, frozenset[str]], int] = {}
    codes = (frozenset(identifiers(text, index.language)) for text in texts)
    return np.array([labels.setdefault(key, len(labels)) for key in zip(same, codes, strict=True)], dtype=np.int64)


def kindred(owners: Ints, labels: Ints) -> Ints:
    """A label for every passage: its document's, shared by all documents that have a passage alike.

    Args:
        owners: the document of every passage.
        labels: what `alike` says of every passage.
    """
    edges = np.unique(owners, return_inverse=True)[1], np.unique(labels, return_inverse=True)[1]
    documents = 1 + int(edges[0].max(initial=-1))
    nodes = documents + 1 + int(edges[1].max(initial=-1))
    graph = coo_array((np.ones(len(owners), dtype=np.int8), (edges[0], documents + edges[1])), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1][edges[0]], dtype=np.int64)


def parted(queries: Sequence[Query], seed: int) -> tuple[list[Query], list[Query]]:
    """Queries that teach, and those that say when to stop: a fifth, `ASKED` at most; near-duplicates stay together."""
    fold = folds(queries, max(PARTS, len(queries) // ASKED), seed)
    taught, asked = np.flatnonzero(fold), np.flatnonzero(fold == 0)
    return [queries[int(place)] for place in taught], [queries[int(place)] for place in asked]


def held_out_of(trial: Trial, state: State, queries: Sequence[Query]) -> HeldOut:
    """Queries, and the passages among which they must find theirs: answers and their rivals."""
    rng = np.random.default_rng(trial.settings.integer("seed"))
    index = trial.builder.of(state.dense)
    vectors = index.vectors.vectors([query.text for query in queries], "query", trial.progress)
    starts = np.append(index.starts, len(index.owners))
    runs = [trial.builder.node({**node, "depth": DEPTH}).search(queries) for node in (state.dense, state.lexical)]
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
