"""The ladder: treatments tried one after another, each measured on held-out queries, kept if it helps.

A rung stays when its mean gain over what is accepted exceeds one standard error (a gate that asked
for significance of every small step would keep nothing); promotion judges the ladder as a whole.
Knows nothing about files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from resurvey.evaluate.compare import compare, holm
from resurvey.evaluate.measures import RECALL, Scores, score_mapping
from resurvey.search import recipe
from resurvey.search.recipe import BASE, LEXICAL, untouched
from resurvey.treat.attempt import Nothing, State
from resurvey.treat.catalog import Row
from resurvey.treat.trial import Trial
from resurvey.types import Comparison, Json, Run, as_run

LEAST_CHANGED = 5
"""Queries that must have changed before a gain can keep a rung: with one alone, gain and standard error are equal."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An untouched pipeline, or the user's own run (which has no recipe)."""

    name: str
    root: Json | None
    scores: Scores
    run: Run


@dataclass(frozen=True, slots=True)
class Rung:
    """One treatment tried: what came of it and why."""

    row: Row
    root: Json | None
    scores: Scores | None
    comparison: Comparison | None
    kept: bool
    reason: str
    detail: Json
    run: Run | None = None
    recall: Scores | None = None


def baselines(trial: Trial, runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Baseline]:
    """Score the untouched pipelines and the user's own runs on the trial's queries."""
    made = {name: (node, trial.run(node)) for name, node in untouched(trial.depth).items()}
    found = [Baseline(name, node, trial.scores(run, name), run) for name, (node, run) in made.items()]
    measure = trial.settings.text("measure")
    qrels = {query.id: trial.qrels[query.id] for query in trial.queries}
    for name, run in runs.items():
        if set(run) & set(qrels):
            own = score_mapping(name, run, qrels, [measure])[measure]
            scores = Scores(name, measure, own.queries, own.values)
            found.append(Baseline(name, None, scores, as_run(name, run)))
    return found


def climb(trial: Trial, rows: Sequence[Row]) -> Iterator[Rung]:
    """Try the rows in order from the untouched encoder; yields every rung as it is judged."""
    nodes = untouched(trial.depth)
    state = State(nodes[BASE], trial.run(nodes[BASE]), nodes[BASE], nodes[LEXICAL])
    before, reached = trial.scores(state.run, BASE), trial.scores(state.run, BASE, RECALL).mean
    for place, row in enumerate(rows):
        trial.progress(f"Trying {row.name}", place, len(rows))
        attempt = row.attempt(trial, state)
        if isinstance(attempt, Nothing):
            yield Rung(row, None, None, None, False, attempt.reason, {})
            continue
        scores = trial.scores(attempt.state.run, row.name)
        places = trial.selection
        trial.progress("comparing", 0, 1)
        old, new = trial.part(before, places), trial.part(scores, places)
        comparison = compare(
            old, new, confidence=trial.settings.number("confidence"), seed=trial.settings.integer("seed")
        )
        asked = row.blind if trial.standin else 1.0
        changed = int(np.count_nonzero(new.values != old.values))
        beyond = comparison.difference > asked * comparison.standard_error and (asked <= 0 or changed >= LEAST_CHANGED)
        kept = beyond if math.isfinite(asked) else True
        recall = trial.scores(attempt.state.run, row.name, RECALL)
        detail = {
            **attempt.detail,
            "recall@100 difference": round(recall.mean - reached, 4),
            "pipeline": recipe.describe(attempt.state.root),
        }
        yield Rung(
            row,
            attempt.state.root,
            scores,
            comparison,
            kept,
            _reason(comparison, asked, changed),
            detail,
            attempt.state.run,
            recall,
        )
        if kept:
            state, before, reached = attempt.state, scores, recall.mean


def corrected(rungs: Sequence[Rung]) -> list[Rung]:
    """The same rungs with Holm's correction over all their comparisons."""
    family = iter(holm([rung.comparison for rung in rungs if rung.comparison]))
    return [replace(rung, comparison=next(family)) if rung.comparison else rung for rung in rungs]


def _reason(comparison: Comparison, asked: float, changed: int) -> str:
    gain, error = 100 * comparison.difference, 100 * comparison.standard_error
    found = f"{gain:+.2f} points, standard error {error:.2f}"
    if 0 < changed < LEAST_CHANGED and math.isfinite(asked) and asked > 0:
        return f"{found}; only {changed} of {comparison.queries} queries changed, which decides nothing"
    if not math.isfinite(asked):
        return f"{found}; kept whatever stand-in queries show, they only choose the weight"
    return f"{found}; kept above {asked * error:+.2f}"
