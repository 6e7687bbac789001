"""Measures, by the names ir-measures gives them, per query and identical to trec_eval.

Knows judgments and runs; knows nothing about how a run came to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resurvey.errors import Problem, ResurveyError
from resurvey.types import Doubles, Ints, Qrels, Run

NDCG = "nDCG@10"
RECALL = "R@100"
MEASURES = (NDCG, RECALL, "RR", "AP", "P@10", "Judged@10")


@dataclass(frozen=True, slots=True)
class Scores:
    """One measure's value for every judged query, in a fixed order of queries."""

    name: str
    measure: str
    queries: tuple[str, ...]
    values: Doubles

    @property
    def mean(self) -> float:
        """The mean over all judged queries; a query without results counts as 0."""
        return float(self.values.mean()) if len(self.values) else float("nan")

    def of(self, queries: Sequence[str]) -> Doubles:
        """The values of some of the queries, in their order."""
        places = {query: place for place, query in enumerate(self.queries)}
        return self.values[[places[query] for query in queries]]


def parse(measure: str) -> Any:
    """The measure of a name such as `nDCG@10`.

    Raises:
        ResurveyError: when ir-measures does not know the name, cannot compute it here, or it cuts below 1.
    """
    import ir_measures  # half a second that a command reading finished scores need not pay

    names = "use a name such as nDCG@10, R@100, RR, AP, P@10"
    try:
        found = ir_measures.parse_measure(measure)
        computable = ir_measures.DefaultPipeline.supports(found)
    except (NameError, ValueError, KeyError, SyntaxError, AssertionError) as error:
        raise ResurveyError([Problem("measure", f"{measure!r} is not one that ir-measures knows")], names) from error
    if not computable:
        raise ResurveyError([Problem("measure", f"{measure!r} cannot be computed with what is installed")], names)
    if found.params.get("cutoff", 1) < 1:
        raise ResurveyError(
            [Problem("measure", f"{measure!r} cuts at {found.params['cutoff']}, must be 1 or more")], names
        )
    return found


def score(run: Run, qrels: Qrels, measures: Sequence[str] = (NDCG,)) -> dict[str, Scores]:
    """Every measure for every query of `qrels`; a query the run lacks scores 0, none is dropped."""
    queries = tuple(qrels)
    most = _deepest(measures)
    asked = {
        query: {d: float(s) for d, s in zip(ranking.documents[:most], ranking.scores[:most], strict=True)}
        for query in queries
        if (ranking := run.rankings.get(query)) is not None and len(ranking)
    }
    return score_mapping(run.name, asked, qrels, measures)


def score_mapping(
    name: str, run: Mapping[str, Mapping[str, float]], qrels: Qrels, measures: Sequence[str] = (NDCG,)
) -> dict[str, Scores]:
    """`score` for a run given as {query: {document: score}}, as TREC files are read."""
    places = {query: place for place, query in enumerate(qrels)}
    meant = {measure: parse(measure) for measure in measures}
    wanted = {str(found): found for found in meant.values()}  # `MAP` and `AP` are one measure
    values = {known: np.zeros(len(places)) for known in wanted}
    asked = {query: dict(documents) for query, documents in run.items() if query in places and documents}
    if asked:
        import ir_measures

        grades = {query: dict(found) for query, found in qrels.items()}
        for metric in ir_measures.iter_calc(list(wanted.values()), grades, asked):
            values[str(metric.measure)][places[metric.query_id]] = metric.value
    return {measure: Scores(name, measure, tuple(qrels), values[str(found)]) for measure, found in meant.items()}


def first_relevant(run: Run, qrels: Qrels) -> Ints:
    """For every query of `qrels` the rank of its first relevant document; 0 where the run has none."""
    ranks = []
    for query, grades in qrels.items():
        ranking = run.rankings.get(query)
        found = (place for place, d in enumerate(ranking.documents if ranking else (), start=1) if grades.get(d, 0) > 0)
        ranks.append(next(found, 0))
    return np.array(ranks, dtype=np.int64)


def _deepest(measures: Sequence[str]) -> int | None:
    """The largest cut-off of the measures; None when one looks at the whole ranking."""
    cuts = [parse(measure).params.get("cutoff") for measure in measures]
    return None if None in cuts else max(cuts, default=None)
