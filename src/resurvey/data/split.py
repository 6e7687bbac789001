"""Leak-free splits and folds of judged queries.

Near-duplicate queries always stay on one side. Human labels serve evaluation first (about 200
queries), only the surplus trains; with few, nothing is set aside for selection and whatever is
fitted is cross-fitted. Knows nothing about files or retrieval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer

from resurvey.types import Document, Ints, Judgment, Qrels, Query, Scalar

EVALUATION_QUERIES = 200
ENOUGH_FOR_DEV = 300
SAME = 0.9
"""Cosine of the queries' TF-IDF word vectors from which they count as one."""
BLOCK = 2048


@dataclass(frozen=True, slots=True)
class Split:
    """Judgments by split name, and in words how they were divided and what that cannot show."""

    qrels: Mapping[str, Qrels]
    statement: str


def qrels_of(judgments: Sequence[Judgment]) -> dict[str, dict[str, int]]:
    """Judgments as {query: {document: grade}}, in the order they came."""
    qrels: dict[str, dict[str, int]] = {}
    for row in judgments:
        qrels.setdefault(row.query, {})[row.document] = row.grade
    return qrels


def positives(qrels: Qrels) -> dict[str, frozenset[str]]:
    """Relevant documents (grade 1 or more) of every query."""
    return {query: frozenset(d for d, grade in grades.items() if grade > 0) for query, grades in qrels.items()}


def unseen(qrels: Qrels, training: Qrels) -> frozenset[str]:
    """Queries none of whose relevant documents is relevant to any training query."""
    known = frozenset().union(*positives(training).values())
    return frozenset(query for query, relevant in positives(qrels).items() if not relevant & known)


