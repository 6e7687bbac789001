"""Rankings that owe nothing to us: BM25 by bm25s, and reciprocal rank fusion. Part of what peers are cached by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Ranked = dict[str, dict[str, float]]
"""query id to {document id: score}"""
TOP = 100


def reference_bm25(ids: Sequence[str], texts: Sequence[str], queries: Mapping[str, str]) -> Ranked:
    """bm25s with its defaults, English stemmer and stop words: an independent BM25 over whole documents."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(texts), stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(queries.values()), stopwords="en", stemmer=stemmer, show_progress=False)
    places, scores = index.retrieve(tokens, k=min(TOP, len(texts)), show_progress=False)
    return {
        query: {ids[int(p)]: float(s) for p, s in zip(row, values, strict=True) if s > 0}
        for query, row, values in zip(queries, places, scores, strict=True)
    }


def reference_rrf(runs: Sequence[Ranked], k: int = 60) -> Ranked:
    """Reciprocal rank fusion of the top 100s, ranks from 1 (Cormack, Clarke and Büttcher 2009); its top 100."""
    fused: Ranked = {}
    for run in runs:
        for query, scores in run.items():
            totals = fused.setdefault(query, {})
            for rank, document in enumerate(sorted(scores, key=lambda d: -scores[d])[:TOP], start=1):
                totals[document] = totals.get(document, 0.0) + 1 / (k + rank)
    return {query: dict(sorted(found.items(), key=lambda row: -row[1])[:TOP]) for query, found in fused.items()}
