"""The query-side adapter (R93): queries learn to point at what answers them; documents keep their vectors.

How far to go from the identity, and in how many directions, is chosen by cross-validation inside whatever is fitted
on; not at all is allowed. Whatever searches the adapted branch afterwards moves each of the trial's queries by a map
that was fitted without it (`Trial.crossed`), so that nothing decided on top sees a query moved by its own answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array

from resurvey.evaluate.measures import score
from resurvey.search.adapter import Adapter
from resurvey.search.dense import Dense
from resurvey.treat.adapting import Lesson, adapter_of, confused, path
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.mine import in_passages
from resurvey.treat.negatives import positives_of
from resurvey.treat.trial import Trial
from resurvey.types import Doubles, Floats, Ints, Json, Run

LEAST = 40
"""Judged queries to learn from, as the trees ask for; where it begins to pay is not measured yet."""
STEPS = (1, 2, 4, 8)
RANKS = (64, 0)
"""Directions in which queries may move; 0: all."""
CHOICES = tuple((steps, rank) for steps in STEPS for rank in RANKS)
HARD = 30
"""Nearest passages that answer something else."""
NEAREST = 100
Chosen: TypeAlias = tuple[Adapter, tuple[int, int]] | None


def adapter(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch with its queries moved by a linear map that is fitted on judged queries."""
    if trial.standin:
        return Nothing("stand-in queries are made of their documents' words; what moves them moves no real query")
    if len(trial.training) < LEAST:
        return Nothing(f"{len(trial.training)} judged queries to train on, at least {LEAST} are needed")
    if state.root != state.dense or "adapter" in state.dense:
        return Nothing("queries are adapted once, before other branches join the dense one")
    if state.dense.get("model", "") in trial.crossed:
        return Nothing("the halves of the judged queries are judged in two spaces, and one map cannot serve both")
    fitting = Fitting(trial, state.dense)
    run, chosen = trial.cross_fit(fitting.fit, fitting.predict)
    if chosen is None:
        return Nothing("on held-out queries no step away from the encoder's own query vectors gains anything")
    learned, (steps, _) = chosen
    reference = trial.artefacts.put(learned.dump())
    trial.crossed[reference] = fitting.unseen()
    node: Json = {**state.dense, "adapter": reference}
    detail: Json = {"steps": steps, "rank": learned.rank, "queries": len(fitting.taught)}
    return Attempt(replace(state, root=node, run=run, dense=node), detail)


class Fitting:
    """A trial's queries as a lesson, and every path that was fitted on some of them, once."""

    def __init__(self, trial: Trial, dense: Json) -> None:
        self.trial = trial
        self.dense = dense
        self.lesson = lesson_of(trial, dense)
        self.taught = self.lesson.teaching(np.arange(len(trial.queries)))
        self._paths: dict[bytes, list[Floats]] = {}
        self._gains: dict[tuple[bytes, bytes], Doubles] = {}

    def fit(self, places: Ints) -> Chosen:
        """The choice that does best on held-out queries of the training side, fitted on all of `places`; None: none."""
        inside = places[self.trial.fold[places] >= 0]
        groups = self.trial.fold[inside]
        if len(set(groups.tolist())) < 2:
            groups = np.arange(len(inside)) % 2
        parts = [(inside[groups != held], inside[groups == held]) for held in sorted(set(groups.tolist()))]
        gains = [self._gain(rest, out) for rest, out in parts if len(self.lesson.teaching(rest))]
        means = np.concatenate(gains).mean(axis=0) if gains else np.zeros(len(CHOICES))
        best = int(np.argmax(means))
        if means[best] <= 0:
            return None
        steps, rank = CHOICES[best]
        return adapter_of(self._path(places)[steps - 1], rank), CHOICES[best]

    def unseen(self) -> tuple[str, ...]:
        """For every place the reference of an adapter that was fitted without its query; "" where none is."""
        fold, kept = self.trial.fold, dict[int, str]()
        for held in set(fold.tolist()):
            chosen = self.fit(np.flatnonzero((fold >= 0) & (fold != held)))
            kept[held] = self.trial.artefacts.put(chosen[0].dump()) if chosen else ""
        return tuple(kept[held] for held in fold.tolist())

    def predict(self, chosen: Chosen, places: Ints) -> Run:
        """What the queries at `places` find, moved or as they are."""
        return self._search(chosen[0] if chosen else None, places)

    def _gain(self, rest: Ints, out: Ints) -> Doubles:
        """(queries, choices): gains over no adapter of the queries `out`, from what `rest` taught."""
        key = rest.tobytes(), out.tobytes()
        if key not in self._gains:
            asked = [self.trial.queries[place] for place in out]
            qrels = {query.id: self.trial.qrels[query.id] for query in asked}
            measure = self.trial.settings.text("measure")
            found = []
            for adapted in [None, *(adapter_of(self._path(rest)[steps - 1], rank) for steps, rank in CHOICES)]:
                found.append(score(self._search(adapted, out), qrels, [measure])[measure].values)
            self._gains[key] = np.column_stack(found[1:]) - found[0][:, None]
        return self._gains[key]

    def _path(self, places: Ints) -> list[Floats]:
        key = places.tobytes()
        if key not in self._paths:
            self._paths[key] = path(self.lesson, places, max(STEPS))
        return self._paths[key]

    def _search(self, adapted: Adapter | None, places: Ints) -> Run:
        node = self.dense
        index = self.trial.builder.of(node)
        dense = Dense(index, node["view"], node["transform"], self.trial.depth, adapted)
        return dense.search([self.trial.queries[place] for place in places])


def lesson_of(trial: Trial, dense: Json) -> Lesson:
    """The trial's queries, their answers and what is mistaken for them, in the space of a dense node."""
    index, view, transform = trial.builder.of(dense), dense["view"], dense["transform"]
    queries = index.transformed(index.vectors.vectors([q.text for q in trial.queries], "query"), transform)
    vectors = index.view(view, transform)
    positives = positives_of(trial.queries, trial.qrels, index.rows)
    ones = np.ones(len(positives.rows), dtype=np.float32)
    shape = (len(queries), len(index.documents))
    relevant = csr_array((ones, positives.rows, positives.offsets), shape=shape)
    owners = index.owners if view == "passages" else np.arange(len(index.documents))
    if view == "passages":
        positives = in_passages(positives, queries, vectors, np.append(index.starts, len(owners)))
    nearest = index.nearest(view, transform, queries).search(queries, min(NEAREST, len(vectors)))[0]
    hard = confused(nearest, owners, relevant, HARD)
    return Lesson(queries, vectors, positives.rows, positives.offsets, hard, owners, relevant)
