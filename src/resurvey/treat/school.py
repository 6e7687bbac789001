"""The school: encoders that learn from judged queries, and for every query one that never saw it (R55, R56, R91).

Where many queries are judged, those beyond the trial's own teach; with few, two halves of the trial's queries each
teach an encoder that the other half is judged with, and all of them the one that is kept. What is learned goes only
as far from where it began as held-out queries want. Rungs say from which weights to start and what to learn beside
judgments; knows nothing about how weights learn.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from resurvey.data.split import folds
from resurvey.search.encode import load
from resurvey.train.card import card, save
from resurvey.train.examples import Examples
from resurvey.train.fit import ndcg
from resurvey.train.launch import learn
from resurvey.train.merge import Weights, interpolate, weights
from resurvey.train.task import Course, Dials, HeldOut, Lesson, Task
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.lesson import alike, held_out_of, kindred, parted, task_of
from resurvey.treat.trial import Trial
from resurvey.types import Ints, Json, Query
from resurvey.workspace import digest

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
SPECIAL = 2
"""Tokens of every text beside its own: most of a very short query."""
DISTIL = 0.1
"""Weight of a teacher's margins, where there is a teacher."""
SHORTEST = 32
"""Dimensions below which nobody cuts a vector."""
SHARES = (0.25, 0.5, 0.75, 1.0)
"""How far from where it began to the trained weights, tried on held-out queries; 0 is where it began."""


def cannot(trial: Trial, state: State) -> str:
    """Why no encoder can learn here; nothing where one can."""
    if trial.standin:
        return "there are no judged queries to learn from"
    judged = len(trial.surplus) + len(trial.training)
    if judged < LEAST:
        return f"{judged} judged queries to learn from, at least {LEAST} are needed"
    return "" if state.root == state.dense else "the dense branch is decided before others join it"


def attempt(
    trial: Trial,
    state: State,
    *,
    start: str | None = None,
    more: Examples | None = None,
    ask: Callable[[Task], Task] | None = None,
) -> Attempt | Nothing:
    """The dense branch under an encoder that learned, from where the ladder stands.

    Args:
        start: folder of the weights to start from; None for those that the dense branch has.
        more: examples to learn from beside the judged queries.
        ask: asks a teacher about a task, and adds what it says.
    """
    kin = kindred(trial.index.owners, alike(trial.index))
    school = School(trial, state, kin, folder_of(trial), start, more or Examples(), ask)
    made = school.from_surplus() if len(trial.surplus) >= SURPLUS else school.crossed()
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
class Told:
    """What came of teaching one encoder: its reference, how far it went, when it was best (both shares), the story."""

    model: str
    share: float
    stop: float
    detail: Json


