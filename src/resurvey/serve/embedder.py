"""The embedder: queries of concurrent requests embedded together, one batch at a time, nothing of them kept on disk.

A request that comes alone is embedded at once, by its own thread. Those that come while others are being embedded
wait for these and are then embedded together, by the first of them: no clock is involved, so nobody ever waits for
company. Encoders behind an endpoint are asked by every request for itself, within a deadline, and left alone for a
while after they have failed. Knows nothing about what is searched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from resurvey.errors import ResurveyError
from resurvey.protocols import Encoder, Kind
from resurvey.search.breaker import Breaker
from resurvey.search.endpoint import EndpointEncoder
from resurvey.search.trace import current
from resurvey.search.vectors import VectorStore
from resurvey.types import Floats, Progress, silent

FEW = 32
"""More texts than this are no query that somebody waits for, but a stage being prepared: they are kept on disk."""
TOGETHER = 32
"""Most texts of one batch."""
STAGE = "embedding"


class UnembeddedError(Exception):
    """A query has no vector: its endpoint is late or down. The text is the reason, for people."""


class _Job:
    __slots__ = ("error", "found", "kind", "texts")

    def __init__(self, texts: Sequence[str], kind: Kind) -> None:
        self.texts = texts
        self.kind = kind
        self.found: Floats | None = None
        self.error: BaseException | None = None


class Embedder:
    """One encoder for many threads. `told` hears of every batch: texts in it, and requests they came from."""

    def __init__(
        self, encoder: Encoder, seconds: float = 2.0, told: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        self.encoder = encoder.hurried(seconds) if isinstance(encoder, EndpointEncoder) else encoder
        self.breaker = Breaker()
        self.why = ""
        self.told = told
        self.remote = isinstance(encoder, EndpointEncoder)
        self._turn, self._gate = threading.Lock(), threading.Lock()
        self._waiting: list[_Job] = []

    @property
    def waiting(self) -> int:
        """Requests that wait for vectors."""
        return len(self._waiting)

    def vectors(self, texts: Sequence[str], kind: Kind) -> Floats:
        """Unit vectors of shape (texts, dimensions).

        Raises:
            UnembeddedError: when an endpoint is late or down.
        """
        if self.remote:
            return self._asked(texts, kind)
        parts = [texts[start : start + TOGETHER] for start in range(0, len(texts), TOGETHER)]
        return np.concatenate([self._together(part, kind) for part in parts])

    def _asked(self, texts: Sequence[str], kind: Kind) -> Floats:
        if not self.breaker.allows():
            raise UnembeddedError(f"left alone for a while: {self.why}")
        try:
            found = self.encoder.encode(list(texts), kind)
        except ResurveyError as error:
            self.breaker.failed()
            self.why = str(error.problems[0])
            raise UnembeddedError(self.why) from error
        self.breaker.succeeded()
        self.told(len(texts), 1)
        return found

    def _together(self, texts: Sequence[str], kind: Kind) -> Floats:
        job = _Job(texts, kind)
        with self._gate:
            self._waiting.append(job)
        with self._turn:  # whoever has the turn embeds for all who wait, perhaps for this one as well
            if job.found is None and job.error is None:
                self._embed(self._batch(job))
        if job.error is not None:
            raise job.error
        assert job.found is not None
        return job.found

    def _batch(self, first: _Job) -> list[_Job]:
        """The jobs to embed now: this one, and those of its kind that wait and fit beside it."""
        with self._gate:
            chosen, size = [first], len(first.texts)
            for job in self._waiting:
                if job is not first and job.kind == first.kind and size + len(job.texts) <= TOGETHER:
                    chosen.append(job)
                    size += len(job.texts)
            self._waiting = [job for job in self._waiting if job not in chosen]
        return chosen

    def _embed(self, jobs: Sequence[_Job]) -> None:
        texts = [text for job in jobs for text in job.texts]
        try:
            found = self.encoder.encode(texts, jobs[0].kind)
        except BaseException as error:
            for job in jobs:
                job.error = error
            return
        start = 0
        for job in jobs:
            job.found = found[start : start + len(job.texts)]
            start += len(job.texts)
        self.told(len(texts), len(jobs))


class ServingVectors(VectorStore):
    """The vectors of an index that is served: passages lie on disk, queries come and go.

    `embedders` makes the embedder of an encoder, one for all who ask in its space.
    """

    name = STAGE

    def __init__(self, store: VectorStore, embedders: Callable[[Encoder], Embedder]) -> None:
        vars(self).update(vars(store))  # what is open stays open
        self.embedders = embedders
        self.embedder = embedders(store.encoder)

    def beside(self, encoder: Encoder) -> ServingVectors:
        """The vectors of another encoder, served as well."""
        return ServingVectors(super().beside(encoder), self.embedders)

    def vectors(self, texts: Sequence[str], kind: Kind, progress: Progress = silent) -> Floats:
        """As a `VectorStore` does, but that a few queries are embedded for this search alone."""
        if kind != "query" or len(texts) > FEW:
            return super().vectors(texts, kind, progress)
        trace = current()
        if trace is None:
            return self.embedder.vectors(texts, kind)
        began = trace.began()
        try:
            keys = [(self.encoder.fingerprint, text) for text in texts]
            missing = [key[1] for key in dict.fromkeys(keys) if key not in trace.vectors]
            if missing:
                found = self.embedder.vectors(missing, kind)
                trace.vectors |= {
                    (self.encoder.fingerprint, text): row for text, row in zip(missing, found, strict=True)
                }
            return np.stack([trace.vectors[key] for key in keys])
        finally:
            trace.ended(STAGE, began)
