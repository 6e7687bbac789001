"""Levels: one table of thresholds with their sources. Bands leave no gap.

A level is given only where the whole interval lies in one band; otherwise it is unknown, and the
reading says how many more queries would tell. Knows nothing about how anything is measured.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace

from resurvey.errors import Problem, ResurveyError
from resurvey.types import Finding, Interval, Json, Level


@dataclass(frozen=True, slots=True)
class Band:
    """One finding's thresholds; `rising` when larger values are worse."""

    id: str
    title: str
    unit: str
    healthy: float
    confirmed: float
    rising: bool
    suggests: str
    source: str

    def level(self, value: float) -> Level:
        """The band a value lies in."""
        sign = 1 if self.rising else -1
        if sign * value <= sign * self.healthy:
            return "healthy"
        return "confirmed" if sign * value > sign * self.confirmed else "suspect"


ILL: tuple[Level, ...] = ("suspect", "confirmed")
"""Levels that suggest a treatment."""
MOST = 100_000
"""Queries beyond which no number of them is named: the value is as good as the threshold."""
ARTICLE_A = "article A, its threshold"
ARTICLE_D = "article D, its threshold"
OURS = "ours, provisional"
RECALIBRATED = (
    "ours, recalibrated (docs/decisions.md); article D says 1.0 and 2.5 of a figure that grows with the corpus"
)

BANDS: tuple[Band, ...] = (
    Band("R10-spread", "Spread of random-pair cosines", "standard deviation", 0.2, 0.1, False, "center", ARTICLE_A),
    Band("R10-separation", "Relevant against random passages", "AUC", 0.95, 0.85, False, "hybrid", OURS),
    Band("R11-rogue", "Cosines made by three dimensions", "share", 0.2, 0.5, True, "center", OURS),
    Band("R12-hubs", "Documents in more than 20 of 100 top-10 lists", "documents", 0, 4, True, "center", ARTICLE_A),
    Band("R13-collision", "Words that mean something else here", "% of the words looked at", 5, 15, True, "contrast", OURS),
    Band("R14-corpus", "Mixed letters-and-digits tokens, corpus", "% of tokens", 2, 8, True, "hybrid", ARTICLE_D),
    Band("R14-queries", "Mixed letters-and-digits tokens, queries", "% of tokens", 2, 8, True, "hybrid", ARTICLE_D),
    Band("R15-vocabulary", "Corpus vocabulary against web text", "KL, nats", 0.8, 2.0, True, "ranker", RECALIBRATED),
    Band("R16-lift", "What BM25 adds to dense by RRF", "points of NDCG@10", 1, 5, True, "hybrid", ARTICLE_D),
    Band("R17-literal-lift", "The same where queries hold literal or rare tokens", "points of NDCG@10", 5, 25, True, "hybrid", ARTICLE_D),
    Band("R18-recall", "Relevant documents among the first 100", "Recall@100", 0.95, 0.8, False, "hybrid", OURS),
    Band("R18-ranking", "Right document in the top 20 but not first", "% of queries", 20, 40, True, "ranker", OURS),
    Band("R20-metadata", "Relevant documents told by one field", "AUC", 0.6, 0.75, True, "metadata", OURS),
    Band("R19-quality", "Untouched dense search", "NDCG@10", 0.6, 0.5, False, "ranker", ARTICLE_A),
)  # fmt: skip


YOURS = "yours, the setting `thresholds`"
ROW = re.compile(r"(\S+)\s+(-?[\d.]+)\s+(-?[\d.]+)")
_in_force: ContextVar[Mapping[str, Band] | None] = ContextVar("bands", default=None)


def band(id: str) -> Band:
    """The thresholds of a finding, the user's own where there are any."""
    own = (_in_force.get() or {}).get(id)
    return own or next(found for found in BANDS if found.id == id)


@contextlib.contextmanager
def using(own: Sequence[Band]) -> Iterator[None]:
    """Level with these bands instead of the table's, as long as this lasts."""
    before = _in_force.set({row.id: row for row in own})
    try:
        yield
    finally:
        _in_force.reset(before)


def parse(rows: Sequence[str]) -> list[Band]:
    """The user's own thresholds: `R12-hubs 2 10` is healthy up to 2 and confirmed beyond 10.

    Raises:
        ResurveyError: with every row that names no finding, is not two numbers, or is the wrong way round.
    """
    known = {row.id: row for row in BANDS}
    found: list[Band] = []
    problems: list[Problem] = []
    for text in rows:
        read = ROW.fullmatch(text.strip())
        id = text.split()[0] if text.split() else ""
        if id not in known:
            problems.append(Problem("`thresholds`", f"{text!r} names no finding; there are {', '.join(known)}"))
        elif read is None or read[2].count(".") > 1 or read[3].count(".") > 1:
            problems.append(Problem("`thresholds`", f"{text!r} must be a finding and two numbers, as `R12-hubs 2 10`"))
        else:
            row, healthy, confirmed = known[id], float(read[2]), float(read[3])
            if (confirmed - healthy) * (1 if row.rising else -1) < 0:
                way = "below" if row.rising else "above"
                problems.append(Problem("`thresholds`", f"{text!r}: what is healthy must lie {way} what is confirmed"))
            found.append(replace(row, healthy=healthy, confirmed=confirmed, source=YOURS))
    if problems:
        raise ResurveyError(problems, "mend resurvey.toml; docs/diagnose.md has the table")
    return found


def finding(
    id: str,
    value: float,
    interval: Interval | None,
    reading: str,
    *,
    queries: int = 0,
    of: str = "queries",
    needed: float | None = None,
    known: bool = True,
    **evidence: object,
) -> Finding:
    """A finding levelled by its band.

    Args:
        queries: how many the interval rests on, to say how many more would settle it.
        of: what those are, where they are not queries.
        needed: how many it takes, where that is known better than by the square-root law.
        known: False where the value cannot be trusted for a level at all (stand-in queries).
    """
    row = band(id)
    level = row.level(value)
    if not known:
        level = "unknown"
    elif interval is not None and {row.level(interval.low), row.level(interval.high)} != {level}:
        more = _more(queries, needed or _enough(row, value, interval, queries), of)
        reading = f"{reading} The interval spans more than one level{more}."
        level = "unknown"
    suggests = row.suggests if level in ILL else ""
    facts: Json = dict(evidence)
    return Finding(id, row.title, value, row.unit, interval, level, reading, suggests, row.source, facts)


def _enough(row: Band, value: float, interval: Interval, queries: int) -> float:
    """How many queries would shrink the interval to one band, by the square-root law; 0 where nobody can say."""
    gap = min(abs(value - row.healthy), abs(value - row.confirmed))
    half = (interval.high - interval.low) / 2
    if not queries or half <= 0:
        return 0
    return queries * (half / gap) ** 2 if gap > 0 else math.inf


def _more(queries: int, needed: float, of: str) -> str:
    """What would give a level, in words."""
    if not needed:
        return ""
    more = math.ceil(needed - queries - 1e-6) if math.isfinite(needed) else MOST
    told = float(f"{max(1, more):.3g}")
    return f"; about {told:,.0f} more {of} would tell" if more < MOST else "; it lies on a threshold"
