"""Contrastive fine-tuning (R55, R56, R91): the encoder learns from judged queries, and goes back as far as is right.

Judged by queries that the encoder never saw. Where many are judged, those beyond the trial's own teach it; with few,
two halves of the trial's queries each teach an encoder that the other half is judged with, and all of them the one
that is kept. Whatever follows (fusion, ranker) is fitted on the same honest evidence.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from resurvey.data.split import folds
from resurvey.search.encode import load
from resurvey.train.card import card, save
from resurvey.train.fit import ndcg
from resurvey.train.launch import learn
from resurvey.train.merge import Weights, interpolate, weights
from resurvey.train.task import Course, Dials, HeldOut, Lesson, Task
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.lesson import alike, held_out_of, kindred, parted, task_of
from resurvey.treat.trial import Trial
from resurvey.types import Ints, Json, Query

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LEAST = 100
"""Judged queries without which an encoder is not trained."""
SURPLUS = 1000
"""Judged queries beyond the trial's from which on these alone teach."""
TOKENS = 900_000
"""Tokens that are learned from at most, as far as passes can be left out: about ten minutes on two cores."""
PASSES = 3
CHECKS = (3, 6)
"""Fewest and most looks at the held-out queries."""
CHECKING = 0.25
"""Share of the learning's time that they may take, between fewest and most."""
BACKWARD = 3
"""Times that learning from a token costs of reading it."""
MOST = 128
"""Tokens that are read of a passage while learning."""
CHARACTERS = 4.5
"""Characters a token has, nearly enough."""
SHORTEST = 32
"""Dimensions below which nobody cuts a vector."""
SHARES = (0.25, 0.5, 0.75, 1.0)
"""How far from the base to the trained weights, tried on held-out queries; 0 is the base."""


