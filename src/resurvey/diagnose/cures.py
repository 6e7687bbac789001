"""Cures: which illness an accepted treatment has ended, which is still there (R22).

Knows findings as values; takes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resurvey.diagnose.levels import ILL
from resurvey.types import Diagnosis, Finding, Json, to_json

TITLES = {"R19-quality": "How good the search is", "R16-lift": "What BM25 adds to it by RRF"}
"""Names of findings that are no longer about untouched dense search."""


def short(finding: Finding) -> Json:
    """What a table shows of a finding."""
    around = to_json(finding.interval) if finding.interval else None
    return {"id": finding.id, "value": finding.value, "interval": around, "level": finding.level}


def cures(first: Diagnosis, rungs: Sequence[Json]) -> list[Json]:
    """Every finding that was taken again: as it was, after each kept rung, and what became of it.

    Args:
        rungs: candidates as JSON, in the order of the ladder.
    """
    kept = [(rung["id"], {f["id"]: f for f in rung["detail"]["findings"]}) for rung in rungs if "findings" in rung["detail"]]  # fmt: skip
    rows = []
    for finding in first.findings:
        after = [{"rung": rung, **found[finding.id]} for rung, found in kept if finding.id in found]
        if after:
            before = short(finding) | {"title": TITLES.get(finding.id, finding.title), "unit": finding.unit}
            rows.append({**before, "after": after, "became": _became(before, after)})
    return rows


def _became(before: Json, after: Sequence[Mapping[str, object]]) -> str:
    """Cured by whom, still there, new, or nothing to say."""
    was, now = before["level"], after[-1]["level"]
    if was in ILL:
        if now == "healthy":
            first = next(row["rung"] for row in after if row["level"] == "healthy")
            return f"cured by {first}"
        return "still there" if now in ILL else "no longer certain"
    return "new" if now in ILL and was == "healthy" else "healthy" if now == "healthy" else "uncertain"
