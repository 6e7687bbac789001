"""Fitting confidence to a pipeline, on rankings that it gave for queries it was not fitted on.

What the judgments can say is fitted: a document that nobody judged counts as irrelevant. Everything measured here is
measured on folds that the fit did not see.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from resurvey.evaluate.calibration import calibration, coverage_risk
from resurvey.search.confidence import UNJUDGED, WHOLE, Calibration, Cover, found_of, whole
from resurvey.search.logistic import Logistic, columns, fit, sigmoid
from resurvey.search.recipe import node_key
from resurvey.search.signs import COVERING, FIRST, HIT, NEARNESS, Facts, Words, of_hits, of_query
from resurvey.treat.trial import Trial
from resurvey.types import Bools, Doubles, Ints, Json, Ranking, Run, to_json

DEEP = 20
"""Hits of every query that are fitted on: beyond the first ten, so that these are no edge of what was seen."""
PENALTY = 3.0


@dataclass(frozen=True, slots=True)
class Examples:
    """Signs and truths of many queries; hits in one table, `starts` says where each query's begin."""

    hits: Doubles
    relevant: Bools
    starts: Ints
    signs: list[dict[str, float]]

    @property
    def any(self) -> Bools:
        """Whether any of the first ten is relevant, by query."""
        spans = itertools.pairwise(self.starts.tolist())
        return np.array([bool(self.relevant[a : min(b, a + FIRST)].any()) for a, b in spans])

    def rows(self, places: Sequence[int] | Ints) -> Ints:
        """The hits of some queries."""
        spans = [np.arange(self.starts[place], self.starts[place + 1]) for place in places]
        return np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)

    def wholes(self, model: Logistic, places: Sequence[int] | Ints) -> Doubles:
        """Signs of some queries, with what a model makes of their hits: (queries, WHOLE)."""
        logits = model.logits(self.hits)
        told = [whole(self.signs[p], logits[self.starts[p] : self.starts[p + 1]]) for p in places]
        return columns(told, WHOLE)


def calibrate(trial: Trial, root: Json, run: Run) -> Json:
    """Fit confidence to a pipeline and keep it; its reference (`artefact`), and how well it holds on other folds."""
    found, measured = calibrated(trial, root, run)
    return {"artefact": trial.artefacts.put(found.dump()), **measured}


def calibrated(trial: Trial, root: Json, run: Run) -> tuple[Calibration, Json]:
    """What is fitted to a pipeline, and how well it holds on folds it was not fitted on.

    Args:
        run: the pipeline's rankings of the trial's queries, each held out.
    """
    words = Words(trial.index)
    facts = [words.facts(query) for query in trial.queries]
    rankings = [run[query.id] for query in trial.queries]
    signs = [of_query(ranking, known) for ranking, known in zip(rankings, facts, strict=True)]
    cover = covering(signs, NEARNESS if trial.standin else COVERING)
    carried = [set(ranking.stages) for ranking in rankings if len(ranking)]
    stages = tuple(sorted(set.intersection(*carried))) if carried else ()  # a rewrite may have nothing to say
    found = Calibration(node_key(root), stages, len(rankings), cover, None, None, UNJUDGED)
    if trial.standin:
        return found, {"queries": len(rankings), "why": UNJUDGED}
    relevant = [{d for d, grade in trial.qrels[query.id].items() if grade > 0} for query in trial.queries]
    judged = examples(rankings, facts, relevant)
    if not judged.relevant.any():
        why = "no held-out query found an answer, so there is nothing to learn a probability from"
        return replace(found, why=why), {"queries": len(rankings), "why": why}
    groups = trial.fold  # the dev side, which nothing was fitted on, is one more
    hits, answer = fitted(judged, np.arange(len(rankings)), groups)
    return replace(found, hits=hits, found=answer, why=""), _measured(judged, groups)


def covering(signs: Sequence[dict[str, float]], among: Sequence[str]) -> Cover:
    """Where the signs of held-out queries lie: some of them, or all where the recipe has none of these."""
    names = tuple(name for name in among if any(name in one for one in signs))
    names = names or tuple(name for name in COVERING if any(name in one for one in signs))
    table = columns(signs, names)
    means = np.nanmean(table, axis=0)
    spreads = np.maximum(np.nanstd(table, axis=0), 1e-6)
    cover = Cover(names, tuple(means.tolist()), tuple(spreads.tolist()), ())
    return replace(cover, own=tuple(sorted(cover.far(one) for one in signs)))


def examples(rankings: Sequence[Ranking], facts: Sequence[Facts], relevant: Sequence[set[str]]) -> Examples:
    """Signs of rankings, and which of their hits are relevant."""
    hits = [of_hits(ranking, known, DEEP) for ranking, known in zip(rankings, facts, strict=True)]
    truths = [[d in right for d in ranking.documents[:DEEP]] for ranking, right in zip(rankings, relevant, strict=True)]
    starts = np.cumsum([0, *map(len, hits)]).astype(np.int64)
    signs = [of_query(ranking, known) for ranking, known in zip(rankings, facts, strict=True)]
    flat = np.array([one for row in truths for one in row], dtype=np.bool_)
    return Examples(np.concatenate(hits) if hits else np.zeros((0, len(HIT))), flat, starts, signs)


def fitted(judged: Examples, places: Ints, groups: Ints) -> tuple[Logistic, Logistic]:
    """A hit's probability, and that any of the first is relevant, from the queries at some places.

    The second reads what the first makes of hits that it was not fitted on, else it would trust it too far.
    """

    def of_hits_at(some: Ints) -> Logistic:
        rows = judged.rows(some)
        return fit(judged.hits[rows], judged.relevant[rows], HIT, PENALTY)

    told = np.zeros((len(places), len(WHOLE)))
    for held in np.unique(groups[places]):
        out = groups[places] == held
        told[out] = judged.wholes(of_hits_at(places if out.all() else places[~out]), places[out])
    return of_hits_at(places), fit(told, judged.any[places], WHOLE, PENALTY)


def _measured(judged: Examples, groups: Ints) -> Json:
    """Calibration on folds that were not fitted on; what is claimed of hits is measured on the first ten."""
    said, answered = np.zeros(len(judged.relevant)), np.zeros(len(groups))
    first = np.zeros(len(judged.relevant), dtype=np.bool_)
    for held in np.unique(groups):
        inside, outside = np.flatnonzero(groups != held), np.flatnonzero(groups == held)
        hits, answer = fitted(judged, inside, groups)
        rows = judged.rows(outside)
        said[rows] = sigmoid(hits.logits(judged.hits[rows]))
        for place in outside:
            a, b = judged.starts[place], judged.starts[place + 1]
            answered[place] = found_of(answer, judged.signs[place], hits.logits(judged.hits[a:b]))
    for start, end in itertools.pairwise(judged.starts.tolist()):
        first[start : min(start + FIRST, end)] = True
    return {
        "queries": len(groups),
        "hits": to_json(calibration(said[first], judged.relevant[first])),
        "found": to_json(calibration(answered, judged.any)),
        "curve": [to_json(point) for point in coverage_risk(answered, judged.any)],
    }
