"""Judged queries as evidence: a new query finds what answered the judged ones most like it.

The ranker refitted with the memory's readings, and with its candidates. Only where documents are
asked for more than once: where every document has one judged query, leaving that one out makes
"already judged" look like "not the answer", and trees would learn just that.
"""

from __future__ import annotations

from resurvey.search.memory import ASKED_AGAIN
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trees import LEAST, rank_by_trees
from resurvey.treat.trial import Trial


def memory(trial: Trial, state: State) -> Attempt | Nothing:
    """The feature ranker, told what judged queries like this one found."""
    if trial.standin:
        return Nothing("there are no judged queries to remember")
    if len(trial.training) < LEAST:
        return Nothing(f"{len(trial.training)} judged queries to train on, at least {LEAST} are needed")
    share = trial.memory.asked_again
    if share < ASKED_AGAIN:
        return Nothing(
            f"only {100 * share:.0f} % of the judged queries share a document with another; memory needs {100 * ASKED_AGAIN:.0f} %"
        )
    return rank_by_trees(trial, state, remember=True)
