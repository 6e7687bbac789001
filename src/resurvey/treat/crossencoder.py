"""A cross-encoder trained on the judged queries (R57), from the configured reranker or the encoder's own weights.

Two halves of the training side judge each other: what orders a query was trained on the other half, and dev queries
are ordered by the one trained on both, which is also the one that is kept. An off-the-shelf reranker that was
accepted is replaced, not stacked upon, so the trained one must beat it to stay.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resurvey.errors import ResurveyError
from resurvey.search.encode import locate
from resurvey.search.rerank import BEFORE, NAME, READ, Reranking
from resurvey.search.scorers import LocalScorer, is_endpoint, load_cross_encoder
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.blending import Affordable, Blending, affordable, described, node, reading, scored
from resurvey.treat.crosstrain import Example, Held, Log, from_encoder, train
from resurvey.treat.trial import Trial
from resurvey.types import Floats, Ints, Json, Ranking, Run

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

LEAST = 40
"""Judged queries to train on."""
NEGATIVES = 4
"""Negatives a relevant document, drawn from the first HARD candidates."""
HARD = 20
POSITIVES = 4
"""Most relevant documents of one query that are taught: a query with hundreds would speak for all."""
NEAR = 0.8
"""From this share of common words (Jaccard) on, a candidate is a relevant document's near-duplicate and no negative.
Words, not cosines: in the narrow cones of some encoders everything is near."""
HELD = 5
"""Every fifth training query chooses the best state instead, at most MOST_HELD of them."""
MOST_HELD = 60


def cross_encoder(trial: Trial, state: State) -> Attempt | Nothing:
    """The first documents of the accepted pipeline, reordered by a cross-encoder trained on the judged queries."""
    if trial.standin or len(trial.training) < LEAST:
        few = f"{len(trial.training)} judged queries to train on, at least {LEAST} are needed"
        blind = "rankers trained on stand-in queries lose up to 60 points on real ones (docs/decisions.md)"
        return Nothing(blind if trial.standin else few)
    beneath = without_reranker(state)
    with tempfile.TemporaryDirectory() as folder:
        try:
            start, begun = _start(trial, Path(folder))
        except ResurveyError as error:
            return Nothing(f"there are no weights to begin from: {error.problems[0] if error.problems else error}")
        scorer = LocalScorer("untrained", load_cross_encoder(start))
        allowed = affordable(trial, beneath.run, scorer, READ[reading(state)](trial.index))
        if not allowed.depth:
            budget = trial.settings.integer("rerank_budget_ms")
            return Nothing(f"at {allowed.pairs_a_second:.0f} pairs a second, {budget} ms allow fewer than 5 documents")
        school = School(trial, beneath, start, allowed.depth)
        if not school.teachable:
            return Nothing("no judged query has both a relevant document in the index and other candidates")
        answer = _tried(trial, beneath, school, allowed, Path(folder))
    if isinstance(answer, Nothing):
        return answer
    return replace(answer, detail={**answer.detail, "began from": begun})


def without_reranker(state: State) -> State:
    """The state before a reranker came on top; as it is where none did."""
    if state.root["stage"] != "reranked":
        return state
    rankings = {query: _before(ranking) for query, ranking in state.run.rankings.items()}
    return replace(state, root=state.root["input"], run=Run(state.run.name, rankings))


def _before(ranking: Ranking) -> Ranking:
    if BEFORE not in ranking.stages:
        return ranking
    stage = ranking.stages[BEFORE]
    order = np.argsort(stage.ranks, kind="stable")
    kept = {n: replace(s, ranks=s.ranks[order], scores=s.scores[order]) for n, s in ranking.stages.items()}
    stages = {name: column for name, column in kept.items() if name not in (BEFORE, NAME)}
    return Ranking([ranking.documents[place] for place in order], stage.scores[order], stages)


@dataclass(slots=True)
class School:
    """Lessons from some queries, models trained on them, and their word on others."""

    trial: Trial
    state: State
    start: str
    depth: int

    @property
    def teachable(self) -> bool:
        """Whether either half of the training side has an example."""
        return all(self._examples(half) for half in self.halves())

    def halves(self) -> tuple[Ints, Ints]:
        """Places of the training side by every other fold."""
        folds = sorted(set(self.trial.fold[self.trial.training].tolist()))
        fold = self.trial.fold
        return np.flatnonzero(np.isin(fold, folds[::2])), np.flatnonzero(np.isin(fold, folds[1::2]))

    def teach(self, places: Ints) -> tuple[CrossEncoder, Log]:
        """A model trained on the queries at `places`; some of them choose its best state."""
        held = places[HELD - 1 :: HELD][:MOST_HELD]
        taught = np.setdiff1d(places, held)
        settings = self.trial.settings
        seconds, seed = 60 * settings.integer("rerank_minutes") / 3, settings.integer("seed")
        return train(self.start, self._examples(taught), self._held(held), seconds=seconds, seed=seed)

    def word(self, model: CrossEncoder, places: Ints) -> dict[str, Floats]:
        """The model's scores of the first documents of other queries."""
        scorer = LocalScorer("trained", model)
        reranking = Reranking(scorer, READ[reading(self.state)](self.trial.index), depth=self.depth)
        return scored(self.trial, reranking, self.state.run, places)

    def _texts(self, place: int, documents: list[str]) -> dict[str, str]:
        read = READ[reading(self.state)](self.trial.index)
        return dict(zip(documents, read(self.trial.queries[place], documents), strict=True))

    def _examples(self, places: Ints) -> list[Example]:
        found = []
        for place in places.tolist():
            query = self.trial.queries[place]
            relevant = self._relevant(place)
            rng = np.random.default_rng([self.trial.settings.integer("seed"), place])
            candidates = self._negatives(place, relevant)
            for document in relevant[:POSITIVES]:
                drawn = sorted(rng.choice(len(candidates), min(NEGATIVES, len(candidates)), replace=False).tolist())
                chosen = [candidates[at] for at in drawn]
                if chosen:
                    texts = self._texts(place, [document, *chosen])
                    found.append(Example(query.text, texts[document], tuple(texts[other] for other in chosen)))
        return found

    def _relevant(self, place: int) -> list[str]:
        grades = self.trial.qrels[self.trial.queries[place].id]
        known = [document for document, grade in grades.items() if grade > 0 and document in self.trial.index.rows]
        return sorted(known, key=lambda document: (-grades[document], document))

    def _negatives(self, place: int, relevant: list[str]) -> list[str]:
        """The first candidates that are neither relevant nor near-duplicates of what is."""
        if not relevant:
            return []
        found = [d for d in self.state.run[self.trial.queries[place].id].documents if d not in relevant][: 2 * HARD]
        answers = [self._words(document) for document in relevant]
        return [d for d in found if not any(alike(self._words(d), words) for words in answers)][:HARD]

    def _words(self, document: str) -> frozenset[str]:
        index = self.trial.index
        return frozenset(re.findall(r"\w+", index.documents[index.rows[document]].full_text.lower()))

    def _held(self, places: Ints) -> Held:
        queries: dict[str, tuple[str, Mapping[str, str]]] = {}
        for place in places.tolist():
            query = self.trial.queries[place]
            documents = list(self.state.run[query.id].documents[: self.depth])
            if documents:
                queries[query.id] = query.text, self._texts(place, documents)
        qrels = {id: self.trial.qrels[id] for id in queries}
        return Held(queries, qrels, self.trial.settings.text("measure"))


