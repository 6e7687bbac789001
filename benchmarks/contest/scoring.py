"""Scores of rankings by trec_eval, and paired bootstrap intervals of differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytrec_eval

from contest.reference import TOP, Ranked

NDCG, RECALL, MRR = "ndcg_cut_10", "recall_100", "recip_rank"
MEASURES = {NDCG: "NDCG@10", RECALL: "Recall@100", MRR: "MRR"}
RESAMPLES = 9_999
Scored = dict[str, dict[str, float]]
"""query id to {measure: value}"""


def score(run: Ranked, qrels: Mapping[str, Mapping[str, int]]) -> Scored:
    """Every judged query's measures over the top 100; a query without results counts as 0."""
    asked = {query: dict(found) for query, found in qrels.items()}
    top = {q: dict(sorted(run[q].items(), key=lambda row: -row[1])[:TOP]) for q in asked if run.get(q)}
    found = pytrec_eval.RelevanceEvaluator(asked, set(MEASURES)).evaluate(top)
    return {query: {name: float(found.get(query, {}).get(name, 0.0)) for name in MEASURES} for query in asked}


def mean(scored: Mapping[str, Mapping[str, float]], measure: str = NDCG) -> float:
    """The mean over queries; nan where the measure was not kept."""
    return float(np.mean([row.get(measure, math.nan) for row in scored.values()])) if scored else math.nan


def interval(baseline: Scored, ours: Scored) -> list[float]:
    """Mean NDCG@10 difference over the shared queries and its 95 % paired bootstrap interval: [mean, low, high]."""
    differences = np.array([ours[q][NDCG] - baseline[q][NDCG] for q in ours if q in baseline])
    rng = np.random.default_rng(13)
    means = [differences[rng.integers(0, len(differences), len(differences))].mean() for _ in range(RESAMPLES)]
    return [float(differences.mean()), *(float(x) for x in np.quantile(means, [0.025, 0.975]))]


def best_on_average(rows: Sequence[Mapping[str, Scored]], among: Sequence[str]) -> str:
    """Which of some systems has the best NDCG@10 averaged over all collections where each of them has a row."""
    whole = [row for row in rows if all(name in row for name in among)]
    return max(among, key=lambda name: float(np.mean([mean(row[name]) for row in whole])) if whole else 0.0)
