"""The feature ranker (R92): trees over lexical, dense, character, title and exact-match evidence."""

from __future__ import annotations

from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trees import LEAST, rank_by_trees
from resurvey.treat.trial import Trial


def ranker(trial: Trial, state: State) -> Attempt | Nothing:
    """Candidates of all branches, ordered by trees fitted on judged queries."""
    if trial.standin:
        return Nothing("rankers trained on stand-in queries lose up to 60 points on real ones (docs/decisions.md)")
    if len(trial.training) < LEAST:
        return Nothing(f"{len(trial.training)} judged queries to train on, at least {LEAST} are needed")
    return rank_by_trees(trial, state, remember=False)
