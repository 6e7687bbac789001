"""Retrieval (R16 to R19): what BM25 adds and where, what limits the result, how good it is.

Knows runs and judgments; knows nothing about texts beyond a test for literal tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from resurvey.diagnose.levels import finding
from resurvey.evaluate.compare import interval
from resurvey.evaluate.measures import NDCG, RECALL, Scores, first_relevant, score
from resurvey.search.analyse import is_literal, words
from resurvey.types import Doubles, Finding, Qrels, Query, Run

RARE_SHARE = 0.001
RARE_LEAST = 2
NEAR_TOP = 20
DEPTH = 100
LEAST_BUCKET = 10
LIFT = 1.0
"""Points that words must be able to add for it to be called a lift."""
WHERE = {
    "alone": "There is nothing to compare with.",
    "nowhere": "No lift where rare tokens are: look elsewhere.",
    "unknown": "Whether words add anything there, so few queries cannot tell.",
    "rare": "The lift is where the rare tokens are: hybrid first.",
    "everywhere": "The lift is everywhere: training carries more than hybrid.",
    "open": "Whether it is only there, so few queries cannot tell.",
}
"""What it means where the lift is."""
SMALL = 5 * DEPTH
"""In a corpus of fewer documents, being among the first hundred says nothing."""


def rare_queries(queries: Sequence[Query], holds: Callable[[str], int], passages: int, language: str) -> frozenset[str]:
    """Queries with a literal token, or a word that few passages hold (2, or 1 in 1,000 if that is more).

    The article's rule, the lowest fifth of document frequencies, marks nearly every query of a
    small corpus.

    Args:
        holds: how many passages hold a stem.
        passages: how many there are.
    """
    few = max(RARE_LEAST, RARE_SHARE * passages)
    return frozenset(
        query.id
        for query in queries
        if any(map(is_literal, query.text.lower().split()))
        or any(0 < holds(stem) <= few for stem in words(query.text, language))
    )


def narrowness(queries: Sequence[Query], holds: Callable[[str], int], passages: int, language: str) -> dict[str, float]:
    """Per query, the mean of log(passages / those that hold the word) over its words that are here at all."""
    found = {}
    for query in queries:
        here = [count for stem in words(query.text, language) if (count := holds(stem))]
        if here:
            found[query.id] = float(np.mean(np.log(passages / np.array(here))))
    return found


def retrieval_findings(
    runs: Mapping[str, Run], queries: Sequence[Query], qrels: Qrels, rare: frozenset[str], known: bool, documents: int
) -> list[Finding]:
    """R16 to R19 from the runs `lexical`, `dense` and `fused` over the same judged queries."""
    asked = {query.id: qrels[query.id] for query in queries}
    ndcg = {name: score(run, asked, [NDCG])[NDCG] for name, run in runs.items()}
    recall = score(runs["dense"], asked, [RECALL])[RECALL]
    lift = 100 * (ndcg["fused"].values - ndcg["dense"].values)
    return [
        _quality(ndcg, known),
        _lift(lift, runs, asked, known),
        _bucket_lift(lift, ndcg["dense"].queries, rare, known),
        _recall(recall, known, documents),
        _ranking(runs["dense"], asked, known),
    ]


def _quality(ndcg: Mapping[str, Scores], known: bool) -> Finding:
    dense = ndcg["dense"]
    means = {name: round(found.mean, 4) for name, found in ndcg.items()}
    reading = f"NDCG@10 {dense.mean:.3f} over {len(dense.values):,} queries; BM25 {ndcg['lexical'].mean:.3f}, RRF of both {ndcg['fused'].mean:.3f}."
    return finding(
        "R19-quality", dense.mean, interval(dense.values), reading, queries=len(dense.values), known=known, means=means
    )


def _lift(lift: Doubles, runs: Mapping[str, Run], asked: Qrels, known: bool) -> Finding:
    ranks = {name: _mean_rank(run, asked) for name, run in runs.items()}
    reading = (
        f"RRF changes dense by {lift.mean():+.1f} points; mean rank of the first right document: "
        + ", ".join(f"{name} {rank:.1f}" for name, rank in ranks.items())
        + "."
    )
    around = interval(lift)
    if around.high < 0:
        reading += f" Do not fuse with equal weights: it harms here, by {-around.high:.1f} to {-around.low:.1f} points."
    return finding("R16-lift", float(lift.mean()), around, reading, queries=len(lift), known=known, mean_rank=ranks)


def _bucket_lift(lift: Doubles, queries: Sequence[str], rare: frozenset[str], known: bool) -> Finding:
    inside = np.array([query in rare for query in queries], dtype=bool)
    some, rest = lift[inside], lift[~inside]
    beside = f"{_signed(rest)} over the other {len(rest):,}" if len(rest) else "there are no others"
    title, unit = "The same where queries hold literal or rare tokens", "points of NDCG@10"
    if len(some) < LEAST_BUCKET:
        lacking = LEAST_BUCKET - len(some)
        reading = f"Only {len(some)} queries hold literal or rare tokens, too few to measure (at least {lacking} more would be needed); {beside}."
        return Finding("R17-literal-lift", title, None, unit, None, "unknown", reading)
    where = _where(some, rest)
    reading = f"{_signed(some)} points over {len(some):,} queries with literal or rare tokens, {beside}. {WHERE[where]}"
    around = interval(rest) if len(rest) > 1 else None
    return finding(
        "R17-literal-lift", float(some.mean()), interval(some), reading, queries=len(some), of="queries with such tokens",
        known=known and len(rest) >= LEAST_BUCKET, where=where, rest=float(rest.mean()) if len(rest) else None,
        rest_interval=[around.low, around.high] if around else None, rest_queries=len(rest),
    )  # fmt: skip


def _signed(lift: Doubles) -> str:
    """The mean, with its interval where it has one."""
    around = interval(lift) if len(lift) > 1 else None
    return f"{lift.mean():+.1f}" + (f" ({around.low:+.1f} to {around.high:+.1f})" if around else "")


def _where(rare: Doubles, rest: Doubles) -> str:
    """Where the lift is, as far as the intervals of both buckets and of their difference tell; a key of `WHERE`."""
    if len(rest) < LEAST_BUCKET:
        return "alone"
    here, there = interval(rare), interval(rest)
    if here.high <= LIFT:
        return "nowhere"
    if here.low <= 0:
        return "unknown"
    wide = 1.96 * float(np.sqrt(rare.var(ddof=1) / len(rare) + rest.var(ddof=1) / len(rest)))
    if rare.mean() - rest.mean() > wide and rest.mean() < rare.mean() / 2:
        return "rare"
    return "everywhere" if there.low > 0 else "open"


def _recall(recall: Scores, known: bool, documents: int) -> Finding:
    reading = f"{100 * recall.mean:.1f} % of the relevant documents are among the first 100; what is missing there no reranker brings back."
    if documents < SMALL:
        reading += f" With {documents} documents in all, that says nothing."
    return finding(
        "R18-recall",
        recall.mean,
        interval(recall.values),
        reading,
        queries=len(recall.values),
        known=known and documents >= SMALL,
    )


def _ranking(run: Run, asked: Qrels, known: bool) -> Finding:
    ranks = first_relevant(run, asked)
    near = ((ranks > 1) & (ranks <= NEAR_TOP)).astype(np.float64)
    reading = f"For {100 * near.mean():.0f} % of the queries the right document is in the top {NEAR_TOP} but not first: that much a better order can win."
    return finding(
        "R18-ranking", 100 * float(near.mean()), interval(100 * near), reading, queries=len(near), known=known
    )


def _mean_rank(run: Run, asked: Qrels) -> float:
    """Mean rank of the first relevant document, 101 where it is not among the first 100."""
    ranks = first_relevant(run, asked)
    return float(np.where((ranks == 0) | (ranks > DEPTH), DEPTH + 1, ranks).mean())
