"""What a treatment answers: an attempt with out-of-fold results, or nothing to gain, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from resurvey.treat.trial import Trial
from resurvey.types import Json, Run


@dataclass(frozen=True, slots=True)
class State:
    """Where the ladder stands: the accepted tree, its out-of-fold run, and its dense and lexical branches."""

    root: Json
    run: Run
    dense: Json
    lexical: Json


@dataclass(frozen=True, slots=True)
class Attempt:
    """A candidate tree fitted on everything, with the run of its out-of-fold versions."""

    state: State
    detail: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to gain here, and why."""

    reason: str


class Treatment(Protocol):
    """State to a candidate, or nothing to gain."""

    def __call__(self, trial: Trial, state: State) -> Attempt | Nothing:
        """Try it; never touches `state`."""
        ...
