"""A second round (R55): the encoder goes on learning, against negatives that it mines itself.

What the first round left wrong is what the new space puts too high; negatives of the old space are mostly learned.
"""

from __future__ import annotations

from resurvey.treat import school
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial


def remine(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch under an encoder that learned once more, from where the first round left it."""
    reason = school.cannot(trial, state)
    if not reason and not state.dense.get("model"):
        reason = "no first round was kept, so there is no new space to mine in"
    return Nothing(reason) if reason else school.attempt(trial, state)
