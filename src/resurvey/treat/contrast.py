"""Contrastive fine-tuning (R55, R91): the encoder learns from judged queries, and goes back as far as is right."""

from __future__ import annotations

from resurvey.treat import school
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial


def contrast(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch under an encoder that learned from judged queries."""
    reason = school.cannot(trial, state)
    return Nothing(reason) if reason else school.attempt(trial, state)
