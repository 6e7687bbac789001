"""The round trip: a query made from a document must find it again, and must not find it too easily.

A query that its own document does not answer teaches what is wrong (Dai et al., ICLR 2023); one that every branch
of the search puts first, with hardly a word that the document lacks, teaches nothing. Knows a search function only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from resurvey.types import Query, Ranking, Run

Search: TypeAlias = Callable[[Sequence[Query]], Run]
BRANCHES = ("lexical", "dense")
NEAR_TOTAL = 0.9
"""Share of a query's words in what the model will be shown, from which it may be too easy."""
KEPT, NOT_FOUND, TOO_EASY = "", "not found", "too easy"
PART = 512
"""Queries that are searched together; their rankings are forgotten before the next ones."""


def verdicts(
    texts: Sequence[str], documents: Sequence[str], overlaps: Sequence[float], search: Search, top: int
) -> list[str]:
    """KEPT, NOT_FOUND or TOO_EASY for every query, whose document is parallel to it.

    Args:
        overlaps: share of each query's words that the text shown in training has.
        top: the rank down to which a document counts as found.
    """
    found: list[str] = []
    for start in range(0, len(texts), PART):
        asked = [Query(f"made-{place}", text) for place, text in enumerate(texts[start : start + PART], start)]
        run = search(asked)
        for place, query in enumerate(asked, start):
            found.append(_verdict(run.rankings.get(query.id), documents[place], overlaps[place], top))
    return found


def _verdict(ranking: Ranking | None, document: str, overlap: float, top: int) -> str:
    seen = list(ranking.documents[:top]) if ranking is not None else []
    if ranking is None or document not in seen:
        return NOT_FOUND
    place = seen.index(document)
    ranks = [int(ranking.stages[name].ranks[place]) for name in BRANCHES if name in ranking.stages]
    first = place == 0 and all(rank == 1 for rank in ranks)
    return TOO_EASY if first and overlap >= NEAR_TOTAL else KEPT
