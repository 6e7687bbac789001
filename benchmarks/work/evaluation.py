"""Evaluation: given runs scored with eight measures and their intervals, beside pytrec_eval and sentence-transformers."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pytrec_eval
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from resurvey.evaluate.compare import compare_all, intervals
from resurvey.evaluate.measures import Scores, score, score_all
from resurvey.types import Interval, Qrels, Ranking, Run
from work.side import Row, Work, timed

QUERIES = 10_000
DEPTH = 100
CORPUS = 100_000
RUNS = 5
MEASURES = {
    "nDCG@10": "ndcg_cut_10", "nDCG@100": "ndcg_cut_100", "R@10": "recall_10", "R@100": "recall_100",
    "P@10": "P_10", "P@100": "P_100", "RR": "recip_rank", "AP": "map",
}  # fmt: skip
"""Our name to pytrec_eval's; all are among sentence-transformers' too, for judgments without grades."""


def _made(queries: int, runs: int) -> tuple[list[Run], Qrels]:
    """Runs of `queries` x DEPTH documents in order of score, and 1 to 10 graded documents a query, some not found.

    One score in five equals the one before it, as BM25's do.
    """
    rng = np.random.default_rng(13)
    names = [f"document-{n:06d}" for n in range(CORPUS)]
    found: list[dict[str, Ranking]] = [{} for _ in range(runs)]
    qrels: dict[str, dict[str, int]] = {}
    for query in (f"query-{n:05d}" for n in range(queries)):
        drawn = rng.choice(CORPUS, 3 * DEPTH, replace=False)
        near = rng.permutation(drawn[: 2 * DEPTH])[: rng.integers(1, 11)]
        qrels[query] = {
            names[place]: int(grade) for place, grade in zip(near, rng.integers(0, 4, len(near)), strict=True)
        }
        qrels[query] |= {names[near[0]]: 1}
        for rankings in found:
            order = np.argsort(np.arange(3 * DEPTH) + rng.normal(0, DEPTH, 3 * DEPTH))[:DEPTH]
            steps = rng.random(DEPTH) * (rng.random(DEPTH) > 0.2)
            scores = (100 - np.cumsum(steps)).astype(np.float32)
            rankings[query] = Ranking([names[place] for place in drawn[order]], scores)
    return [Run(f"run {number}", rankings) for number, rankings in enumerate(found)], qrels


def _ours(run: Run, qrels: Qrels) -> tuple[dict[str, Scores], list[Interval]]:
    scored = score(run, qrels, tuple(MEASURES))
    return scored, intervals(np.column_stack([found.values for found in scored.values()]))


def _trec(run: dict[str, dict[str, float]], qrels: Qrels) -> dict[str, dict[str, float]]:
    evaluated: dict[str, dict[str, float]] = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES.values())).evaluate(run)
    return evaluated


def _evaluator(qrels: Qrels) -> Any:
    """sentence-transformers' evaluator with the same eight measures."""
    relevant = {query: {d for d, grade in grades.items() if grade > 0} for query, grades in qrels.items()}
    return InformationRetrievalEvaluator(
        dict.fromkeys(qrels, ""), {"": ""}, relevant, mrr_at_k=[DEPTH], ndcg_at_k=[10, DEPTH], accuracy_at_k=[],
        precision_recall_at_k=[10, DEPTH], map_at_k=[DEPTH],
    )  # fmt: skip


def one(arguments: argparse.Namespace) -> list[Row]:
    """One run, eight measures; ours with an interval for each, the peers without."""
    (run,), qrels = _made(arguments.queries, 1)
    mapped = {q: dict(zip(r.documents, r.scores.tolist(), strict=True)) for q, r in run.rankings.items()}
    evaluator = _evaluator(qrels)
    results = [[{"corpus_id": d, "score": s} for d, s in mapped[query].items()] for query in evaluator.queries_ids]
    size = f"{arguments.queries:,} queries x {DEPTH}, {len(MEASURES)} measures"
    trec = Row(f"score {size}, ours with intervals; pytrec_eval", "0.5")
    sbert = Row("the same; InformationRetrievalEvaluator.compute_metrics", "3")
    alone: list[float] = []
    for _ in range(arguments.rounds):
        seconds, truth = timed(_trec, mapped, qrels)
        trec.peer.append(seconds)
        seconds, theirs = timed(evaluator.compute_metrics, results)
        sbert.peer.append(seconds)
        seconds, (found, _) = timed(_ours, run, qrels)
        trec.ours.append(seconds)
        sbert.ours.append(seconds)
        alone.append(timed(score, run, qrels, tuple(MEASURES))[0])
    apart = max(
        float(np.abs(found[ours].values - [truth[query][name] for query in qrels]).max()) for ours, name in MEASURES.items()
    )  # fmt: skip
    trec.note = f"largest difference of a query's value {apart:.0e}; without intervals {np.median(alone):.2g} s"
    means = {"R@10": theirs["recall@k"][10], "P@100": theirs["precision@k"][DEPTH], "RR": theirs["mrr@k"][DEPTH]}
    means |= {"R@100": theirs["recall@k"][DEPTH], "P@10": theirs["precision@k"][10], "AP": theirs["map@k"][DEPTH]}
    apart = max(abs(found[name].mean - mean) for name, mean in means.items())
    sbert.note = f"largest difference of a mean {apart:.0e}, where scores are equal: there it takes the smaller id; no grades, so no NDCG"
    return [trec, sbert]


def many(arguments: argparse.Namespace) -> list[Row]:
    """Five runs and eight measures, and four compared with the first; the peer is pytrec_eval, run after run."""
    runs, qrels = _made(arguments.queries, RUNS)
    mapped = [
        {q: dict(zip(r.documents, r.scores.tolist(), strict=True)) for q, r in run.rankings.items()} for run in runs
    ]
    row = Row(f"score {RUNS} such runs, ours with all intervals", "0.5")
    compared: list[float] = []
    for _ in range(arguments.rounds):
        row.peer.append(timed(lambda: [_trec(found, qrels) for found in mapped])[0])

        def whole() -> list[dict[str, Scores]]:
            scored = score_all(runs, qrels, tuple(MEASURES))
            intervals(np.column_stack([found.values for one in scored for found in one.values()]))
            return scored

        seconds, scored = timed(whole)
        row.ours.append(seconds)
        first, *rest = (found["nDCG@10"] for found in scored)
        compared.append(timed(compare_all, first, rest)[0])
    row.note = f"{RUNS - 1} paired comparisons with intervals and p-values: {np.median(compared):.2g} s more"
    return [row]


WORK: dict[str, Work] = {"score": one, "score-runs": many}
