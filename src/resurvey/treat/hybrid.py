"""Hybrid search (R51): BM25 and dense fused with a learned weight, or the verdict "do not fuse".

The weight is bagged and shrunk (`weigh.py`). Where it leaves one branch next to nothing, the other
is searched alone, which is also the faster pipeline.
"""

from __future__ import annotations

from dataclasses import replace

from resurvey.search import recipe
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.fusing import Fusing
from resurvey.treat.trial import Trial
from resurvey.types import Ints, Json, Run


def hybrid(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch with BM25 beside it, instead of it, or not at all."""
    if state.root != state.dense:
        return Nothing("lexical and dense are fused already")
    fusing = Fusing(trial, state.lexical, state.dense)

    def predict(weight: float, places: Ints) -> Run:
        run = trial.run(fusing.node(weight))
        return Run("hybrid", {trial.queries[p].id: run[trial.queries[p].id] for p in places})

    run, weight = trial.cross_fit(fusing.fit, predict)
    rrf = trial.scores(trial.run(recipe.fused([state.lexical, state.dense], trial.depth)), "RRF").mean
    detail: Json = {
        "dense weight": weight,
        "RRF": round(rrf, 4),
        "asked by the queries": round(fusing.table.mean_best(trial.training, trial.settings.integer("seed")), 3),
    }
    chosen = fusing.node(weight)
    if chosen == state.dense:
        return Nothing(
            f"do not fuse: the queries want {detail['asked by the queries']:.2f} of the weight on the dense branch; RRF scores {rrf:.3f}, dense alone {trial.scores(state.run, 'dense').mean:.3f}"
        )
    return Attempt(replace(state, root=chosen, run=run), detail)
