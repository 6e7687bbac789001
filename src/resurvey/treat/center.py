"""Centring and standardising of the embeddings (R50): subtract what all vectors share.

Harms about as often as it helps, so it is one more thing to measure. The mean belongs to the
snapshot, not to the recipe: it moves with the corpus.
"""

from __future__ import annotations

from dataclasses import replace

from resurvey.search.index import TRANSFORMS
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.types import Ints, Json, Ranking, Run


def center(trial: Trial, state: State) -> Attempt | Nothing:
    """The better of centring and standardising, chosen out of fold."""
    if state.root != state.dense:
        return Nothing("the dense branch is decided before others join it")
    nodes: dict[str, Json] = {name: {**state.dense, "transform": name} for name in TRANSFORMS if name != "none"}
    runs = {name: trial.run(node) for name, node in nodes.items()}
    values = {name: trial.scores(run, name).values for name, run in runs.items()}

    def fit(places: Ints) -> str:
        return max(nodes, key=lambda name: float(values[name][places].mean()) if len(places) else 0.0)

    def predict(name: str, places: Ints) -> Run:
        rankings: dict[str, Ranking] = {trial.queries[p].id: runs[name][trial.queries[p].id] for p in places}
        return Run(name, rankings)

    run, chosen = trial.cross_fit(fit, predict)
    means = {name: round(float(found.mean()), 4) for name, found in values.items()}
    return Attempt(replace(state, root=nodes[chosen], run=run, dense=nodes[chosen]), {"chosen": chosen, "means": means})
