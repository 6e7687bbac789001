"""The gate: a candidate goes live only if it beats the best untouched pipeline and harms no slice.

Knows scores and slices; knows nothing about recipes or files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.evaluate.compare import compare
from resurvey.evaluate.measures import Scores
from resurvey.settings import Settings
from resurvey.types import Comparison


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gate found: the comparison as a whole, and slices with (queries, difference)."""

    comparison: Comparison
    slices: Mapping[str, tuple[int, float]]
    refusals: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may go live."""
        return not self.refusals


def judge(baseline: Scores, challenger: Scores, slices: Mapping[str, Sequence[str]], settings: Settings) -> Outcome:
    """Hold `challenger` against `baseline` (the best untouched pipeline) over the gate's queries."""
    comparison = compare(baseline, challenger, confidence=settings.number("confidence"), seed=settings.integer("seed"))
    points, least = settings.number("gate_slice_points"), settings.integer("gate_slice_queries")
    refusals: list[str] = []
    if comparison.difference <= 0:
        refusals.append(
            f"it is not better than {baseline.name} overall ({100 * comparison.difference:+.1f} points on {comparison.queries} queries)"
        )
    found: dict[str, tuple[int, float]] = {}
    for name, queries in slices.items():
        difference = float(np.mean(challenger.of(queries) - baseline.of(queries)))
        found[name] = (len(queries), difference)
        if len(queries) >= least and 100 * difference < -points:
            refusals.append(
                f"the slice '{name}' ({len(queries)} queries) loses {-100 * difference:.1f} points, more than the {points:g} allowed"
            )
    return Outcome(comparison, found, tuple(refusals))
