"""Continued pretraining on the corpus (R53), then the contrasts again from there.

Guessing hidden words needs no judgments, so nothing of it can leak; what it is worth shows only after contrastive
learning (GPL, Wang et al., NAACL 2022: pretraining first gains, pretraining afterwards harms).
"""

from __future__ import annotations

from dataclasses import replace

from resurvey.train.masked import Masking, can_guess, pretrain
from resurvey.treat import school
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial

FEWEST = 500
"""Passages from which guessing their words can teach anything."""


def pretrained(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch under an encoder that read the corpus before it learned from judged queries."""
    reason = school.cannot(trial, state)
    if reason:
        return Nothing(reason)
    texts = trial.index.cut.texts
    if len(texts) < FEWEST:
        return Nothing(f"{len(texts)} passages, at least {FEWEST} are needed to learn a language from")
    source = trial.index.encoder.name
    if not can_guess(source):
        return Nothing("the encoder has no masked language model's head, or no token that hides a word")
    name = "masked"
    trial.trainings.add(name)
    dials = replace(Masking(), seed=trial.settings.integer("seed"))
    start, seen = pretrain(source, texts, school.folder_of(trial) / name, dials, trial.progress)
    found = school.attempt(trial, state, start=str(start))
    return found if isinstance(found, Nothing) else Attempt(found.state, {**found.detail, "pretraining": seen})
