"""An endpoint that reranks: POST {"model", "query", "documents", "top_n"}, as Jina, Cohere and vLLM answer it.

One request a query. The whole call, name lookup and slow bodies included, has one deadline: it runs on a thread of
its own that nobody waits for longer. Redirects are not followed, so that a key goes nowhere else.
Knows nothing about runs or recipes.
"""

from __future__ import annotations

import json
import math
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

import numpy as np

from resurvey.calls import NoRedirects
from resurvey.search.scorers import UnansweredError
from resurvey.types import Floats

PATIENCE = 60.0
"""Seconds for one query where nobody waits."""
CHARACTERS = 2000
"""Characters of a document that are sent: with a query about what 512 tokens hold, beyond which servers refuse a pair."""
LARGEST = 8 << 20
"""Bytes of an answer that are read."""


class Endpoint:
    """A reranker behind a URL; `http://host/v1/rerank#model` names the model that it is asked for."""

    def __init__(self, name: str, key: str = "") -> None:
        self.name = name
        self.url, self.model = address(name)
        self.cut_short = None
        self._key = key
        self._opener = urllib.request.build_opener(NoRedirects)

    def scores(self, query: str, texts: Sequence[str], seconds: float | None = None) -> Floats:
        """The endpoint's relevance scores, in the order of `texts`."""
        if not texts:
            return np.zeros(0, dtype=np.float32)
        patience = PATIENCE if seconds is None else seconds
        answers: queue.SimpleQueue[Floats | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._ask(query, texts, patience))
            except Exception as error:  # a network has many ways to fail, and each is the caller's to hear of
                answers.put(error)

        threading.Thread(target=ask, daemon=True, name="rerank").start()
        try:
            found = answers.get(timeout=patience)
        except queue.Empty:
            raise UnansweredError(f"{self.url}: no answer within {1000 * patience:.0f} ms") from None
        if isinstance(found, Exception):
            raise UnansweredError(f"{self.url}: {_reason(found)}") from found
        return found

    def _ask(self, query: str, texts: Sequence[str], patience: float) -> Floats:
        body = {"query": query, "documents": [text[:CHARACTERS] for text in texts], "top_n": len(texts)}
        sent = json.dumps({**({"model": self.model} if self.model else {}), **body}).encode("utf-8")
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self.url, data=sent, headers=headers, method="POST")
        try:
            with self._opener.open(request, timeout=patience) as answer:
                return read_scores(json.loads(answer.read(LARGEST)), len(texts))
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection
                raise ValueError(f"answered {error.code} {error.reason}".strip()) from None


def address(name: str) -> tuple[str, str]:
    """The URL to post to and the model to ask for: `http://host#model` is short for `http://host/v1/rerank#model`."""
    parts = urllib.parse.urlsplit(name)
    path = parts.path.rstrip("/")
    if not path.endswith("/rerank"):
        path += "/rerank" if path.endswith(("/v1", "/v2")) else "/v1/rerank"
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), parts.fragment


def read_scores(value: Any, count: int) -> Floats:
    """The scores of an answer, in the order in which the documents were sent.

    Raises:
        ValueError: when it is no answer, or not one finite score for each of the `count` documents.
    """
    rows = value.get("results") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("the answer holds no `results`")
    found = np.full(count, np.nan, dtype=np.float32)
    for row in rows:
        place, score = row.get("index"), row.get("relevance_score", row.get("score"))
        if not isinstance(place, int) or not 0 <= place < count:
            raise ValueError(f"the answer names document {place!r} of {count}")
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise ValueError(f"the answer gives document {place} the score {score!r}")
        found[place] = score
    missing = int(np.isnan(found).sum())
    if missing:
        raise ValueError(f"the answer lacks {missing} of {count} documents")
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError):
        return f"cannot be reached: {error.reason}"
    return (str(error).strip() or type(error).__name__).splitlines()[0]
