"""Distillation (R59): the encoder learns how much better one passage answers than another, from who knows better.

The teacher is a cross-encoder, an endpoint or a larger encoder. It is asked first whether it knows better here: one
that does not order the candidates of judged queries better than the student teaches nothing (Wang et al. 2022 and
later work found the gain where the teacher is better on that domain, and only there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from resurvey.evaluate.compare import compare
from resurvey.search.encode import SentenceEncoder, load
from resurvey.search.rerank import Reranking, best_passages
from resurvey.search.scorers import Scorer, UnansweredError, open_scorer
from resurvey.train.task import Task
from resurvey.treat import school
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.types import Comparison, Floats, Run

ASKED = 150
"""Judged queries on which the teacher shows what it knows."""
AMONG = 20
"""Candidates of each that it orders."""
UNIT = 5.0
"""Root mean square of the teacher's margins once they are brought to the student's unit (cosine over temperature)."""
ENCODER = "encoder:"


def distil(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch under an encoder that learned from judged queries and from a teacher's margins."""
    name = trial.settings.text("teacher") or trial.settings.text("reranker")
    if not name:
        return Nothing("no teacher is configured; `teacher` in resurvey.toml names a cross-encoder or a larger encoder")
    reason = school.cannot(trial, state)
    if reason:
        return Nothing(reason)
    teacher = open_teacher(trial, name)
    try:
        better = knows_better(trial, state, teacher)
        shown = f"{100 * better.difference:+.1f} points over {better.queries} queries, standard error {100 * better.standard_error:.1f}"
        if better.difference <= better.standard_error:
            return Nothing(f"the teacher orders candidates no better than the encoder it would teach: {shown}")
        found = school.attempt(trial, state, ask=lambda task: asked(task, teacher, trial))
    except UnansweredError as error:
        return Nothing(f"the teacher does not answer: {error}")
    if isinstance(found, Nothing):
        return found
    return Attempt(found.state, {**found.detail, "teacher": name, "teacher ahead": shown})


def open_teacher(trial: Trial, name: str) -> Scorer:
    """The teacher of a name.

    Raises:
        ResurveyError: when it cannot be loaded.
    """
    if name.startswith(ENCODER):
        return EncoderTeacher(name, load(name.removeprefix(ENCODER)))
    return open_scorer(name, trial.artefacts, key_env=trial.settings.text("reranker_key_env"))


@dataclass(slots=True)
class EncoderTeacher:
    """An encoder as a scorer: cosines of query and texts."""

    name: str
    encoder: SentenceEncoder
    cut_short: int | None = None

    def scores(self, query: str, texts: Sequence[str], seconds: float | None = None) -> Floats:  # noqa: ARG002
        """One cosine a text; no deadline is kept."""
        (asked,), read = self.encoder.encode([query], "query"), self.encoder.encode(list(texts), "passage")
        return np.asarray(read @ asked, dtype=np.float32)


def knows_better(trial: Trial, state: State, teacher: Scorer) -> Comparison:
    """The teacher's order of the first candidates against the student's, on queries that selected nothing yet.

    Raises:
        UnansweredError: when the teacher is down.
    """
    rng = np.random.default_rng(trial.settings.integer("seed"))
    places = np.sort(rng.permutation(trial.selection)[:ASKED])
    queries = [trial.queries[place] for place in places]
    student = Run("student", {query.id: state.run[query.id] for query in queries}).top(AMONG)
    ordering = Reranking(teacher, best_passages(trial.index), depth=AMONG)
    ordered = ordering.rerank(queries, student)
    if ordering.skipped:
        raise UnansweredError(ordering.why or "not one query")
    part = replace(trial, queries=tuple(queries), fold=trial.fold[places], _runs={})
    return compare(
        part.scores(student, "student"), part.scores(ordered, "teacher"),
        confidence=trial.settings.number("confidence"), seed=trial.settings.integer("seed"),
    )  # fmt: skip


def asked(task: Task, teacher: Scorer, trial: Trial) -> Task:
    """The task with the teacher's scores of every query's answers and negatives, in the student's unit.

    Raises:
        UnansweredError: when the teacher is down.
    """
    found = []
    for place, query in enumerate(task.queries):
        trial.progress("asking the teacher", place, len(task.queries))
        texts = [task.passages[p] for p in (*task.positives[place], *task.negatives[place])]
        scores = teacher.scores(query, texts) if texts else np.zeros(0, dtype=np.float32)
        found.append(scores.astype(np.float64) - (scores.mean() if len(scores) else 0.0))
    answers = [len(row) for row in task.positives]
    margins = np.concatenate([
        (row[:count, None] - row[None, count:]).ravel() for row, count in zip(found, answers, strict=True)
    ])  # fmt: skip
    spread = float(np.sqrt(np.mean(margins**2))) if len(margins) else 0.0
    scale = UNIT / spread if spread > 0 else 0.0
    return replace(task, taught=tuple(tuple((scale * row).tolist()) for row in found))
