"""Events: what users asked, were shown and did, one row each in the workspace's `state.db`.

Appended in one transaction a batch, on disk before anybody is told. An event with an id is taken once, however often
it is sent. The columns are those of OpenSearch's User Behavior Insights by shorter names; whatever else an event says
is kept as JSON. Knows nothing about what events are good for.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resurvey.errors import Problem, ResurveyError
from resurvey.types import Scalar

FILE = "state.db"
KINDS = ("query", "impression", "click", "dwell", "conversion", "like", "dislike")
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, at REAL NOT NULL, kind TEXT NOT NULL, query_id TEXT, query TEXT,
    document TEXT, rank INTEGER, value REAL, user TEXT, session TEXT, candidate TEXT, snapshot INTEGER,
    attributes TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_query ON events (query_id);
CREATE INDEX IF NOT EXISTS events_by_user ON events (user);
CREATE INDEX IF NOT EXISTS events_by_time ON events (at);
"""
COLUMNS = ("id", "at", "kind", "query_id", "query", "document", "rank", "value", "user", "session", "candidate", "snapshot")  # fmt: skip
WAIT = 10.0
"""Seconds that a writer waits for another one."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at `at` (seconds since 1970); what does not apply is None."""

    kind: str
    at: float
    id: str | None = None
    query_id: str | None = None
    query: str | None = None
    document: str | None = None
    rank: int | None = None
    value: float | None = None
    user: str | None = None
    session: str | None = None
    candidate: str | None = None
    snapshot: int | None = None
    attributes: Mapping[str, Scalar | None] = field(default_factory=dict)


def append(path: Path, events: Sequence[Event]) -> int:
    """Put events on disk, all or none; returns how many were new.

    Raises:
        ResurveyError: when the file cannot be written.
    """
    rows = [
        (*(getattr(event, name) for name in COLUMNS), json.dumps(dict(event.attributes), ensure_ascii=False))
        for event in events
    ]
    names = ", ".join((*COLUMNS, "attributes"))
    places = ", ".join("?" * (len(COLUMNS) + 1))
    with _opened(path) as database:
        before = database.total_changes
        database.executemany(f"INSERT INTO events ({names}) VALUES ({places}) ON CONFLICT (id) DO NOTHING", rows)
        return database.total_changes - before


def read(path: Path) -> list[Event]:
    """All events, in the order in which they came."""
    if not path.exists():
        return []
    with _opened(path) as database:
        rows = database.execute(f"SELECT {', '.join(COLUMNS)}, attributes FROM events ORDER BY number").fetchall()
    return [Event(**dict(zip(COLUMNS, row[:-1], strict=True)), attributes=json.loads(row[-1])) for row in rows]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=WAIT)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(SCHEMA)
            with database:
                yield database
    except sqlite3.Error as error:
        raise ResurveyError(
            [Problem(str(path), f"events cannot be kept there: {error}")], f"see that {path.parent} can be written to"
        ) from error