def clusters(queries: Sequence[Query]) -> Ints:
    """Cluster number of every query: near-duplicates (the same words, however arranged) share one."""
    texts = [" ".join(re.findall(r"\w+", query.text.lower())) or query.text for query in queries]
    if len(texts) < 2:
        return np.zeros(len(texts), dtype=np.int64)
    words = TfidfVectorizer(token_pattern=r"\S+", dtype=np.float32)
    vectors = csr_array(words.fit_transform(texts))
    transposed = vectors.T.tocsr()
    left: list[Ints] = []
    right: list[Ints] = []
    for start in range(0, len(texts), BLOCK):
        near = (vectors[start : start + BLOCK] @ transposed).tocoo()
        close = near.data >= SAME
        left.append(near.row[close].astype(np.int64) + start)
        right.append(near.col[close].astype(np.int64))
    rows, columns = np.concatenate(left), np.concatenate(right)
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(len(texts), len(texts)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def folds(queries: Sequence[Query], count: int, seed: int) -> Ints:
    """Fold number (0 to count - 1) of every query; clusters stay whole, sizes even out."""
    owner = clusters(queries)
    _, sizes = np.unique(owner, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(count, dtype=np.int64)
    fold = np.zeros(len(sizes), dtype=np.int64)
    for cluster in order:
        fold[cluster] = int(np.argmin(filled))
        filled[fold[cluster]] += sizes[cluster]
    return fold[owner]


def split(qrels: Qrels, queries: Mapping[str, Query], seed: int, by: Mapping[str, Scalar] | None = None) -> Split:
    """Divide judged queries that came without a division.

    Args:
        by: for a split by time or sub-domain, the value of each document; the test side gets the
            latest values (numbers, ISO dates) or whole groups that training never sees.
    """
    judged = [query for query, relevant in positives(qrels).items() if relevant]
    tested = min(EVALUATION_QUERIES, len(judged) // 2)
    developed = min(EVALUATION_QUERIES, (len(judged) - tested) // 3) if len(judged) >= ENOUGH_FOR_DEV else 0
    owner = dict(zip(judged, clusters([queries[q] for q in judged]).tolist(), strict=True))
    whole = False
    if by:
        ranks, whole = _order_by_value(judged, qrels, by)
        owner = {query: int(ranks[query]) for query in judged} if whole else owner
    else:
        ranks = _order_by_chance(judged, qrels, seed, tested)
    sides = _fill(judged, owner, ranks, {"test": tested, "dev": developed}, overflow=whole)
    divided = {name: {q: qrels[q] for q in judged if sides[q] == name} for name in ("train", "dev", "test")}
    return Split({name: part for name, part in divided.items() if part}, _statement(divided, bool(by)))


def documents_by(documents: Sequence[Document], field: str) -> dict[str, Scalar]:
    """The value of a metadata field for every document that has it."""
    return {d.id: d.metadata[field] for d in documents if field in d.metadata}


def _order_by_chance(judged: Sequence[str], qrels: Qrels, seed: int, tested: int) -> dict[str, float]:
    """Test first. Half of the test side comes with whole documents, so that some of it is unseen."""
    rng = np.random.default_rng(seed)
    order = {query: 1.0 + place for place, query in enumerate(rng.permutation(sorted(judged)).tolist())}
    relevant = positives(qrels)
    asking: dict[str, list[str]] = {}
    for query in judged:
        for document in relevant[query]:
            asking.setdefault(document, []).append(query)
    taken: set[str] = set()
    for document in rng.permutation(sorted(asking)).tolist():
        if len(taken) >= tested // 2:
            break
        if len(asking[document]) <= max(1, tested // 8):
            taken.update(asking[document])
    return {query: 0.0 if query in taken else order[query] for query in judged}


def _order_by_value(judged: Sequence[str], qrels: Qrels, by: Mapping[str, Scalar]) -> tuple[dict[str, float], bool]:
    """Test first: latest values, or groups from the smallest up; and whether groups must stay whole."""
    value = {q: next((by[d] for d in sorted(positives(qrels)[q]) if d in by), None) for q in judged}
    present = [v for v in value.values() if v is not None]
    numbers = all(isinstance(v, int | float) for v in present)
    ordered = numbers or all(isinstance(v, str) and re.match(r"\d{4}-\d\d", v) for v in present)
    sizes = {v: present.count(v) for v in set(present)}
    values = sorted(sizes, reverse=True) if ordered else sorted(sizes, key=lambda v: (sizes[v], str(v)))
    place = {v: float(i) for i, v in enumerate(values)}
    return {q: float(len(place)) if v is None else place[v] for q, v in value.items()}, not ordered


def _fill(
    judged: Sequence[str],
    owner: Mapping[str, int],
    ranks: Mapping[str, float],
    wanted: Mapping[str, int],
    *,
    overflow: bool,
) -> dict[str, str]:
    """Hand out whole clusters in the order of `ranks`: to test until full, to dev, the rest to train.

    With `overflow` the first one tests whatever its size, unless it is the only one: a group that is
    larger than the test side should be is still better held out than torn.
    """
    members: dict[int, list[str]] = {}
    for query in sorted(judged, key=lambda q: (ranks[q], q)):
        members.setdefault(owner[query], []).append(query)
    room = dict(wanted)
    sides: dict[str, str] = {}
    for group in members.values():
        side = next((name for name, left in room.items() if left >= len(group)), "train")
        if overflow and not sides and len(members) > 1:
            side = "test"
        if side != "train":
            room[side] -= len(group)
        sides.update(dict.fromkeys(group, side))
    return sides


def _statement(divided: Mapping[str, Qrels], by_value: bool) -> str:
    train, dev, test = (len(divided[name]) for name in ("train", "dev", "test"))
    fresh = len(unseen(divided["test"], divided["train"]))
    how = "by the field you named" if by_value else "by query"
    parts = [
        f"Split here {how}, near-duplicate queries kept on one side: "
        f"{train} train, {dev} dev, {test} test ({fresh} of them with documents unseen in training)."
    ]
    if not dev:
        parts.append("Too few labels for a dev side: selection is cross-fitted on the training side.")
    if test < EVALUATION_QUERIES:
        parts.append(f"A test side of {test} queries shows only large differences.")
    return " ".join(parts)
