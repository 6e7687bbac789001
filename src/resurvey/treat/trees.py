"""Fitting the feature ranker on a trial: candidates of all branches, honest evidence, cross-fitted trees.

Shared by the treatments that differ only in the evidence they allow.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from resurvey.search import recipe
from resurvey.search.features import Evidence, Pairs
from resurvey.search.fuse import ReciprocalRank, fuse
from resurvey.search.memory import NAME as MEMORY
from resurvey.search.memory import Judged, Memory
from resurvey.search.ranker import Lessons, Trees, rescored
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.types import Floats, Ints, Json, Ranking, Run

LEAST = 40
SHARE = 0.5
"""Share of the search depth that each branch contributes to the ranker's candidates."""
BLANK = 0.3
"""Share of the training pairs about which the memory is silent, so that documents nobody has asked for yet are still found."""


def rank_by_trees(trial: Trial, state: State, *, remember: bool) -> Attempt | Nothing:
    """Trees over all evidence of this index; `remember` adds the judged queries' evidence."""
    depth, model = max(10, int(SHARE * trial.depth)), state.dense.get("model", "")
    branches = [{**state.lexical, "depth": depth}, {**state.dense, "depth": depth}, recipe.characters(depth)]
    runs = [
        *(trial.run(node) for node in branches),
        *([_recalled(trial, depth, model)] if remember else []),
    ]
    pool = fuse(runs, ReciprocalRank(), depth * len(runs))
    plain, taught, names = _gather(trial, pool, remember, state.dense)
    grades = [
        np.array([trial.qrels[q.id].get(d, 0) for d in pool[q.id].documents], dtype=np.int64) for q in trial.queries
    ]
    if len({int(trial.fold[p]) for p in trial.training if len(set(grades[p].tolist())) > 1}) < 2:
        return Nothing(
            "the relevant documents of the judged queries are not among the candidates, so trees have nothing to learn from"
        )

    lessons = Lessons(taught, np.concatenate(grades), names)

    def fit(places: Ints) -> Trees:
        return lessons.train(places, seed=trial.settings.integer("seed"))

    def predict(trees: Trees, places: Ints) -> Run:
        part = _part(plain, places)
        return rescored(pool, [trial.queries[p] for p in places], part.starts, trees.scores(part.rows))

    run, trees = trial.cross_fit(fit, predict)
    judged = trial.artefacts.put(_everything_judged(trial).dump()) if remember else ""
    inputs = [*branches, *([recipe.memory(depth, judged, model)] if remember else [])]
    node = recipe.ranked(recipe.fused(inputs, depth * len(inputs)), trial.artefacts.put(trees.dump()), judged, model)
    gains = {name: round(gain, 3) for name, gain in list(trees.gains().items())[:12]}
    detail: Json = {
        "training queries": len(trial.queries),
        "candidates a query": round(len(plain.rows) / max(1, len(trial.queries))),
        "gains": gains,
    }
    return Attempt(replace(state, root=node, run=run), detail)


def outside(trial: Trial) -> Ints:
    """Places of the dev queries, which follow the training ones."""
    return np.flatnonzero(trial.fold < 0)


def _recalled(trial: Trial, depth: int, model: str) -> Run:
    """The memory branch for all queries, honest for each: never its own entry."""
    rankings: dict[str, Ranking] = {}
    for other, places in trial.parts(model):
        index = trial.builder.in_space(other)
        for part, leave_out in ((trial.training, True), (outside(trial), False)):
            asked = [trial.queries[p] for p in np.intersect1d(places, part)]
            if asked:
                found = Memory(index, trial.memory, depth=depth, leave_out=leave_out).search(asked)
                rankings.update(found.rankings)
    return Run(MEMORY, {query.id: rankings[query.id] for query in trial.queries})


def _everything_judged(trial: Trial) -> Judged:
    """The memory that a promoted pipeline carries: the training side and the dev side."""
    queries = [trial.queries[p] for p in outside(trial)]
    rows = tuple(tuple(sorted(d for d, grade in trial.qrels[q.id].items() if grade > 0)) for q in queries)
    return Judged((*trial.memory.texts, *(q.text for q in queries)), (*trial.memory.documents, *rows))


def _gather(trial: Trial, pool: Run, remember: bool, dense: Json) -> tuple[Pairs, Pairs, tuple[str, ...]]:
    """Feature rows of all queries, to predict from and to teach with; and the features' names."""

    def evidence(model: str, leave_out: bool) -> Evidence:
        plain = trial.builder.evidence(model=model, adapted="adapter" in dense)
        if not remember:
            return plain
        return plain.with_memory(Memory(trial.builder.in_space(model), trial.memory, leave_out=leave_out))

    rows: list[Floats] = [np.zeros((0, 0), dtype=np.float32)] * len(trial.queries)
    for model, places in trial.parts(dense.get("model", "")):
        for part, leave_out in ((trial.training, True), (outside(trial), False)):
            asked = np.intersect1d(places, part)
            if len(asked):
                pairs = evidence(model, leave_out).pairs([trial.queries[p] for p in asked], pool)
                for place, (start, end) in zip(asked, itertools.pairwise(pairs.starts), strict=True):
                    rows[place] = pairs.rows[start:end]
    plain = Pairs(np.cumsum([0, *map(len, rows)]), np.concatenate(rows))
    whole = evidence(dense.get("model", ""), False)
    if not remember:
        return plain, plain, whole.names
    rng = np.random.default_rng(trial.settings.integer("seed"))
    silenced = whole.silenced(plain.rows, rng.random(len(plain.rows)) < BLANK)
    return plain, Pairs(plain.starts, silenced), whole.names


def _part(pairs: Pairs, places: Ints) -> Pairs:
    spans = [(int(pairs.starts[p]), int(pairs.starts[p + 1])) for p in places]
    starts = np.concatenate([[0], np.cumsum([end - start for start, end in spans])]).astype(np.int64)
    rows: Floats = np.concatenate([pairs.rows[start:end] for start, end in spans]) if spans else pairs.rows[:0]
    return Pairs(starts, rows)
