"""What one search went through: how long each stage took, what was left out and why, what was searched besides.

Whoever searches may open a trace around it; the stages then write into it, each for itself. Without one nothing is
kept and nothing costs time. A trace belongs to one thread. Knows names and numbers; knows nothing about stages.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from resurvey.types import Floats

Search = TypeVar("Search", bound=Callable[..., Any])


@dataclass(slots=True)
class Trace:
    """One search's notes; use it as a context: `with Trace() as trace:`."""

    explains: bool = False
    """Whether stages should also say how they came to their scores."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Every stage's own time, what it waited for other stages left out."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Stages that were left out, with the reason."""
    rewrites: list[str] = field(default_factory=list)
    """What was searched besides the query."""
    contributions: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """By document: what each group of evidence added to its score."""
    vectors: dict[tuple[str, str], Floats] = field(default_factory=dict)
    """By fingerprint and text: a search embeds each of its texts once."""
    _inner: list[float] = field(default_factory=list)
    _token: Token[Trace | None] | None = None

    def __enter__(self) -> Trace:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        assert self._token is not None
        _CURRENT.reset(self._token)
        self._token = None

    def began(self) -> float:
        """A stage begins; the moment is given back to `ended`."""
        self._inner.append(0.0)
        return time.perf_counter()

    def ended(self, stage: str, began: float) -> None:
        """The stage that began last has ended."""
        took = time.perf_counter() - began
        own = took - self._inner.pop()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + own
        if self._inner:
            self._inner[-1] += took


_CURRENT: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """The trace that is open around what runs now."""
    return _CURRENT.get()


def skipped(stage: str, why: str) -> None:
    """Note that a stage is left out of this search."""
    if (trace := _CURRENT.get()) is not None:
        trace.skipped[stage] = why


def rewrote(text: str) -> None:
    """Note a text that is searched besides the query."""
    if (trace := _CURRENT.get()) is not None:
        trace.rewrites.append(text)


def timed(method: Search) -> Search:
    """A method of something with a `name`, its time noted under that name."""

    @functools.wraps(method)
    def run(self: Any, *given: Any, **named: Any) -> Any:
        trace = _CURRENT.get()
        if trace is None:
            return method(self, *given, **named)
        began = trace.began()
        try:
            return method(self, *given, **named)
        finally:
            trace.ended(self.name, began)

    return run  # type: ignore[return-value]  # the same call, wrapped
