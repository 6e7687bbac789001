"""A small class: queries that share no word with what answers them, so that only judgments tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from conftest import WORDS

from resurvey.data.collection import Collection
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import open_index
from resurvey.settings import Settings
from resurvey.train.task import Dials
from resurvey.treat.attempt import State
from resurvey.treat.lesson import alike, kindred
from resurvey.treat.trial import Trial, judged_trial
from resurvey.types import Document, Ints, Query
from resurvey.workspace import Artefacts

Make = Callable[[int], tuple[Trial, State]]
HERE, THERE = WORDS[:12], WORDS[12:24]
"""What documents call things, and what people who ask call the same things."""
PER = 4
"""Queries of every document: one is on the dev side."""


def classroom(folder: Path, encoder: SentenceEncoder, settings: Settings) -> Make:
    """A trial of 120 training and 40 dev queries of which at most so many are tried on, and where the ladder stands."""
    rng = np.random.default_rng(3)
    things = [rng.choice(12, 3, replace=False) for _ in range(40)]
    documents = tuple(Document(f"d{n}", " ".join(HERE[t] for t in three)) for n, three in enumerate(things))
    sides: dict[str, dict[str, Mapping[str, int]]] = {"train": {}, "dev": {}}
    queries = {}
    for place in range(PER * len(things)):
        asked = rng.permutation(things[place // PER])
        queries[f"q{place}"] = Query(f"q{place}", " ".join(THERE[t] for t in asked))
        sides["dev" if place % PER == 0 else "train"][f"q{place}"] = {f"d{place // PER}": 1}
    collection = Collection(documents, queries, sides, {}, "")
    builder = Builder(open_index(folder / "index", documents, encoder, settings), Artefacts(folder / "artefacts"))

    def made(most: int) -> tuple[Trial, State]:
        given = Settings({**settings.values, "train_queries": most})
        trial = judged_trial(collection, builder, given)
        node = recipe.dense(trial.depth)
        return trial, State(node, trial.run(node), node, recipe.lexical(trial.depth))

    return made


def quick(*given: Any) -> Dials:
    """Dials for a tiny model, whatever there is to learn."""
    return Dials(rate=2e-3, anchors=8, shared=2, extras=2, passes=5, checks=4, patience=9, stop=given[-1])


def kin_of(trial: Trial) -> Ints:
    """What `task_of` wants to know of the passages."""
    return kindred(trial.index.owners, alike(trial.index))
