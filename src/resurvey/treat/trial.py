"""A trial: the judged queries, their folds and the index that treatments are tried on.

Whatever is fitted is judged on queries it was not fitted on: the training side by folds, the dev
side by what the whole training side taught. Knows nothing about any one treatment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from resurvey.data.collection import Collection
from resurvey.data.split import folds, unseen
from resurvey.evaluate.measures import Scores, score
from resurvey.evaluate.slices import facts, slices
from resurvey.search.analyse import literals
from resurvey.search.builder import Builder
from resurvey.search.fuse import fuse
from resurvey.search.index import Index
from resurvey.search.memory import Judged, judged
from resurvey.search.recipe import node_key, rule_of
from resurvey.settings import Settings
from resurvey.types import Ints, Json, Progress, Qrels, Query, Ranking, Run, silent
from resurvey.workspace import Artefacts

ENOUGH_FOR_GATE = 200
Fitted = TypeVar("Fitted")


@dataclass(slots=True)
class Trial:
    """What a treatment needs to know. `fold` is -1 for dev queries, which nothing is fitted on."""

    builder: Builder
    queries: tuple[Query, ...]
    qrels: Qrels
    fold: Ints
    settings: Settings
    memory: Judged
    """Judged queries of the training side, all of them, also those too many to fit on."""
    groups: tuple[str, ...] = ()
    """For stand-in queries, which generator made each; empty for judged ones."""
    surplus: tuple[Query, ...] = ()
    """Judged training queries beyond those tried on: an encoder may learn from them and be judged on the others."""
    progress: Progress = silent
    crossed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """For a model or adapter that learned from queries of this trial: for every place, one that never saw its query."""
    trainings: set[str] = field(default_factory=set)
    """Names of the trainings that the rungs tried so far rest on."""
    _runs: dict[str, Run] = field(default_factory=dict)

    @property
    def index(self) -> Index:
        """The index that is searched."""
        return self.builder.index

    @property
    def artefacts(self) -> Artefacts:
        """Where what is learned is kept."""
        return self.builder.artefacts

    @property
    def standin(self) -> bool:
        """Whether queries made from the corpus stand in for judged ones."""
        return bool(self.groups)

    @property
    def depth(self) -> int:
        """Documents that each branch contributes."""
        return self.settings.integer("depth")

    @property
    def training(self) -> Ints:
        """Places of the queries that may be fitted on."""
        return np.flatnonzero(self.fold >= 0)

    @property
    def selection(self) -> Ints:
        """Places of the queries that decide which rungs stay."""
        return self.training if self.gated_apart else np.arange(len(self.queries))

    @property
    def gate(self) -> Ints:
        """Places of the queries that decide on promotion."""
        return np.flatnonzero(self.fold < 0) if self.gated_apart else np.arange(len(self.queries))

    @property
    def gated_apart(self) -> bool:
        """Whether the dev side is large enough to gate on labels that selected nothing."""
        return int((self.fold < 0).sum()) >= ENOUGH_FOR_GATE

    def run(self, node: Json) -> Run:
        """What a node with nothing fitted in it returns for all queries; every branch is searched once."""
        key = node_key(node)
        if key not in self._runs:
            self._runs[key] = self._search(node)
        return self._runs[key]

    def _search(self, node: Json) -> Run:
        if node["stage"] == "fused":
            return fuse([self.run(child) for child in node["inputs"]], rule_of(node), node["depth"])
        if node["depth"] < self.depth:
            return self.run({**node, "depth": self.depth}).top(node["depth"])
        rankings: dict[str, Ranking] = {}
        for model, some in self.parts(node.get("model", "")):
            for adapter, others in self.parts(node.get("adapter", "")):
                places = np.intersect1d(some, others)
                if len(places):
                    rest = {key: value for key, value in node.items() if key not in ("model", "adapter")}
                    used = {key: value for key, value in (("model", model), ("adapter", adapter)) if value}
                    found = self.builder.node({**rest, **used}).search([self.queries[place] for place in places])
                    rankings.update(found.rankings)
        return Run(node["stage"], {query.id: rankings[query.id] for query in self.queries})

    def parts(self, learned: str) -> list[tuple[str, Ints]]:
        """Places to be searched with what was learned, or with its like that never saw their queries."""
        if learned not in self.crossed:
            return [(learned, np.arange(len(self.queries)))]
        used = np.array(self.crossed[learned], dtype=object)
        return [(str(other), np.flatnonzero(used == other)) for other in dict.fromkeys(self.crossed[learned])]

    def scores(self, run: Run, name: str, measure: str = "") -> Scores:
        """Scores of a run over all of the trial's queries."""
        chosen = measure or self.settings.text("measure")
        found = score(run, {q.id: self.qrels[q.id] for q in self.queries}, [chosen])[chosen]
        return Scores(name, chosen, found.queries, found.values)

    def part(self, scores: Scores, places: Ints) -> Scores:
        """The scores of some places only."""
        return Scores(scores.name, scores.measure, tuple(scores.queries[p] for p in places), scores.values[places])

    def slices(self) -> dict[str, tuple[str, ...]]:
        """Slices of the gate's queries."""
        asked = [self.queries[place] for place in self.gate]
        known = frozenset(document for row in self.memory.documents for document in row)
        training = {"": dict.fromkeys(known, 1)}
        fresh = unseen({q.id: self.qrels[q.id] for q in asked}, training) if self.gated_apart else frozenset[str]()
        return slices(facts(asked, literals, fresh))

    def cross_fit(self, fit: Callable[[Ints], Fitted], predict: Callable[[Fitted, Ints], Run]) -> tuple[Run, Fitted]:
        """Out-of-fold predictions for every query, and the fit on all of them.

        Args:
            fit: from places of queries to whatever is fitted.
            predict: from what was fitted and other places to their rankings.
        """
        rankings: dict[str, Ranking] = {}
        held_out = sorted(set(self.fold.tolist()))
        for place, held in enumerate(held_out):
            self.progress("fitting, held out", place, len(held_out))
            inside = np.flatnonzero((self.fold >= 0) & (self.fold != held))
            rankings.update(predict(fit(inside), np.flatnonzero(self.fold == held)).rankings)
        ordered = {query.id: rankings[query.id] for query in self.queries}
        return Run("out of fold", ordered), fit(np.arange(len(self.queries)))


