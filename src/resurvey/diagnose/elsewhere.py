"""A different problem when…: what looks like a wrong map and is something else, from what was measured (R22).

One literal table; every row says yes, no or unknown, with the numbers it rests on. Where the seed articles have the row
it keeps their reading. Knows findings; takes none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from resurvey.diagnose.answer import JUDGMENTS
from resurvey.diagnose.levels import ILL
from resurvey.types import Diagnosis, Json

Holds: TypeAlias = Literal["yes", "no", "unknown"]
MANY = 0.1
"""Share of the failing queries from which on a cause is a problem of its own."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A row: what one observes, what it then is, how to tell."""

    observed: str
    problem: str
    look: Callable[[Diagnosis], tuple[Holds, str]]


def elsewhere(diagnosis: Diagnosis) -> list[Json]:
    """Every row as it stands."""
    rows = []
    for row in TABLE:
        holds, evidence = row.look(diagnosis)
        rows.append({"observed": row.observed, "problem": row.problem, "holds": holds, "evidence": evidence})
    return rows


def _generation(found: Diagnosis) -> tuple[Holds, str]:
    lift, order, quality = (_level(found, id) for id in ("R16-lift", "R18-ranking", "R19-quality"))
    told = f"quality is {quality}, what a better order could win {order}, what words add {lift}"
    return _all(lift == "healthy", order == "healthy", quality == "healthy", levels=(lift, order, quality)), told


def _order(found: Diagnosis) -> tuple[Holds, str]:
    recall, order = _level(found, "R18-recall"), _level(found, "R18-ranking")
    told = f"reach is {recall}, what a better order could win {order}"
    return _all(recall == "healthy", order in ILL, levels=(recall, order)), told


def _all(*holds: bool, levels: Sequence[str]) -> Holds:
    """Whether all of these hold; one that is known not to is enough for a no."""
    if any(not one and level != "unknown" for one, level in zip(holds, levels, strict=True)):
        return "no"
    return "unknown" if "unknown" in levels else "yes"


def _metadata(found: Diagnosis) -> tuple[Holds, str]:
    level, value = _level(found, "R20-metadata"), found.value("R20-metadata")
    if value is None:
        return "unknown", "no field could be looked at"
    told = f"the best field tells relevant from wrong {100 * value:.0f} % of the time ({level})"
    return ("unknown" if level == "unknown" else "yes" if level in ILL else "no"), told


def _cause(name: str) -> Callable[[Diagnosis], tuple[Holds, str]]:
    def look(found: Diagnosis) -> tuple[Holds, str]:
        failing = next((f.evidence["failures"] for f in found.findings if "failures" in f.evidence), None)
        if failing is None:
            return "unknown", "without judgments nobody knows which queries fail"
        count = next((row["queries"] for row in failing["causes"] if row["cause"] == name), 0)
        looked = failing["looked at"]
        told = f"{count:,} of {looked:,} failing queries"
        return ("yes" if looked and count >= MANY * looked else "no"), told

    return look


def _codes(found: Diagnosis) -> tuple[Holds, str]:
    value = found.value("R17-literal-lift")
    if value is None or found.judged_by != JUDGMENTS:
        return "unknown", "too few judged queries with rare or literal tokens to tell"
    evidence = found["R17-literal-lift"].evidence
    rest, where = evidence.get("rest"), evidence.get("where", "unknown")
    beside = f", {rest:+.1f} over the others" if rest is not None else ""
    holds: Holds = "yes" if where == "rare" else "no" if where in ("everywhere", "nowhere") else "unknown"
    return holds, f"words add {value:+.1f} points there{beside}"


def _level(found: Diagnosis, id: str) -> str:
    return next((finding.level for finding in found.findings if finding.id == id), "unknown")


TABLE: tuple[Elsewhere, ...] = (
    Elsewhere(
        "the right documents stand first, and answers are wrong all the same",
        "generation: what reads the documents, not what finds them",
        _generation,
    ),
    Elsewhere("the right documents are found and stand too low", "the order: a ranker, before any training", _order),
    Elsewhere("what was asked for is far down in long documents", "truncation: passages", _cause("cut off")),
    Elsewhere("words with digits and codes are missed", "literal tokens: words beside vectors", _codes),
    Elsewhere("who asks says it short, who writes says it long", "shorthand: rewriting", _cause("shorthand")),
    Elsewhere("outdated or wrong kinds of documents stand first", "metadata: a filter or a boost", _metadata),
    Elsewhere(
        "what is found is as good as what was judged",
        "judgments: copies that nobody judged count as wrong",
        _cause("unjudged twin"),
    ),
    Elsewhere(
        "the measure climbs every week, and users complain",
        "stale judgments: what is measured is no longer what is asked",
        lambda _: ("unknown", "no use has been recorded to hold them against"),
    ),
)
