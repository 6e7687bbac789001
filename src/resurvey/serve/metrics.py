"""Metrics for Prometheus: how long requests and stages take, what was left out, what is live.

With several workers every process writes its numbers to files of one folder, and whoever is asked adds them up.
`PROMETHEUS_MULTIPROC_DIR` names that folder; it must be set before this module is imported, which is the client's rule.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from resurvey.search.trace import Trace

SHARED = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
STAGES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TYPE = "text/plain; version=1.0.0; charset=utf-8"


class Metrics:
    """All numbers of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "resurvey"}
        self.requests = Counter("requests", "Requests answered.", ["route", "status"], **own)
        self.seconds = Histogram("request_seconds", "Seconds a request took.", ["route"], buckets=SECONDS, **own)
        self.stages = Histogram("stage_seconds", "Seconds of a search's stage alone.", ["stage"], buckets=STAGES, **own)
        self.skipped = Counter("skipped", "Searches answered without a stage.", ["stage"], **own)
        self.embedded = Counter("embedded_texts", "Texts embedded.", **own)
        self.batches = Histogram(
            "embedding_requests", "Requests embedded together.", buckets=(1, 2, 4, 8, 16, 32), **own
        )
        self.written = Counter("written_documents", "Documents written, by what was done.", ["what"], **own)
        self.events = Counter("events", "Events taken.", ["kind"], **own)
        self.switches = Counter("switches", "Times that something else went live here.", ["outcome"], **own)
        self.refused = Counter("refused", "Requests refused before they were looked at.", ["why"], **own)
        live: dict[str, Any] = {**own, "multiprocess_mode": "livemax"}
        self.live = Gauge("live", "1 for what is live.", ["candidate", "snapshot", "fingerprint"], **live)
        self.documents = Gauge("documents", "Documents that can be found.", **live)
        self.breakers = Gauge("breaker_open", "1 where a stage is left alone for a while.", ["stage"], **live)
        self.unsearchable = Gauge("unsearchable_writes", "Versions written and not yet searchable.", **live)
        self.waiting = Gauge(
            "waiting", "What waits for its turn.", ["queue"], **{**own, "multiprocess_mode": "livesum"}
        )
        self._made: tuple[str, ...] = ()

    def searched(self, trace: Trace) -> None:
        """Note what one search went through."""
        for stage, seconds in trace.seconds.items():
            self.stages.labels(stage).observe(seconds)
        for stage in trace.skipped:
            self.skipped.labels(stage).inc()

    def embedding(self, texts: int, requests: int) -> None:
        """Note one batch."""
        self.embedded.inc(texts)
        self.batches.observe(requests)

    def lives(self, made_of: Mapping[str, object], documents: int) -> None:
        """Note what is live from now on."""
        labels = tuple(str(made_of[name]) for name in ("candidate", "snapshot", "fingerprint"))
        if self._made and self._made != labels:
            self.live.labels(*self._made).set(0)
        self.live.labels(*labels).set(1)
        self.documents.set(documents)
        self._made = labels

    def open(self, breakers: Iterable[tuple[str, bool]]) -> None:
        """Note which stages are left alone."""
        found: dict[str, bool] = {}
        for name, state in breakers:
            found[name] = found.get(name, False) or state
        for name, state in found.items():
            self.breakers.labels(name).set(state)

    def page(self) -> bytes:
        """All of it as Prometheus reads it, over all workers."""
        if not os.environ.get(SHARED):
            return bytes(generate_latest(self.registry))
        whole = CollectorRegistry()
        MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(whole))
