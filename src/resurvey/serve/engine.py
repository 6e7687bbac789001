"""The engine: one candidate over one snapshot, opened and warm, with all that answering a query takes.

An engine never changes: what goes live is opened beside it, and then takes its place. So whatever an answer was made
of belongs together. Knows recipes and retrievers; knows nothing about HTTP or about what is live.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from resurvey.errors import Problem, ResurveyError
from resurvey.opened import Opened
from resurvey.promote.live import Live
from resurvey.protocols import Encoder
from resurvey.search.breaker import Breaker
from resurvey.search.confidence import Assessor, Confidence
from resurvey.search.corpus import Head
from resurvey.search.fields import Fields
from resurvey.search.recipe import words_alone
from resurvey.search.trace import Trace, skipped
from resurvey.serve.asking import Ask, Wanted, wanted
from resurvey.serve.embedder import STAGE, Embedder, ServingVectors, UnembeddedError
from resurvey.types import Hit, Json, Progress, Query, Ranking, silent
from resurvey.use import assessor_of, recipe_of
from resurvey.workspace import Workspace, digest

LIVE = "live"
ARMS = 8
"""Other candidates than the live one that are kept ready."""
WARMING = "what is there"
"""A query to open with all that a query reads."""
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Arm:
    """One candidate over an engine's snapshot: its id, its tree, and the space in which it searches."""

    id: str
    root: Json
    fingerprint: str
    assessor: Assessor


@dataclass(frozen=True, slots=True)
class Result:
    """What one search found: hits with their probabilities, the filters in and around it, and by which candidate."""

    arm: Arm
    want: Wanted
    hits: tuple[Hit, ...]
    confidence: Confidence
    withheld: int
    """Hits left out because they are not probable enough."""


class Engine:
    """What is opened once for many searches; every method may be called from several threads."""

    def __init__(self, root: Path, live: Live, *, progress: Progress = silent, told: Told = lambda *_: None) -> None:
        self.live = live
        self.opened_at = time.time()
        workspace = Workspace.open(root)  # read anew: settings may have changed
        self.opened = Opened(workspace, progress, live.snapshot)
        self.settings = workspace.settings
        self._told = told
        self._embedders: dict[str, Embedder] = {}
        self._arms: dict[str, Arm] = {}
        self._opening = threading.Lock()
        index = self.opened.index
        index.vectors = ServingVectors(index.vectors, self.embedder)
        self.main = self.arm(LIVE)
        self._warm()

    @property
    def fields(self) -> Fields:
        """The documents' metadata by column."""
        return self.opened.builder.fields

    @property
    def made_of(self) -> Json:
        """What every answer of this engine says about itself."""
        return {"candidate": self.main.id, "snapshot": self.live.snapshot, "fingerprint": self.main.fingerprint}

    @property
    def spaces(self) -> Mapping[str, Embedder]:
        """Embedders by what /v1/models calls them: `live` is what the live candidate searches with."""
        vectors = self.opened.builder.in_space(model_of(self.main.root) or "").vectors
        assert isinstance(vectors, ServingVectors)
        return {LIVE: vectors.embedder, "base": self.embedder(self.opened.index.encoder)}

    def embedder(self, encoder: Encoder) -> Embedder:
        """The one embedder of an encoder."""
        if encoder.fingerprint not in self._embedders:
            self._embedders[encoder.fingerprint] = Embedder(encoder, self.settings.number("embed_seconds"), self._told)
        return self._embedders[encoder.fingerprint]

    def arm(self, name: str) -> Arm:
        """A candidate by number or id, `base`, `bm25`, `rrf` or `live`; opened when first asked for.

        Raises:
            ResurveyError: when there is none, or it was made with another encoder.
        """
        name = self.live.candidate if name == LIVE else name
        with self._opening:
            if name not in self._arms:
                id, made = recipe_of(self.opened, name)
                self.opened.builder.recipe(made)
                fingerprint = self.opened.builder.in_space(model_of(made["root"]) or "").encoder.fingerprint
                kept = list(self._arms.items())[-ARMS:]
                main = {self.live.candidate: self._arms[self.live.candidate]} if self._arms else {}
                arm = Arm(id, made["root"], fingerprint, assessor_of(self.opened, made))
                self._arms = {**main, **dict(kept), name: arm}
            return self._arms[name]

    def found(self, head: Head | None) -> int:
        """The newest version whose documents can be found; documents that are again as they were count as that."""
        snapshot = self.opened.index.store.snapshot
        same = head is not None and digest(head.key, snapshot.rule) == snapshot.key
        return head.version if head is not None and same else snapshot.corpus

    def search(self, ask: Ask, trace: Trace) -> Result:
        """The best documents for one query, by words alone where it cannot be embedded; the trace says so.

        Raises:
            ResurveyError: when what is asked cannot be, with all that is wrong with it.
        """
        if not ask.query.strip():
            raise ResurveyError([Problem("query", "is empty")], "send some words to search for")
        arm = self.arm(ask.candidate)
        want = wanted(ask, arm.root, self.fields, self.settings)
        query = Query("q", ask.query)
        changed = want.root is not arm.root
        whole = self._found(query, arm.root, trace) if arm.assessor.calibration or not changed else None
        ranking = (self._found(query, want.root, trace) if changed or whole is None else whole).top(ask.k)
        shown = ranking.documents
        confidence = arm.assessor.assess(query, whole or ranking, shown)
        kept = confidence.kept(ask.min_confidence or 0.0)
        hits = list(ranking)
        return Result(arm, want, tuple(hits[place] for place in kept), confidence.at(kept), len(hits) - len(kept))

    def _found(self, query: Query, root: Json, trace: Trace) -> Ranking:
        """A tree's ranking, by words alone where the query cannot be embedded."""
        try:
            return self.opened.builder.node(root).search([query])[query.id]
        except UnembeddedError as error:
            left, gone = words_alone(root)
            trace.rewrites.clear()
            skipped(STAGE, str(error))
            for stage in gone:
                skipped(stage, "it needs the query's vector")
            return self.opened.builder.node(left).search([query])[query.id]

    def breakers(self) -> Iterator[tuple[str, Breaker]]:
        """The name and the breaker of all that may be late or down."""
        yield from self.opened.builder.breakers()
        for embedder in self._embedders.values():
            if embedder.remote:
                yield STAGE, embedder.breaker

    def _warm(self) -> None:
        """Answer one query, so that nobody waits for what is read when first needed."""
        index = self.opened.index
        asked = index.documents[0].full_text[:200] if index.documents else WARMING
        with Trace(explains=True) as trace:
            self.search(Ask(asked or WARMING, constraints="apply"), trace)
            self.search(Ask(WARMING), trace)


def model_of(node: Json) -> str | None:
    """The adapted model in whose space a tree searches; "" for the encoder's own, None for a tree without vectors."""
    if node["stage"] == "dense":
        return str(node.get("model", ""))
    for child in (*node.get("inputs", ()), *([node["input"]] if "input" in node else ())):
        found = model_of(child)
        if found is not None:
            return found
    return None
