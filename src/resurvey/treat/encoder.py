"""Another encoder as the ladder's base (R41): every one that the settings name is tried, the best one must be worth it.

Up to two points the encoder that is there stays, being the simpler choice; from five on it is changed; between them the
interval decides. What changing costs, embedding every passage again, stands beside.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from resurvey.evaluate.compare import compare
from resurvey.evaluate.measures import RECALL, Scores
from resurvey.search.encode import load
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.types import Comparison, Ints, Json, Run

SIMPLER, CHANGE = 0.02, 0.05
"""Gains up to which the encoder stays, and from which it is changed whatever the interval."""


@dataclass(frozen=True, slots=True)
class _Tried:
    """One encoder: its name, its reference, what it returns and how good that is, and what embedding took."""

    name: str
    model: str
    run: Run
    scores: Scores
    recall: float
    seconds: float


def encoder(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch under the best of the encoders that the settings name."""
    names = trial.settings.names("encoders")
    if not names:
        return Nothing("no other encoder is named; `encoders` in resurvey.toml lists folders or hub names to compare")
    if trial.standin:
        return Nothing("stand-in queries cannot tell encoders apart; judged ones can")
    if state.root != state.dense or state.dense.get("model"):
        return Nothing("encoders are compared before anything is learned on one of them")
    before = trial.scores(state.run, "as it is")
    found = {one.name: one for one in (_try(trial, state, name) for name in names)}

    def fit(places: Ints) -> str:
        means = {name: float(one.scores.values[places].mean()) for name, one in found.items()}
        return max(means, key=lambda name: means[name])

    def predict(name: str, places: Ints) -> Run:
        run = found[name].run
        return Run("encoder", {trial.queries[p].id: run[trial.queries[p].id] for p in places})

    run, name = trial.cross_fit(fit, predict)
    places = trial.selection
    gain = compare(
        trial.part(before, places), trial.part(trial.scores(run, "chosen"), places),
        confidence=trial.settings.number("confidence"), seed=trial.settings.integer("seed"),
    )  # fmt: skip
    recall = trial.scores(state.run, "as it is", RECALL).mean
    detail = {"chosen": name, "tried": {one.name: _told(one, before, recall) for one in found.values()}}
    reason = _not_worth_it(name, gain, found[name], recall)
    if reason:
        return Nothing(reason)
    node = {**state.dense, "model": found[name].model}
    return Attempt(replace(state, root=node, run=run, dense=node), detail)


def _try(trial: Trial, state: State, name: str) -> _Tried:
    with TemporaryDirectory() as folder:
        load(name).model.save(str(Path(folder) / "model"), create_model_card=False, safe_serialization=True)
        model = trial.artefacts.put_folder(Path(folder) / "model")
    started = time.monotonic()
    run = trial.run({**state.dense, "model": model})
    seconds = time.monotonic() - started
    scores = trial.scores(run, name)
    return _Tried(name, model, run, scores, trial.scores(run, name, RECALL).mean, seconds)


def _told(one: _Tried, before: Scores, recall: float) -> Json:
    return {
        "points": round(100 * float(np.mean(one.scores.values - before.values)), 2),
        "recall@100 difference": round(one.recall - recall, 4),
        "seconds to embed and search": round(one.seconds, 1),
    }


def _not_worth_it(name: str, gain: Comparison, one: _Tried, recall: float) -> str:
    """Why the encoder that is there stays; nothing where it does not."""
    if gain.difference > CHANGE or (gain.difference > SIMPLER and gain.interval.low > 0):
        return ""
    asked = (
        f"up to {100 * SIMPLER:.0f} the one that is there stays"
        if gain.difference <= SIMPLER
        else f"under {100 * CHANGE:.0f} that must be beyond chance"
    )
    return (
        f"{name} changes the measure by {100 * gain.difference:+.1f} points ({100 * gain.interval.low:+.1f} to "
        f"{100 * gain.interval.high:+.1f}) and Recall@100 by {100 * (one.recall - recall):+.1f}; {asked}; "
        f"embedding everything again took {one.seconds:.0f} s"
    )