def alike(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two texts say nearly the same words."""
    return len(one & other) >= NEAR * len(one | other)


def _start(trial: Trial, folder: Path) -> tuple[str, str]:
    """What training begins from, and in words: the configured reranker's weights, or the encoder's with a fresh head."""
    name = trial.settings.text("reranker")
    if name and not is_endpoint(name):
        return locate(name), "the configured reranker"
    made = from_encoder(trial.index.encoder.name, folder, trial.settings.integer("seed"))
    return str(made), "the encoder, with a fresh head"


def _tried(trial: Trial, state: State, school: School, allowed: Affordable, folder: Path) -> Attempt | Nothing:
    first, second = school.halves()
    scores: dict[str, Floats] = {}
    for place, (taught, judged) in enumerate(((first, second), (second, first))):
        trial.progress("training a cross-encoder", place, 3)
        scores |= school.word(school.teach(taught)[0], judged)
    trial.progress("training a cross-encoder", 2, 3)
    model, log = school.teach(trial.training)
    scores |= school.word(model, np.flatnonzero(trial.fold < 0))
    blending = Blending(trial, state.run, scores)
    weight = blending.fit(trial.training)
    if weight == 0:
        return Nothing(
            f"the queries give the trained cross-encoder no weight; alone it scores {blending.means()['1.0']}"
        )
    model.save_pretrained(str(folder / "kept"), create_model_card=False)
    reference = trial.artefacts.put_folder(folder / "kept")
    counted = LocalScorer("kept", model)
    detail: Json = {
        "weight": weight,
        "means": blending.means(),
        **described(counted, allowed, reading(state)),
        "training": log.facts(),
        "judged on": "queries of the half that it was not trained on, dev queries by the whole training side",
    }
    detail.pop("pairs cut short")
    made = replace(state, root=node(trial, state, reference, allowed.depth, weight), run=_out_of_fold(blending, school))
    return Attempt(made, detail)


def _out_of_fold(blending: Blending, school: School) -> Run:
    """Every query at the weight that others of its half ask for.

    Others of the other half were scored by a model that has seen this query, so they have no say.
    """
    trial, rankings = blending.trial, {}
    for half in (*school.halves(), np.flatnonzero(trial.fold < 0)):
        for fold in sorted(set(trial.fold[half].tolist())):
            told = trial.training if fold < 0 else half[trial.fold[half] != fold]
            run = blending.at(blending.fit(told))
            for place in half[trial.fold[half] == fold].tolist():
                id = trial.queries[place].id
                rankings[id] = run[id]
    return Run(NAME, {query.id: rankings[query.id] for query in trial.queries})
