"""Measures, by the names ir-measures gives them, per query and identical to trec_eval.

The common ones are computed here (`formulas.py`), all from one pass over a run; the rest by ir-measures.
Knows judgments and runs; knows nothing about how a run came to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from resurvey.errors import Problem, ResurveyError
from resurvey.evaluate.formulas import Fast, fast
from resurvey.evaluate.grades import NOTHING, Grades, Returned, place
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
        ResurveyError: when ir-measures does not know the name, cannot compute it here, or it cuts or counts below 1.
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
    for parameter, does in (("cutoff", "cuts at"), ("rel", "counts from grade")):
        if (least := found.params.get(parameter, 1)) < 1:
            raise ResurveyError([Problem("measure", f"{measure!r} {does} {least}, must be 1 or more")], names)
    return found


def score(run: Run, qrels: Qrels, measures: Sequence[str] = (NDCG,)) -> dict[str, Scores]:
    """Every measure for every query of `qrels`; a query the run lacks scores 0, none is dropped.

    A ranking is cut at the deepest cut-off asked for; where scores are equal trec_eval's order holds, not the run's.
    """
    return score_all([run], qrels, measures)[0]


def score_all(runs: Sequence[Run], qrels: Qrels, measures: Sequence[str] = (NDCG,)) -> list[dict[str, Scores]]:
    """`score` for many runs over the same judgments, which are read once."""
    asked, grades = _Asked.of(measures), Grades.of(qrels)
    found = []
    for run in runs:
        returned = partial(map, partial(_top, run, asked.deepest), grades.queries)
        found.append(_scores(run.name, returned, grades, qrels, asked))
    return found


def score_mapping(
    name: str, run: Mapping[str, Mapping[str, float]], qrels: Qrels, measures: Sequence[str] = (NDCG,)
) -> dict[str, Scores]:
    """`score` for a run given as {query: {document: score}}, as TREC files are read."""
    asked, grades = _Asked.of(measures), Grades.of(qrels)
    return _scores(name, partial(map, partial(_mapped, run), grades.queries), grades, qrels, asked)


def first_relevant(run: Run, qrels: Qrels) -> Ints:
    """For every query of `qrels` the rank of its first relevant document; 0 where the run has none."""
    ranks = []
    for query, grades in qrels.items():
        ranking = run.rankings.get(query)
        found = (place for place, d in enumerate(ranking.documents if ranking else (), start=1) if grades.get(d, 0) > 0)
        ranks.append(next(found, 0))
    return np.array(ranks, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Measures by name: those computed here, and those that ir-measures computes."""

    names: tuple[str, ...]
    here: Mapping[str, Fast]
    elsewhere: Mapping[str, Any]
    deepest: int | None
    """The largest cut-off; None when one measure looks at the whole ranking."""

    @staticmethod
    def of(measures: Sequence[str]) -> _Asked:
        here = {measure: known for measure in measures if (known := fast(measure))}
        elsewhere = {measure: parse(measure) for measure in measures if measure not in here}
        cuts = [known.cut for known in here.values()] + [m.params.get("cutoff") for m in elsewhere.values()]
        deepest = None if None in cuts else max(cuts, default=None)
        return _Asked(tuple(measures), here, elsewhere, deepest)


def _scores(
    name: str, returned: Callable[[], Iterator[Returned]], grades: Grades, qrels: Qrels, asked: _Asked
) -> dict[str, Scores]:
    values: dict[str, Doubles] = {}
    if asked.here:
        placed = place(grades, returned())
        values |= {measure: known(placed) for measure, known in asked.here.items()}
    if asked.elsewhere:
        values |= _elsewhere(returned(), qrels, asked.elsewhere)
    return {measure: Scores(name, measure, grades.queries, values[measure]) for measure in asked.names}


def _elsewhere(returned: Iterator[Returned], qrels: Qrels, meant: Mapping[str, Any]) -> dict[str, Doubles]:
    """What ir-measures computes, per query."""
    import ir_measures

    places = {query: place for place, query in enumerate(qrels)}
    wanted = {str(found): found for found in meant.values()}  # two names of one measure come once
    values = {known: np.zeros(len(places)) for known in wanted}
    asked = {q: dict(zip(d, map(float, s), strict=True)) for q, (d, s) in zip(qrels, returned, strict=True) if len(d)}
    if asked:
        grades = {query: dict(found) for query, found in qrels.items()}
        for metric in ir_measures.iter_calc(list(wanted.values()), grades, asked):
            values[str(metric.measure)][places[metric.query_id]] = metric.value
    return {measure: values[str(found)] for measure, found in meant.items()}


def _top(run: Run, most: int | None, query: str) -> Returned:
    """The first documents of a run for a query, none where it lacks the query."""
    ranking = run.rankings.get(query)
    if ranking is None:
        return NOTHING
    return (ranking.documents[:most], ranking.scores[:most]) if most else (ranking.documents, ranking.scores)


def _mapped(run: Mapping[str, Mapping[str, float]], query: str) -> Returned:
    found = run.get(query, {})
    return tuple(found), np.fromiter(found.values(), dtype=np.float64, count=len(found))
