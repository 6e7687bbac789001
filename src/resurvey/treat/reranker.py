"""A reranker as it is off the shelf (R57): a cross-encoder or a /v1/rerank endpoint, where one is configured.

Nothing is trained but the weight of its word beside the order there is; zero means that it is not used.
"""

from __future__ import annotations

from resurvey.search.rerank import READ
from resurvey.search.scorers import UnansweredError, open_scorer
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.blending import affordable, reading, rerank
from resurvey.treat.trial import Trial


def reranker(trial: Trial, state: State) -> Attempt | Nothing:
    """The first documents of the accepted pipeline, reordered as deep as the latency budget allows."""
    name = trial.settings.text("reranker")
    if not name:
        return Nothing("no reranker is configured; `reranker` in resurvey.toml names a model or a /v1/rerank endpoint")
    if state.root["stage"] == "reranked":
        return Nothing("what was accepted is reranked already")
    scorer = open_scorer(name, trial.artefacts, key_env=trial.settings.text("reranker_key_env"))
    try:
        allowed = affordable(trial, state.run, scorer, READ[reading(state)](trial.index))
    except UnansweredError as error:
        return Nothing(f"the reranker does not answer: {error}")
    if not allowed.depth:
        budget = trial.settings.integer("rerank_budget_ms")
        return Nothing(
            f"at {allowed.pairs_a_second:.0f} pairs a second, {budget} ms a query allow fewer than 5 documents"
        )
    return rerank(trial, state, scorer, allowed)
