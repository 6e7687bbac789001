"""Prompts (R06): what an encoder wants before queries and passages, and what leaving that out costs on judged queries.

Measured on a sample: some judged queries among their answers and random others. Knows encoders; nothing about how they
are used elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from resurvey.evaluate.compare import compare
from resurvey.evaluate.measures import NDCG, Scores, score_mapping
from resurvey.protocols import Encoder
from resurvey.types import Comparison, Document, Qrels, Query

LEAST, MOST = 10, 60
"""Judged queries without which nothing is measured, and those that are asked at most."""
AMONG = 600
"""Documents among which they must find theirs."""
SEARCH = "Represent this sentence for searching relevant passages: "
KNOWN: Mapping[str, tuple[str, str]] = {
    "e5": ("query: ", "passage: "),
    "bge": (SEARCH, ""),
    "gte-qwen": ("Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ", ""),
    "instructor": ("Represent the question for retrieving supporting documents: ", "Represent the document for retrieval: "),
    "nomic": ("search_query: ", "search_document: "),
    "arctic": (SEARCH, ""),
}  # fmt: skip
"""A part of an encoder's name to the prompts that its model card asks for, before a query and before a passage."""


def wanted(name: str) -> tuple[str, tuple[str, str]] | None:
    """The family and prompts of an encoder whose name tells that it was trained with some."""
    return next(((family, prompts) for family, prompts in KNOWN.items() if family in name.lower()), None)


def gain(
    bare: Encoder, prompted: Encoder, queries: Sequence[Query], qrels: Qrels, documents: Sequence[Document], seed: int
) -> Comparison | None:
    """NDCG@10 with prompts minus without, on a sample; None where fewer than `LEAST` queries have an answer here."""
    rng = np.random.default_rng(seed)
    there = {document.id: document for document in documents}
    answered = [query for query in queries if any(g > 0 and d in there for d, g in qrels[query.id].items())]
    if len(answered) < LEAST:
        return None
    asked = [answered[place] for place in np.sort(rng.permutation(len(answered))[:MOST])]
    needed = {d for query in asked for d, grade in qrels[query.id].items() if grade > 0 and d in there}
    others = [documents[place] for place in rng.permutation(len(documents)) if documents[place].id not in needed]
    among = [*(there[id] for id in sorted(needed)), *others[: max(0, AMONG - len(needed))]]
    truth = {query.id: dict(qrels[query.id]) for query in asked}
    without, along = (_scores(name, e, asked, among, truth) for name, e in (("bare", bare), ("prompted", prompted)))
    return compare(without, along, seed=seed)


def said(found: Comparison | None) -> str:
    """What they bring, in words."""
    if found is None:
        return f"fewer than {LEAST} judged queries, so nobody knows here what they bring"
    low, high = 100 * found.interval.low, 100 * found.interval.high
    return (
        f"with them {100 * found.difference:+.1f} points of NDCG@10 ({low:+.1f} to {high:+.1f}) on a sample of "
        f"{found.queries} queries"
    )


def _scores(
    name: str,
    encoder: Encoder,
    queries: Sequence[Query],
    among: Sequence[Document],
    truth: Mapping[str, dict[str, int]],
) -> Scores:
    similar = (
        encoder.encode([query.text for query in queries], "query")
        @ encoder.encode([document.full_text for document in among], "passage").T
    )
    run = {
        query.id: {document.id: float(score) for document, score in zip(among, row, strict=True)}
        for query, row in zip(queries, similar, strict=True)
    }
    found = score_mapping(name, run, truth, [NDCG])[NDCG]
    return Scores(name, found.measure, found.queries, found.values)
