"""After a treatment: the findings it can have changed, taken again (R22).

Stands above the ladder and the examination, which know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from resurvey.diagnose import levels
from resurvey.diagnose.cures import short
from resurvey.diagnose.examine import Patient, follow_up, rare
from resurvey.search.fuse import ReciprocalRank, fuse
from resurvey.search.recipe import BASE, LEXICAL, untouched
from resurvey.treat.ladder import Rung
from resurvey.treat.trial import Trial
from resurvey.types import Finding, Json, Run


def followed(trial: Trial, rungs: Sequence[Rung]) -> dict[int, list[Json]]:
    """For the place of every rung that was kept, the findings as it left them."""
    trial.progress("Taking the findings again", 0, 1)
    some = rare(trial.index, trial.queries)
    words = Run(LEXICAL, trial.run(untouched(trial.depth)[LEXICAL]).rankings)
    found = {}
    for place, rung in enumerate(rungs):
        if rung.kept and rung.root and rung.run:
            now = Run(BASE, rung.run.rankings)
            runs = {"dense": now, "lexical": words, "fused": fuse([words, now], ReciprocalRank(), trial.depth)}
            patient = Patient(
                trial.index, trial.queries, trial.qrels, runs, trial.standin, trial.settings.integer("seed"), some
            )
            with levels.using(levels.parse(trial.settings.names("thresholds"))):
                found[place] = [short(finding) for finding in _taken(trial, rung.root, patient)]
    return found


def _taken(trial: Trial, root: Json, patient: Patient) -> list[Finding]:
    """The map is a new one where the dense branch itself has learned, and is asked by queries it did not learn from."""
    model = str(root.get("model", "")) if root["stage"] == "dense" else ""
    if not model:
        return follow_up(patient, ())
    used = trial.crossed.get(model, (model,) * len(trial.queries))
    apart = [query for query, judge in zip(trial.queries, used, strict=True) if judge == model]
    return follow_up(replace(patient, index=trial.builder.in_space(model)), apart)
