"""Logistic regression with a penalty, small enough to be read whole (Platt, 1999, with several readings).

Readings are standardised on what is fitted, those that are missing count as average, and their weights are drawn
towards nothing: with few judgments they say little more than the base rate. Knows nothing about rankings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.types import Bools, Doubles, Json

STEPS, CLOSE = 50, 1e-9
FAR = 4.0
"""Standard deviations beyond which a reading counts no further: what was never seen is not trusted without end."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """Fitted weights of named readings."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    weights: tuple[float, ...]
    constant: float

    def logits(self, rows: Doubles) -> Doubles:
        """Log-odds of every row of readings (rows, names)."""
        if not self.names:
            return np.full(len(rows), self.constant)
        return np.asarray(
            _scaled(rows, np.array(self.means), np.array(self.spreads)) @ np.array(self.weights) + self.constant
        )

    def probabilities(self, rows: Doubles) -> Doubles:
        """Probability of every row of readings."""
        return sigmoid(self.logits(rows))

    def dump(self) -> Json:
        """As JSON; floats keep every bit."""
        return {
            "names": list(self.names), "means": list(self.means), "spreads": list(self.spreads),
            "weights": list(self.weights), "constant": self.constant,
        }  # fmt: skip


def load_logistic(value: Json) -> Logistic:
    """What `dump` wrote."""
    return Logistic(
        tuple(value["names"]), tuple(value["means"]), tuple(value["spreads"]), tuple(value["weights"]), value["constant"]
    )  # fmt: skip


def fit(rows: Doubles, true: Bools, names: Sequence[str], penalty: float = 1.0) -> Logistic:
    """The weights that explain `true` best, less `penalty` times half their squares.

    What came true every time in n is taken for n + 1 of n + 2, as Platt does: few examples make nothing certain.

    Args:
        rows: (examples, names); NaN where a reading is missing.
    """
    means, spreads = _moments(rows)
    inputs = np.column_stack([_scaled(rows, means, spreads), np.ones(len(rows))])
    many = int(true.sum())
    outcome = np.where(true, (many + 1) / (many + 2), 1 / (len(true) - many + 2))
    ridge = np.append(np.full(inputs.shape[1] - 1, penalty), 1e-3)  # the constant is drawn only where all are alike
    found = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        said = sigmoid(inputs @ found)
        slope = inputs.T @ (said - outcome) + ridge * found
        curve = (inputs * (said * (1 - said))[:, None]).T @ inputs + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        found = found - step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < CLOSE:
            break
    return Logistic(
        tuple(names), tuple(means.tolist()), tuple(spreads.tolist()), tuple(found[:-1].tolist()), float(found[-1])
    )


def columns(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Doubles:
    """Readings by name as a matrix (rows, names), NaN where one is missing."""
    return np.array([[row.get(name, np.nan) for name in names] for row in rows], dtype=np.float64).reshape(
        len(rows), len(names)
    )


def sigmoid(values: Doubles) -> Doubles:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(values, dtype=np.float64))))


def _moments(rows: Doubles) -> tuple[Doubles, Doubles]:
    told = ~np.isnan(rows)
    many = np.maximum(told.sum(axis=0), 1)
    means = np.where(told, rows, 0).sum(axis=0) / many
    spreads = np.sqrt((np.where(told, rows - means, 0) ** 2).sum(axis=0) / many)
    return means, np.where(spreads > 1e-9, spreads, 1.0)


def _scaled(rows: Doubles, means: Doubles, spreads: Doubles) -> Doubles:
    scaled = (np.asarray(rows, dtype=np.float64) - means) / spreads
    return np.clip(np.where(np.isnan(scaled), 0.0, scaled), -FAR, FAR)
