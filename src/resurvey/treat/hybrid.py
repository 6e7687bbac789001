"""Hybrid search (R51): BM25 and dense fused with a learned weight, or the verdict "do not fuse".

The weight is bagged and shrunk (`weigh.py`). Where it leaves one branch next to nothing, the other
is searched alone, which is also the faster pipeline.
"""

from __future__ import annotations

from resurvey.search import recipe
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.treat.weigh import BLIND, nearest, weight_table
from resurvey.types import Ints, Json, Run

DENSE_ALONE = 0.9
LEXICAL_ALONE = 0.05


def hybrid(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch with BM25 beside it, instead of it, or not at all."""
    if state.root != state.dense:
        return Nothing("lexical and dense are fused already")
    lexical = recipe.lexical(trial.depth)
    runs = (trial.run(lexical), trial.run(state.dense))
    table = weight_table(*runs, trial.qrels, trial.settings.text("measure"))
    seed = trial.settings.integer("seed")

    def fit(places: Ints) -> float:
        if trial.standin:
            return table.standin_weight(places, trial.groups, seed, BLIND)
        return table.judged_weight(places, seed, BLIND)

    def node(weight: float) -> Json:
        if weight >= DENSE_ALONE:
            return state.dense
        if weight <= LEXICAL_ALONE:
            return lexical
        return recipe.fused([lexical, state.dense], trial.depth, {"lexical": nearest(1 - weight), "dense": weight})

    def predict(weight: float, places: Ints) -> Run:
        run = trial.run(node(weight))
        return Run("hybrid", {trial.queries[p].id: run[trial.queries[p].id] for p in places})

    run, weight = trial.cross_fit(fit, predict)
    rrf = trial.scores(trial.run(recipe.fused([lexical, state.dense], trial.depth)), "RRF").mean
    detail: Json = {
        "dense weight": weight,
        "RRF": round(rrf, 4),
        "asked by the queries": round(table.mean_best(trial.training, seed), 3),
    }
    chosen = node(weight)
    if chosen == state.dense:
        return Nothing(
            f"do not fuse: the queries want {detail['asked by the queries']:.2f} of the weight on the dense branch; RRF scores {rrf:.3f}, dense alone {trial.scores(state.run, 'dense').mean:.3f}"
        )
    return Attempt(State(chosen, run, state.dense), detail)