@dataclass(frozen=True, slots=True)
class School:
    """Teaches encoders in the spaces where a state of the ladder stands."""

    trial: Trial
    state: State
    kin: Ints
    """What `kindred` says of every passage: the same for all trainings."""
    folder: Path
    """Where trainings are under way, and finished ones: a run that was killed finds them done."""
    start: str | None = None
    """Folder of the weights to start from; None for those of the space."""
    more: Examples = field(default_factory=Examples)
    """What is learned beside the judged queries."""
    ask: Callable[[Task], Task] | None = None
    """Adds a teacher's scores to a task."""

    @property
    def space(self) -> str:
        """The adapted model that the state stands on; "" is the encoder as it is."""
        return str(self.state.dense.get("model", ""))

    def from_surplus(self) -> Made | None:
        """One encoder, taught by queries that nothing else is fitted or judged on."""
        told = self._taught(self.trial.surplus, self.space)
        return Made(told.model, told.detail) if told.share else None

    def crossed(self) -> Made | None:
        """Two encoders for judging, each taught by the half that the other is judged with; and one taught by all."""
        trial = self.trial
        training = trial.training
        half = folds([trial.queries[place] for place in training], 2, trial.settings.integer("seed"))
        told = [
            self._taught([trial.queries[p] for p in training[half == side]], self._seen_by(training[half != side]))
            for side in (0, 1)
        ]
        share, stop = (float(np.mean(values)) for values in zip(*((one.share, one.stop) for one in told), strict=True))
        if not share:
            return None
        every = self._taught([trial.queries[place] for place in training], self.space, (share, stop))
        trial.builder.judges.update(one.model for one in told if one.model != every.model)
        unseen = {int(place): told[1 - int(side)].model for place, side in zip(training, half, strict=True)}
        trial.crossed[every.model] = tuple(unseen.get(place, every.model) for place in range(len(trial.queries)))
        return Made(every.model, {**every.detail, "halves": [one.detail for one in told]})

    def _seen_by(self, judged: Ints) -> str:
        """The space that judges these places: it learned from the others, if it learned here at all."""
        used = self.trial.crossed.get(self.space)
        return used[int(judged[0])] if used else self.space

    def _taught(self, queries: Sequence[Query], space: str, known: tuple[float, float] | None = None) -> Told:
        """Train on queries.

        Args:
            space: whose vectors choose negatives, and whose weights are gone back to.
            known: how far to go and when to stop (shares); some of the queries are held out to say so otherwise.
        """
        trial, seed = self.trial, self.trial.settings.integer("seed")
        state = replace(self.state, dense={**self.state.dense, "model": space} if space else self.state.dense)
        some, asked = parted(queries, seed) if known is None else (list(queries), [])
        taught = affordable(some, [d.full_text for d in trial.index.documents], seed)
        task, mined = task_of(trial, state, taught, self.kin, self.more)
        task = self.ask(task) if self.ask else task
        held = held_out_of(trial, state, asked) if asked else None
        encoder = trial.builder.of(state.dense).encoder
        dials = dials_for(trial, task, held, known[1] if known else 1.0)
        dials = replace(dials, distil=DISTIL) if task.taught else dials
        lesson = Lesson(task, dials, held, (encoder.prompt("query"), encoder.prompt("passage")))
        source = str(trial.artefacts.folder_of(space)) if space else trial.index.encoder.name
        start = self.start or source
        course = learn(start, lesson, self._place(lesson, start), trial.progress)
        model, trained = load(source).model, weights(load(str(course.model)).model)
        base = weights(model)
        known_ends = (None if self.start else course.log[0]["held out"], course.best["held out"])
        scores = _by_share(model, (base, trained), lesson, known_ends) if held else {}
        share = max(scores, key=lambda part: (scores[part], -part)) if known is None else known[0]
        interpolate(model, base, trained, share)
        detail = {
            **_detail(course, task, mined.log),
            "share": share,
            "held out by share": {f"{p:g}": s for p, s in scores.items()},
        }
        with TemporaryDirectory() as folder:
            save(model, Path(folder) / "model", card(detail, dials, trial.index.encoder.name, share))
            kept = trial.artefacts.put_folder(Path(folder) / "model")
        return Told(kept, share, detail["best step"] / max(1, detail["steps"]), detail)

    def _place(self, lesson: Lesson, start: str) -> Path:
        """The folder of one training: what is learned, and from which weights."""
        name = digest(lesson.key, start)[:16]
        self.trial.trainings.add(name)
        return self.folder / name


def tidy(trial: Trial) -> None:
    """Remove the trainings that belong to no rung of this ladder; those of it let a killed run go on."""
    folder = folder_of(trial)
    for place in folder.iterdir() if folder.is_dir() else ():
        if place.name not in trial.trainings:
            shutil.rmtree(place)


def folder_of(trial: Trial) -> Path:
    """Where trainings are under way."""
    return trial.artefacts.folder.parent / "training"


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
    return sum(len(text) for text in texts) / CHARACTERS + SPECIAL * len(texts)


def _by_share(
    model: SentenceTransformer,
    ends: tuple[Weights, Weights],
    lesson: Lesson,
    known: tuple[float | None, float | None],
) -> dict[float, float]:
    """NDCG@10 of the held-out queries at 0 and at every share of SHARES.

    Args:
        known: what the training found at 0 and at 1 already; None where it did not ask.
    """
    scores = {share: score for share, score in zip((0.0, 1.0), known, strict=True) if score is not None}
    for share in (0.0, *SHARES):
        if share not in scores:
            interpolate(model, *ends, share)
            scores[share] = ndcg(model, lesson)
    return dict(sorted(scores.items()))


def _detail(course: Course, task: Task, log: Mapping[str, int]) -> Json:
    return {
        "queries": len(task.queries),
        "passages": len(task.passages),
        "steps": course.log[-1]["of"],
        "best step": course.best["step"],
        "seconds": course.log[-1]["seconds"],
        "log": course.log,
        **({"examples": dict(Counter(task.sources))} if len(set(task.sources)) > 1 else {}),
        "mined": {name: count for name, count in log.items() if count and name not in ("candidates", "left")},
    }
