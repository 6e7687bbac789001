"""Query rewriting (R52): each query also searched as the corpus, or a language model, would word it.

Expansion helps weak retrievers and harms strong ones (Weller et al. 2023), so who rewrites, and how much the rewrite
counts, is chosen out of fold, and the ladder keeps the best of them only if it helps. The accepted tree's own out-of-fold lists stand for the
original wording; queries that nobody rewrites keep them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from resurvey.search import recipe
from resurvey.search.rewrite import joined, writer_of
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.treat.wordings import LEAST, ways
from resurvey.types import Doubles, Ints, Json, Query, Run

GRID = (0.3, 0.5, 0.7, 1.0)
"""The rewrite's share."""
BLIND = ("shorthand", 0.3)
"""What is tried when nothing is known."""
SETTLED = ("ranked", "reranked", "rewritten")
"""Trees that a rewrite can no longer feed."""
Choice = tuple[str, float]


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to rewrite: its node, how many queries it changes, its runs and their scores by weight."""

    by: Json
    changed: int
    runs: dict[float, Run]
    values: dict[float, Doubles]
    trouble: str


def rewrite(trial: Trial, state: State) -> Attempt | Nothing:
    """The accepted tree searching both wordings, by whoever rewrites best."""
    if state.root["stage"] in SETTLED:
        return Nothing("queries are rewritten once, and before an order is learned on top")
    offered = ways(trial)
    if trial.standin:
        offered = {name: by for name, by in offered.items() if name == BLIND[0]}
    every = {name: _try(trial, state, by) for name, by in offered.items()}
    tried = {name: way for name, way in every.items() if way.changed >= LEAST}
    if not tried:
        return Nothing(
            f"fewer than {LEAST} of {len(trial.queries)} queries hold an acronym of the corpus or its long form"
        )
    before = trial.scores(state.run, "as typed").values
    gains = {(name, w): way.values[w] - before for name, way in tried.items() for w in GRID}

    def fit(places: Ints) -> Choice:
        if trial.standin:
            return BLIND
        means = {choice: float(gain[places].mean()) if len(places) else 0.0 for choice, gain in gains.items()}
        return max(means, key=lambda choice: means[choice])

    def predict(choice: Choice, places: Ints) -> Run:
        run = tried[choice[0]].runs[choice[1]]
        return Run("rewrite", {trial.queries[p].id: run[trial.queries[p].id] for p in places})

    run, (name, weight) = trial.cross_fit(fit, predict)
    detail = _detail(every, gains)
    root = recipe.rewritten(state.root, tried[name].by, weight)
    return Attempt(replace(state, root=root, run=run), {"chosen": name, "share": weight, **detail})


def _try(trial: Trial, state: State, by: Json) -> _Way:
    """Search what a way makes of the queries, under the models that never saw them, at every share."""
    writer = writer_of(by, trial.index, trial.artefacts, trial.builder.state)
    texts = writer.write(trial.queries, state.run)
    places = [place for place, text in enumerate(texts) if text is not None]
    if len(places) < LEAST:
        return _Way(by, len(places), {}, {}, writer.trouble)
    asked = tuple(Query(q.id, text or q.text) for q, text in zip(trial.queries, texts, strict=True))
    found = replace(trial, queries=asked, _runs={}).run(state.root)
    other = Run("rewrite", {trial.queries[place].id: found[trial.queries[place].id] for place in places})
    runs = {weight: joined(state.run, other, weight, state.root["depth"]) for weight in GRID}
    values = {weight: trial.scores(run, "rewritten").values for weight, run in runs.items()}
    return _Way(by, len(places), runs, values, writer.trouble)


def _detail(every: dict[str, _Way], gains: dict[Choice, Doubles]) -> Json:
    points = {
        name: {f"{weight:g}": round(100 * float(np.mean(gains[name, weight])), 2) for weight in GRID}
        for name in every
        if every[name].runs
    }
    return {
        "queries rewritten": {name: way.changed for name, way in every.items()},
        "points by way and share": points,
        "trouble": {name: way.trouble for name, way in every.items() if way.trouble},
    }