def contrast(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch under an encoder that learned from judged queries."""
    if trial.standin:
        return Nothing("there are no judged queries to learn from")
    judged = len(trial.surplus) + len(trial.training)
    if judged < LEAST:
        return Nothing(f"{judged} judged queries to learn from, at least {LEAST} are needed")
    if state.root != state.dense:
        return Nothing("the dense branch is decided before others join it")
    kin = kindred(trial.index.owners, alike(trial.index))
    school = _School(trial, state, kin, trial.artefacts.folder.parent / "training")
    made = school.from_surplus() if len(trial.surplus) >= SURPLUS else school.crossed()
    school.tidy()
    if made is None:
        return Nothing("no held-out query was better off, however little of what was learned is kept")
    node = {**{key: value for key, value in state.dense.items() if key != "adapter"}, "model": made.model}
    run = trial.run(node)
    return Attempt(replace(state, root=node, run=run, dense=node), made.detail)


@dataclass(frozen=True, slots=True)
class Made:
    """An adapted model, kept, and how it came about."""

    model: str
    detail: Json


@dataclass(frozen=True, slots=True)
class _School:
    trial: Trial
    state: State
    kin: Ints
    """What `kindred` says of every passage: the same for all trainings."""
    folder: Path
    """Where trainings are under way, and the last finished ones: a run that was killed finds them done."""
    lessons: list[str] = field(default_factory=list)

    def tidy(self) -> None:
        """Remove the trainings of other lessons."""
        for place in self.folder.iterdir():
            if place.name not in self.lessons:
                shutil.rmtree(place)

    def from_surplus(self) -> Made | None:
        """One encoder, taught by queries that nothing else is fitted or judged on."""
        model, share, _, detail = self._taught(self.trial.surplus)
        return Made(model, detail) if share else None

    def crossed(self) -> Made | None:
        """Two encoders for judging, each taught by the half that the other is judged with; and one taught by all."""
        trial = self.trial
        training = trial.training
        half = folds([trial.queries[place] for place in training], 2, trial.settings.integer("seed"))
        told = [self._taught([trial.queries[place] for place in training[half == side]]) for side in (0, 1)]
        share, stop = (float(np.mean([one[place] for one in told])) for place in (1, 2))
        if not share:
            return None
        model, _, _, detail = self._taught([trial.queries[place] for place in training], (share, stop))
        unseen = {int(place): told[1 - int(side)][0] for place, side in zip(training, half, strict=True)}
        trial.crossed[model] = tuple(unseen.get(place, model) for place in range(len(trial.queries)))
        return Made(model, {**detail, "halves": [one[3] for one in told]})

    def _taught(
        self, queries: Sequence[Query], known: tuple[float, float] | None = None
    ) -> tuple[str, float, float, Json]:
        """Train on queries: the model's reference, how far from the base it lies, when to stop, and how it went.

        Args:
            known: how far to go and when to stop (shares); some of the queries are held out to say so otherwise.
        """
        trial, seed = self.trial, self.trial.settings.integer("seed")
        some, asked = parted(queries, seed) if known is None else (list(queries), [])
        taught = affordable(some, [d.full_text for d in trial.index.documents], seed)
        task, mined = task_of(trial, self.state, taught, self.kin)
        held = held_out_of(trial, self.state, asked) if asked else None
        encoder = trial.builder.of(self.state.dense).encoder
        dials = dials_for(trial, task, held, known[1] if known else 1.0)
        lesson = Lesson(task, dials, held, (encoder.prompt("query"), encoder.prompt("passage")))
        self.lessons.append(lesson.key[:16])
        course = learn(self._source, lesson, self.folder / self.lessons[-1], trial.progress)
        model, trained = load(self._source).model, weights(load(str(course.model)).model)
        base = weights(model)
        scores = _by_share(model, (base, trained), lesson, course) if held else {}
        share = max(scores, key=lambda part: (scores[part], -part)) if known is None else known[0]
        interpolate(model, base, trained, share)
        detail = {
            **_detail(course, task, mined.log),
            "share": share,
            "held out by share": {f"{p:g}": s for p, s in scores.items()},
        }
        with TemporaryDirectory() as folder:
            save(model, Path(folder) / "model", card(detail, dials, encoder.name, share))
            kept = trial.artefacts.put_folder(Path(folder) / "model")
        return kept, share, detail["best step"] / max(1, detail["steps"]), detail

    @property
    def _source(self) -> str:
        """What is trained on: the encoder, or what an earlier rung made of it."""
        model = self.state.dense.get("model", "")
        return str(self.trial.artefacts.folder_of(model)) if model else self.trial.index.encoder.name


def affordable(queries: Sequence[Query], documents: Sequence[str], seed: int) -> Sequence[Query]:
    """As many of the queries, drawn at random, as one pass may cost."""
    each = _tokens([query.text for query in queries]) / len(queries)
    reading = min(MOST, _tokens(documents) / len(documents)) / Dials().shared
    most = int(TOKENS / (each + reading))
    if len(queries) <= most:
        return queries
    return [queries[place] for place in np.sort(np.random.default_rng(seed).choice(len(queries), most, replace=False))]


def dials_for(trial: Trial, task: Task, held: HeldOut | None, stop: float) -> Dials:
    """The dials that follow from what there is to learn, and from what asking the held-out queries costs beside it."""
    answered = len({place for row in task.positives for place in row})
    reads = max(answered, len(task.queries) / Dials().shared) * (1 + Dials().extras / Dials().anchors)
    once = _tokens(task.queries) + reads * min(MOST, _tokens(task.passages) / len(task.passages))
    passes = int(np.clip(TOKENS / once, 1, PASSES))
    asking = _tokens([*held.queries, *held.passages]) if held else 0.0
    checks = int(np.clip(CHECKING * BACKWARD * passes * once / max(1.0, asking), *CHECKS))
    whole = trial.index.encoder.dimensions
    shorter = tuple(d for d in (whole // 2, whole // 4) if d >= SHORTEST)
    return Dials(passes=passes, checks=checks, dimensions=shorter, seed=trial.settings.integer("seed"), stop=stop)


def _tokens(texts: Sequence[str]) -> float:
    return sum(len(text) for text in texts) / CHARACTERS


def _by_share(
    model: SentenceTransformer, ends: tuple[Weights, Weights], lesson: Lesson, course: Course
) -> dict[float, float]:
    """NDCG@10 of the held-out queries at every share of SHARES, and at 0; leaves `model` at the last one."""
    scores = {0.0: float(course.log[0]["held out"])}
    for share in SHARES:
        interpolate(model, *ends, share)
        scores[share] = ndcg(model, lesson)
    return scores


def _detail(course: Course, task: Task, log: Mapping[str, int]) -> Json:
    return {
        "queries": len(task.queries),
        "passages": len(task.passages),
        "steps": course.log[-1]["of"],
        "best step": course.best["step"],
        "seconds": course.log[-1]["seconds"],
        "log": course.log,
        "mined": {name: count for name, count in log.items() if count and name not in ("candidates", "left")},
    }
