"""A language model behind any OpenAI-compatible endpoint: asked at temperature 0, answers kept for 30 days.

What is asked is the caller's affair. Answers lie in the workspace's `state.db`, keyed by model, prompt version and
text, so that a changed prompt or model never gets an old answer. Knows nothing about queries or search.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resurvey.errors import Problem, ResurveyError
from resurvey.settings import Settings
from resurvey.workspace import digest

KEPT = 30 * 24 * 3600.0
"""Seconds that an answer is kept."""
ABREAST = 8
"""Questions on their way at once; as many failures in a row, and the endpoint counts as down."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS rewrites (key TEXT PRIMARY KEY, answer TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS rewrite_counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
NO_KEY = "none"
"""Sent where no key is set: endpoints on one's own machine want none."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model answers, its name there, and the environment variable with the key."""

    url: str
    model: str
    key_env: str = "OPENAI_API_KEY"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is told to do, and a version that changes whenever the text does."""

    version: str
    text: str


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer a text, None where none came in time, and why the first of those is missing."""

    texts: tuple[str | None, ...]
    trouble: str = ""

    @property
    def missing(self) -> int:
        """Texts without an answer."""
        return self.texts.count(None)


def endpoint_of(settings: Settings) -> Endpoint | None:
    """The endpoint that the settings name, None where they name none.

    Raises:
        ResurveyError: when a URL is set and no model, or the other way round.
    """
    url, model = settings.text("llm_url"), settings.text("llm_model")
    if not url and not model:
        return None
    if not url or not model:
        missing, there = ("llm_url", "llm_model") if model else ("llm_model", "llm_url")
        raise ResurveyError(
            [Problem("resurvey.toml", f"`{there}` is set and `{missing}` is not; a language model needs both")],
            f"set {missing} in resurvey.toml, or clear {there}",
        )
    return Endpoint(url, model, settings.text("llm_key_env"))


