"""The feature ranker: gradient-boosted trees over cached evidence (LambdaMART; Burges, 2010).

Seconds to train, about a millisecond to apply, nothing to re-index. Deterministic: the same pairs
give the same trees. Knows nothing about where its labels came from.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np

from resurvey.errors import ResurveyError
from resurvey.search.compose import reordered
from resurvey.search.features import Evidence, Pairs, group_of
from resurvey.search.trace import current, timed
from resurvey.types import Doubles, Floats, Ints, Query, Run

NAME = "ranker"
EXPECTED = "any document"
"""What trees give before they have seen anything."""
PARAMETERS: Mapping[str, str | int | float | bool] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 15,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 127,
    "feature_pre_filter": False,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
FEW = 300
FEW_PARAMETERS: Mapping[str, int] = {"num_leaves": 7, "min_data_in_leaf": 20}
"""Smaller trees for fewer than FEW queries."""
ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Trees:
    """Fitted trees with the names of the features they read."""

    names: tuple[str, ...]
    booster: lightgbm.Booster

    def dump(self) -> bytes:
        """As an artefact."""
        return json.dumps({"names": self.names, "trees": self.booster.model_to_string()}).encode("utf-8")

    def scores(self, rows: Floats) -> Floats:
        """One score a row; higher is better."""
        return np.asarray(self.booster.predict(rows, num_threads=1), dtype=np.float32)

    def contributions(self, rows: Floats) -> list[dict[str, float]]:
        """For every row, what each group of evidence adds to the score (SHAP values; Lundberg, 2018); they sum to it."""
        if not len(rows):
            return []
        told = np.asarray(self.booster.predict(rows, num_threads=1, pred_contrib=True), dtype=np.float64)
        columns = [group_of(name) for name in self.names] + [EXPECTED]
        groups = list(dict.fromkeys(columns))
        belongs = np.array([[column == group for group in groups] for column in columns], dtype=np.float64)
        return [dict(zip(groups, row, strict=True)) for row in (told @ belongs).tolist()]

    def gains(self) -> dict[str, float]:
        """Share of the trees' total gain that every feature brought."""
        gains = self.booster.feature_importance("gain")
        return {
            n: float(g)
            for n, g in sorted(zip(self.names, gains / max(gains.sum(), 1e-9), strict=True), key=lambda x: -x[1])
        }


def load_trees(data: bytes) -> Trees:
    """What `dump` wrote."""
    value = json.loads(data)
    return Trees(tuple(value["names"]), lightgbm.Booster(model_str=value["trees"]))


class Lessons:
    """Feature rows with grades, cut into bins once for every fit on some of their queries.

    The bins are cut from all rows, whatever their grades, so that a query left out has no say through them.
    Queries without a relevant candidate, or with nothing else, teach nothing and are left out.
    """

    def __init__(self, pairs: Pairs, grades: Ints, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._spans = list(itertools.pairwise(pairs.starts.tolist()))
        self._teaching = [place for place, (a, b) in enumerate(self._spans) if b > a and np.ptp(grades[a:b]) > 0]
        assert self._teaching, "the caller checks that some query can teach"
        columns, sizes = [name.replace(" ", "_") for name in names], [b - a for a, b in self._spans if b > a]
        self._data = lightgbm.Dataset(pairs.rows, grades, group=sizes, feature_name=columns, params=dict(PARAMETERS))

    def train(self, places: Sequence[int] | Ints | None = None, *, seed: int = 13) -> Trees:
        """Trees fitted on the queries at `places`; None: on all."""
        wanted = set(self._teaching if places is None else map(int, places))
        chosen = [self._spans[place] for place in self._teaching if place in wanted]
        assert chosen, "the caller checks that some query can teach"
        data = self._data.subset(np.concatenate([np.arange(*span) for span in chosen]).tolist())
        few = FEW_PARAMETERS if len(chosen) < FEW else {}
        return Trees(self.names, lightgbm.train({**PARAMETERS, **few, "seed": seed}, data, num_boost_round=ROUNDS))


class FeatureRanker:
    """Reorders candidates by fitted trees."""

    name = NAME

    def __init__(self, evidence: Evidence, trees: Trees) -> None:
        if trees.names != evidence.names:
            raise ResurveyError(
                "the ranker was fitted on other features than this resurvey computes", "resurvey treat DIR ranker"
            )
        self.evidence = evidence
        self.trees = trees

    @timed
    def rerank(self, queries: Sequence[Query], run: Run) -> Run:
        """The same candidates, by what the trees make of their evidence."""
        pairs = self.evidence.pairs(queries, run)
        scores = self.trees.scores(pairs.rows) if len(pairs.rows) else np.zeros(0, dtype=np.float32)
        if (trace := current()) is not None and trace.explains:
            documents = [document for query in queries for document in run[query.id].documents]
            trace.contributions |= dict(zip(documents, self.trees.contributions(pairs.rows), strict=True))
        return rescored(run, queries, pairs.starts, scores)


def rescored(run: Run, queries: Sequence[Query], starts: Ints, scores: Floats | Doubles) -> Run:
    """`run` ordered by one score a candidate, candidates of all queries in one array."""
    spans = zip(queries, starts[:-1], starts[1:], strict=True)
    return Run(NAME, {q.id: reordered(run[q.id], np.asarray(scores[a:b], dtype=np.float32), NAME) for q, a, b in spans})
