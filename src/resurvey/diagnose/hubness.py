"""Hubness (R12): documents that turn up in everybody's results, and those that never do.

Knows a run; knows nothing about judgments (Radovanović, Nanopoulos and Ivanović, JMLR 2010).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import skew

from resurvey.data.duplicates import LIKE, jaccard, shingles
from resurvey.diagnose.levels import finding
from resurvey.types import Document, Doubles, Finding, Interval, Json, Run

TOP = 10
SHARE = 0.2
LEAST_QUERIES = 100
SHOWN = 20
STEPS = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500)
"""Lower ends of the bins in which occurrences are counted."""


def appearances(run: Run) -> Counter[str]:
    """In how many top-10 lists every document is."""
    return Counter(document for ranking in run.rankings.values() for document in ranking.documents[:TOP])


def is_hub(lists: int, run: Run) -> bool:
    """Whether a document in so many of a run's top-10 lists is a hub."""
    return lists > SHARE * max(1, len(run))


def hub_finding(run: Run, documents: Sequence[Document], centred: Run | None = None) -> Finding:
    """R12: documents in more than 20 of 100 top-10 lists, with skewness, orphans and the Robin Hood index beside.

    The Robin Hood index (Feldbauer et al. 2018) is the share of all places in top-10 lists that would have to go to
    other documents for all to have equally many. Hubs that are near-duplicates are structural: data, not geometry.

    Args:
        centred: what the same queries find where the vectors' mean is taken off; shown beside.
    """
    counts = appearances(run)
    occurrences = _occurrences(counts, documents)
    lists = max(1, len(run))
    hubs = [(id, n) for id, n in counts.most_common() if is_hub(n, run)]
    titles = {document.id: document.title or document.text[:60] for document in documents}
    orphans = float((occurrences == 0).mean())
    uneven = float(np.abs(occurrences - occurrences.mean()).sum() / max(1.0, 2 * occurrences.sum()))
    lengths = {document.id: len(document.full_text.split()) for document in documents}
    usual, ours = float(np.median(list(lengths.values()))), [lengths[id] for id, _ in hubs]
    shown = {id for id, _ in hubs[:SHOWN]}
    copies = _alike([document for document in documents if document.id in shown])
    skewness = _skewness(occurrences)
    named = ", ".join(f"'{titles[id][:40]}'" for id, _ in hubs[:3])
    reading = f"{len(hubs)} documents are in more than 20 % of {lists:,} top-10 lists{': ' + named if named else ''}; skewness {skewness:.1f}, {100 * orphans:.0f} % never appear; {100 * uneven:.0f} % of the places would have to change hands for all to appear alike."
    if hubs:
        reading += f" Hubs have {np.median(ours):.0f} words, documents {usual:.0f}."
    if copies:
        reading += f" {copies} of the hubs are near-duplicates of another."
    after = _after(centred, documents) if centred else {}
    if after:
        reading += f" Centred, {after['hubs']} and skewness {after['skewness']:.1f}."
    if lists < LEAST_QUERIES:
        reading += (
            f" {lists} queries are fewer than the {LEAST_QUERIES} this needs: {LEAST_QUERIES - lists} more would tell."
        )
    around, needed = _sure(counts, lists)
    chance = TOP / max(1, len(documents))
    if chance > SHARE / 4:
        reading += f" In so small a corpus chance alone puts every document in {100 * chance:.0f} % of them, so this says nothing."
    return finding(
        "R12-hubs", float(len(hubs)), around, reading, known=lists >= LEAST_QUERIES and chance <= SHARE / 4,
        queries=lists, needed=needed,
        hubs=[{"document": id, "title": titles[id], "lists": n} for id, n in hubs[:SHOWN]], skewness=skewness, orphans=orphans, robin_hood=uneven, near_duplicates=copies, centred=after,
        occurrences={str(low): int(((occurrences >= low) & (occurrences < high)).sum()) for low, high in zip(STEPS, (*STEPS[1:], np.inf), strict=True)},
    )  # fmt: skip


def _sure(counts: Counter[str], lists: int) -> tuple[Interval, float]:
    """Documents that are hubs and those that may be, by the 95 % interval of each one's share (Wilson 1927); and the
    lists that would tell the nearest of those in between."""
    found = np.array(list(counts.values()), dtype=np.float64)
    shares, z = found / lists, 1.96
    middle = (shares + z * z / (2 * lists)) / (1 + z * z / lists)
    wide = z * np.sqrt(shares * (1 - shares) / lists + z * z / (4 * lists * lists)) / (1 + z * z / lists)
    surely, perhaps = middle - wide > SHARE, middle + wide > SHARE
    between = shares[perhaps & ~surely]
    gap = np.abs(between - SHARE).min() if len(between) else 0.0
    needed = float(z * z * SHARE * (1 - SHARE) / gap**2) if gap else np.inf if len(between) else 0.0
    return Interval(float(surely.sum()), float(perhaps.sum())), needed


def _after(run: Run, documents: Sequence[Document]) -> Json:
    """Hubs and skewness of another run over the same documents."""
    counts = appearances(run)
    hubs = sum(is_hub(lists, run) for lists in counts.values())
    return {"hubs": hubs, "skewness": _skewness(_occurrences(counts, documents))}


def _occurrences(counts: Counter[str], documents: Sequence[Document]) -> Doubles:
    """(documents,): in how many lists each is, those in none among them."""
    return np.array([counts.get(document.id, 0) for document in documents], dtype=np.float64)


def _skewness(occurrences: Doubles) -> float:
    return float(skew(occurrences)) if np.ptp(occurrences) > 0 else 0.0


def _alike(hubs: Sequence[Document]) -> int:
    """How many of them share most word triples with another one."""
    texts = [shingles(document.full_text) for document in hubs]
    found = {
        place
        for place, text in enumerate(texts)
        for other, its in enumerate(texts)
        if place != other and jaccard(text, its) >= LIKE
    }
    return len(found)