class Cache:
    """Answers in one SQLite file, and how often one was there. Every call opens the file anew, so threads may share it."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.clock = clock

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        """The answers that are there and not too old; counts all that were asked for, and those found."""
        oldest = self.clock() - KEPT
        with self._opened() as database:
            rows = [database.execute("SELECT key, answer FROM rewrites WHERE key = ? AND at > ?", (key, oldest)).fetchone() for key in keys]  # fmt: skip
            found = dict(row for row in rows if row)
            for name, more in (("asked", len(keys)), ("found", len([row for row in rows if row]))):
                database.execute(
                    "INSERT INTO rewrite_counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + ?",
                    (name, more, more),
                )
        return found

    def put(self, answers: Mapping[str, str]) -> None:
        """Keep answers, and drop those that are too old."""
        now = self.clock()
        with self._opened() as database:
            database.execute("DELETE FROM rewrites WHERE at <= ?", (now - KEPT,))
            database.executemany(
                "INSERT OR REPLACE INTO rewrites VALUES (?, ?, ?)", [(key, text, now) for key, text in answers.items()]
            )

    def hit_rate(self) -> float | None:
        """Share of all questions ever asked of this file whose answer was there; None before the first, or unread.

        Writes nothing: a workspace may be looked at by who may only read it.
        """
        try:
            with contextlib.closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)) as database:
                counts = dict(database.execute("SELECT name, value FROM rewrite_counts").fetchall())
        except sqlite3.Error:
            return None
        return counts["found"] / counts["asked"] if counts.get("asked") else None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=5)) as database, database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=FULL")
                database.executescript(SCHEMA)
                yield database
        except sqlite3.Error as error:
            raise ResurveyError(
                [Problem(str(self.path), f"cannot be used to keep answers of the language model: {error}")],
                f"move {self.path} away; it is made anew",
            ) from error


class Chat:
    """One endpoint that answers texts under a prompt, with or without a cache."""

    def __init__(self, endpoint: Endpoint, cache: Cache | None = None) -> None:
        self.endpoint = endpoint
        self.cache = cache

    def ask(self, prompt: Prompt, text: str, seconds: float = 30.0) -> str:
        """The model's answer to one text.

        Raises:
            ResurveyError: when there is no client, no endpoint, no answer in time, or an empty one.
        """
        return self._ask(self._client(), prompt, text, seconds)

    def ask_all(self, prompt: Prompt, texts: Sequence[str], seconds: float) -> Answers:
        """An answer for every text that has one in time; never raises for what an endpoint does.

        Args:
            seconds: that one text may take. Several go at once, so `n` texts end within n / 8 times this, rounded up.
        """
        keys = [digest(self.endpoint.model, prompt.version, prompt.text, text) for text in texts]
        known, trouble = self._remembered(keys)
        open_ = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if open_:
            try:
                made, late = self._answers(self._client(), prompt, open_, seconds)
            except ResurveyError as error:
                made, late = {}, str(error)
            trouble = late or trouble
            known |= made
            if made and self.cache:
                try:
                    self.cache.put(made)
                except ResurveyError as error:
                    trouble = trouble or str(error)
        return Answers(tuple(known.get(key) for key in keys), trouble)

    def _remembered(self, keys: Sequence[str]) -> tuple[dict[str, str], str]:
        try:
            return (self.cache.get(keys) if self.cache else {}), ""
        except ResurveyError as error:
            return {}, str(error)

    def _answers(
        self, client: Any, prompt: Prompt, asked: Mapping[str, str], seconds: float
    ) -> tuple[dict[str, str], str]:
        made: dict[str, str] = {}
        trouble, failed, rows = "", 0, list(asked.items())
        pool = ThreadPoolExecutor(ABREAST)
        try:
            for start in range(0, len(rows), ABREAST):
                if failed >= ABREAST:
                    break
                sent: dict[str, Future[str]] = {
                    key: pool.submit(self._ask, client, prompt, text, seconds)
                    for key, text in rows[start : start + ABREAST]
                }
                wait(sent.values(), timeout=seconds)
                for key, future in sent.items():
                    answer, why = _outcome(future, self.endpoint, seconds)
                    failed = 0 if answer else failed + 1
                    trouble = trouble or why
                    if answer:
                        made[key] = answer
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return made, trouble

    def _client(self) -> Any:
        try:
            import openai
        except ImportError as error:
            raise ResurveyError(
                [Problem("llm_url", "is set, and the package that talks to it (openai) is not installed")],
                "pip install 'resurvey[llm]'",
            ) from error
        if not self.endpoint.url:
            raise ResurveyError([Problem("llm_url", "is empty: there is no endpoint to ask")], "set llm_url in resurvey.toml")  # fmt: skip
        key = os.environ.get(self.endpoint.key_env) or NO_KEY
        return openai.OpenAI(base_url=self.endpoint.url, api_key=key, max_retries=0)

    def _ask(self, client: Any, prompt: Prompt, text: str, seconds: float) -> str:
        import openai

        messages = [{"role": "system", "content": prompt.text}, {"role": "user", "content": text}]
        try:
            answer = client.chat.completions.create(
                model=self.endpoint.model, messages=messages, temperature=0, timeout=seconds
            )
            said = answer.choices[0].message.content
        except openai.AuthenticationError as error:
            raise self._wrong(
                f"refused the key of {self.endpoint.key_env} ({error.status_code})", f"export {self.endpoint.key_env}=…"
            ) from error
        except openai.OpenAIError as error:
            raise self._wrong(f"did not answer: {error}", "is the endpoint up, and is llm_model one of its models?") from error  # fmt: skip
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise self._wrong("answered something that is no chat completion", "llm_url must end where /chat/completions begins, often in /v1") from error  # fmt: skip
        if not isinstance(said, str) or not said.strip():
            raise self._wrong("gave an empty answer", "is llm_model a model that follows instructions?")
        return said.strip()

    def _wrong(self, what: str, next: str) -> ResurveyError:
        return ResurveyError([Problem(f"{self.endpoint.url} ({self.endpoint.model})", what)], next)


def _outcome(future: Future[str], endpoint: Endpoint, seconds: float) -> tuple[str, str]:
    if not future.done():
        future.cancel()
        return "", f"{endpoint.url} ({endpoint.model}): no answer within {seconds:g} s"
    error = future.exception()
    if error is None:
        return future.result(), ""
    if isinstance(error, ResurveyError):
        return "", str(error.problems[0])
    raise error