def judged_trial(collection: Collection, builder: Builder, settings: Settings) -> Trial:
    """A trial on the user's own judgments: a sample of train to fit on, all of dev."""
    seed, most = settings.integer("seed"), settings.integer("train_queries")
    train, dev = collection.judged("train"), collection.judged("dev")
    fitted: Sequence[Query] = train
    if len(train) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(train), most, replace=False))
        fitted = [train[place] for place in chosen]
    tried = {query.id for query in fitted}
    queries = (*fitted, *dev)
    fold = np.concatenate([_folds(fitted, settings), np.full(len(dev), -1, dtype=np.int64)])
    if not fitted:
        fold = _folds(dev, settings)
    qrels = collection.merged("train", "dev")
    known = judged(train, collection.qrels.get("train", {}))
    surplus = tuple(query for query in train if query.id not in tried)
    return Trial(builder, queries, qrels, fold, settings, known, surplus=surplus)


def standin_trial(
    queries: Sequence[Query], qrels: Qrels, groups: Sequence[str], builder: Builder, settings: Settings
) -> Trial:
    """A trial on known-item queries; there are no judged queries to remember."""
    return Trial(builder, tuple(queries), qrels, _folds(queries, settings), settings, Judged((), ()), tuple(groups))


def _folds(queries: Sequence[Query], settings: Settings) -> Ints:
    if not queries:
        return np.zeros(0, dtype=np.int64)
    return folds(queries, min(settings.integer("folds"), max(2, len(queries) // 2)), settings.integer("seed"))
