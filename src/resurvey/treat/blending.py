"""How much a reranker's word counts beside the order it was given: measured, cross-fitted, zero allowed.

Shared by the treatments that bring a scorer. Knows nothing about where it came from.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from resurvey.search import recipe
from resurvey.search.rerank import READ, Reranking, Texts, blended
from resurvey.search.scorers import Scorer, fingerprint, is_endpoint
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.treat.weigh import WeightTable
from resurvey.types import Floats, Ints, Json, Query, Run

GRID = np.round(np.linspace(0, 1, 11), 1)
BLIND = 0.3
"""The weight when nothing is known: it moves near ties, and leaves clear orders alone."""
DEPTHS = (5, 10, 15, 20, 30, 50, 75, 100, 150, 200)
"""Few depths to choose from, so that a speed measured twice gives one."""
LATE = 2
"""A search waits this many budgets, then answers without."""
SAMPLE = 48
"""Pairs whose scoring is timed."""
MOST_SECONDS = 1800.0
"""Scoring the trial's queries may take this long; beyond, fewer documents a query are looked at."""


def reading(state: State) -> str:
    """What a scorer reads of a document: the passages that the dense branch searches, or the document's beginning."""
    return "passages" if state.dense["view"] == "passages" else "documents"


@dataclass(frozen=True, slots=True)
class Affordable:
    """How deep a scorer may look, and what says so."""

    depth: int
    pairs_a_second: float
    """0 where the settings name the depth and nothing was timed."""


def affordable(trial: Trial, run: Run, scorer: Scorer, texts: Texts) -> Affordable:
    """The depth that the settings name, or that the latency budget allows at the speed measured here.

    Raises:
        UnansweredError: when the scorer does not answer.
    """
    fixed = trial.settings.integer("rerank_depth")
    if fixed:
        return Affordable(min(fixed, trial.depth), 0.0)
    rate = speed(scorer, texts, trial.queries, run)
    allowed = min(
        rate * trial.settings.integer("rerank_budget_ms") / 1000,
        rate * MOST_SECONDS / max(1, len(trial.queries)),
        trial.depth,
    )
    return Affordable(max((depth for depth in DEPTHS if depth <= allowed), default=0), rate)


def speed(scorer: Scorer, texts: Texts, queries: Sequence[Query], run: Run) -> float:
    """Pairs a second on real pairs, a query at a time as it is searched; the first query only warms up.

    Raises:
        UnansweredError: when the scorer does not answer.
    """
    done, spent = 0, 0.0
    for place, query in enumerate([*queries[:1], *queries]):
        documents = list(run[query.id].documents[:SAMPLE])
        read = texts(query, documents)
        started = time.perf_counter()
        scorer.scores(query.text, read)
        if place:
            done, spent = done + len(documents), spent + time.perf_counter() - started
        if done >= SAMPLE:
            break
    return done / spent if done and spent > 0 else 0.0


def scored(trial: Trial, reranking: Reranking, run: Run, places: Ints) -> dict[str, Floats]:
    """The scorer's word on the first documents of the queries at `places`; those it leaves out are missing."""
    found = {}
    for done, place in enumerate(places.tolist()):
        trial.progress("reranking", done, len(places))
        query = trial.queries[place]
        scores = reranking.scores(query, run[query.id])
        if scores is not None:
            found[query.id] = scores
    return found


class Blending:
    """One run, one scorer's word on it, and every weight between them scored."""

    def __init__(self, trial: Trial, run: Run, scores: Mapping[str, Floats]) -> None:
        self.trial = trial
        self.run = run
        self.scores = scores
        values = [trial.scores(self.at(weight), "blend").values for weight in GRID.tolist()]
        self.table = WeightTable(np.column_stack(values), GRID)

    def at(self, weight: float) -> Run:
        """The run reordered with one weight."""
        rankings = {
            query: blended(ranking, self.scores[query], weight) if query in self.scores else ranking
            for query, ranking in self.run.rankings.items()
        }
        return Run("reranker", rankings)

    def fit(self, places: Ints) -> float:
        """The scorer's weight, as the queries at `places` ask for it."""
        seed = self.trial.settings.integer("seed")
        if self.trial.standin:
            return self.table.standin_weight(places, self.trial.groups, seed, BLIND)
        return self.table.judged_weight(places, seed, BLIND)

    def means(self) -> Json:
        """The measure without the scorer, with it alone, and at every weight, for the record."""
        means = self.table.values.mean(axis=0)
        return {f"{weight:.1f}": round(float(mean), 4) for weight, mean in zip(GRID, means, strict=True)}


def node(trial: Trial, state: State, name: str, depth: int, blend: float) -> Json:
    """The accepted tree with a reranker after it."""
    facts: Json = {
        "read": reading(state),
        "deadline_ms": LATE * trial.settings.integer("rerank_budget_ms"),
        "key_env": trial.settings.text("reranker_key_env") if is_endpoint(name) else "",
        "fingerprint": "" if name.startswith("sha256:") else fingerprint(name),
    }
    return recipe.reranked(state.root, name, depth=depth, blend=blend, facts=facts)


def rerank(trial: Trial, state: State, scorer: Scorer, allowed: Affordable) -> Attempt | Nothing:
    """An untrained scorer's word on everything, blended with the order there is; the weight is cross-fitted."""
    reranking = Reranking(scorer, READ[reading(state)](trial.index), depth=allowed.depth)
    scores = scored(trial, reranking, state.run, np.arange(len(trial.queries)))
    if reranking.skipped:
        return Nothing(f"the reranker left {reranking.skipped} of {len(trial.queries)} queries out: {reranking.why}")
    blending = Blending(trial, state.run, scores)

    def predict(weight: float, places: Ints) -> Run:
        run = blending.at(weight)
        return Run("reranker", {trial.queries[p].id: run[trial.queries[p].id] for p in places})

    run, weight = trial.cross_fit(blending.fit, predict)
    if weight == 0:
        alone = blending.means()["1.0"]
        return Nothing(f"the queries give the reranker no weight beside the order there is; alone it scores {alone}")
    made = replace(state, root=node(trial, state, scorer.name, allowed.depth, weight), run=run)
    return Attempt(made, {"weight": weight, "means": blending.means(), **described(scorer, allowed, reading(state))})


def described(scorer: Scorer, allowed: Affordable, read: str) -> Json:
    """What a verdict says of a scorer; pairs cut short are None where nobody counts them."""
    found: Json = {"depth": allowed.depth, "reads": read, "pairs cut short": scorer.cut_short}
    if allowed.pairs_a_second:
        found["pairs a second"] = round(allowed.pairs_a_second, 1)
    return found
