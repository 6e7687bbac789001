"""The one record of the doctor: what a check found. Imports nothing heavy: it must work where things are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "missing", "wrong"]


@dataclass(frozen=True, slots=True)
class Found:
    """One line of the doctor's table; a `required` one that is not ok keeps resurvey from working."""

    name: str
    state: State
    what: str
    remedy: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast an encoder is here: passages and tokens a second, and the median milliseconds of one query."""

    model: str
    passage_tokens: int
    passages: float
    tokens: float
    query: float

    def minutes(self, passages: int) -> float:
        """Minutes that so many passages of this length take."""
        return passages / self.passages / 60
