"""Scores (R10): whether a cosine says that a passage is relevant, and whether it says so for narrow and broad queries alike.

Knows cosines and judgments; knows nothing about what made them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from resurvey.diagnose.geometry import EDGES
from resurvey.diagnose.levels import finding
from resurvey.evaluate.calibration import auc
from resurvey.evaluate.compare import interval
from resurvey.types import Finding, Floats, Json, Qrels, Query

RANDOM_PASSAGES = 200
TOP = 10
CLEAR = 0.99
"""AUC above which a query's scores tell relevant passages from random ones nearly always."""
LEAST_THIRD = 10
"""Queries that a third must have for narrow and broad ones to be told apart."""


def separation_finding(
    queries: Sequence[Query],
    qrels: Qrels,
    similar: Floats,
    rows: Mapping[str, int],
    narrowness: Mapping[str, float],
    *,
    seed: int,
    known: bool,
) -> Finding:
    """R10: per query, how often a relevant document scores above a random one (AUC), and how far both overlap.

    Args:
        similar: (queries, documents) cosines.
        rows: the column of every document id.
        narrowness: per query, how rare its words are here; queries without one belong to no third.
    """
    rng = np.random.default_rng(seed)
    values: list[float] = []
    cosines: dict[str, list[Floats]] = {"relevant": [], "judged irrelevant": [], "random": []}
    for place, query in enumerate(queries):
        judged = {rows[document]: grade for document, grade in qrels[query.id].items()}
        right = [column for column, grade in judged.items() if grade > 0]
        others = np.setdiff1d(rng.integers(0, similar.shape[1], RANDOM_PASSAGES), right)
        if not right or not len(others):
            continue
        values.append(auc(similar[place, right], similar[place, others]))
        wrong = [column for column, grade in judged.items() if grade == 0]
        for name, columns in (("relevant", right), ("judged irrelevant", wrong), ("random", others)):
            cosines[name].append(similar[place, columns])
    aucs = np.array(values)
    if not len(aucs):
        title, nothing = "Relevant against random passages", "No judged query to measure it on."
        return Finding("R10-separation", title, None, "AUC", None, "unknown", nothing)
    histograms = _histograms(cosines)
    overlap = _overlap(histograms["relevant"], histograms["random"])
    reading = (
        f"A relevant document scores above a random one {100 * aucs.mean():.1f} % of the time; nearly always for "
        f"{100 * float(np.mean(aucs > CLEAR)):.0f} % of the queries. {100 * overlap:.0f} % of their cosines overlap."
    )
    thirds = _thirds(queries, similar, narrowness)
    if thirds:
        narrow, broad = thirds["narrow"], thirds["broad"]
        reading += (
            f" Narrow queries reach {narrow['first']:.2f} and fall by {narrow['fall']:.2f} to the tenth document, broad "
            f"ones {broad['first']:.2f} and {broad['fall']:.2f}."
        )
    return finding(
        "R10-separation", float(aucs.mean()), interval(aucs), reading, queries=len(aucs), known=known, overlap=overlap,
        lowest=np.sort(aucs)[:5].tolist(), edges=EDGES.tolist(), histograms=histograms, thirds=thirds,
    )  # fmt: skip


def _thirds(queries: Sequence[Query], similar: Floats, narrowness: Mapping[str, float]) -> Json:
    """The third of the queries whose words are rarest and the third whose are commonest: the best cosine, and its fall.

    Where both fall alike, scores say nothing about how sure the search is.
    """
    told = [place for place, query in enumerate(queries) if query.id in narrowness]
    third = len(told) // 3
    if third < LEAST_THIRD or similar.shape[1] < TOP:
        return {}
    order = sorted(told, key=lambda place: (-narrowness[queries[place].id], queries[place].id))
    found: Json = {}
    for name, places in (("narrow", order[:third]), ("broad", order[-third:])):
        best = np.sort(similar[places], axis=1)[:, -TOP:]
        found[name] = {
            "queries": third,
            "first": float(best[:, -1].mean()),
            "fall": float((best[:, -1] - best[:, 0]).mean()),
            "example": queries[places[0 if name == "narrow" else -1]].text,
        }
    return found


def _overlap(one: Sequence[int], other: Sequence[int]) -> float:
    """Area that two histograms of area 1 share: 0 where they are apart, 1 where they are alike."""
    first, second = (np.array(counts, dtype=np.float64) / max(1, sum(counts)) for counts in (one, other))
    return float(np.minimum(first, second).sum())


def _histograms(cosines: Mapping[str, Sequence[Floats]]) -> dict[str, list[int]]:
    """Counts over `EDGES` of every group that has any cosine."""
    return {
        name: np.histogram(np.clip(np.concatenate(found), -1, 1), bins=EDGES)[0].tolist()
        for name, found in cosines.items()
        if sum(map(len, found))
    }
