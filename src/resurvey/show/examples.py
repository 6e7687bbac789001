"""Ten queries before and after: what was found, what is found now, and which passages moved.

Knows what pipelines returned for held-out queries; knows nothing about how they were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from resurvey.promote.registry import Ranked
from resurvey.show.snippet import snippet
from resurvey.types import Document, Json, Qrels

WON, LOST, FAILING = 5, 2, 3
SHOWN = 3
REACHED = 10
LONGEST_TITLE = 100


def examples(
    was: Ranked, now: Ranked, qrels: Qrels, asked: Mapping[str, str], documents: Mapping[str, Document], language: str
) -> list[Json]:
    """The queries of `asked` that won most, lost most, and those that still fail, with what stands where."""
    once = {text: query for query, text in reversed(list(asked.items()))}  # two ids may ask the same
    queries = tuple(query for query, text in asked.items() if once[text] == query)
    chosen = _chosen(queries, [_moved(was.first[query], now.first[query]) for query in queries], now.first)
    return [
        {
            "kind": kind,
            "query": asked[query],
            "before": {"rank": was.first[query], "top": [_shown(d, query, qrels, documents) for d in was.top.get(query, ())[:SHOWN]]},
            "after": {"rank": now.first[query], "top": [_shown(d, query, qrels, documents) for d in now.top.get(query, ())[:SHOWN]]},
            "right": [
                {"title": _title(documents[d]), "snippet": snippet(documents[d], asked[query], language)}
                for d in [d for d, grade in qrels[query].items() if grade > 0 and d in documents][:2]
            ],
        }
        for kind, query in chosen
    ]  # fmt: skip


def _chosen(queries: Sequence[str], gains: Sequence[float], first: Mapping[str, int]) -> list[tuple[str, str]]:
    order = np.argsort(np.array(gains), kind="stable")
    won = [queries[place] for place in order[::-1] if gains[place] > 0][:WON]
    lost = [queries[place] for place in order if gains[place] < 0][:LOST]
    rest = [q for q in queries if q not in {*won, *lost} and not 0 < first[q] <= REACHED]
    step = max(1, len(rest) // FAILING)
    failing = rest[::step][: WON + LOST + FAILING - len(won) - len(lost)]
    named = (("won", won), ("lost", lost), ("still failing", failing))
    return [(kind, query) for kind, group in named for query in group]


def _moved(old: int, new: int) -> float:
    """How much nearer to the top the first right document came: the gain of its reciprocal rank."""
    return (1 / new if new else 0.0) - (1 / old if old else 0.0)


def _shown(id: str, query: str, qrels: Qrels, documents: Mapping[str, Document]) -> Json:
    title = _title(documents[id]) if id in documents else id
    return {"document": id, "title": title, "right": qrels[query].get(id, 0) > 0}


def _title(document: Document) -> str:
    title = " ".join((document.title or document.text).split()).lstrip("# ")
    return title if len(title) <= LONGEST_TITLE else f"{title[:LONGEST_TITLE]}…"
