"""Passage sizes side by side on a terminal, and what to make of them.

Knows the comparison's facts; measures nothing.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from resurvey.show.console import table
from resurvey.types import Json


def sizes_table(facts: Json, root: str) -> RenderableType:
    """A row for every size, the present one marked, and the next command."""
    made = table("tokens", ">passages", ">dense", ">points", "95 % interval", ">words", ">both")
    for row in facts["sizes"]:
        present, best = row["size"] == facts["present"], row["size"] == facts["best"]
        found = row.get("against present")
        points = f"{100 * found['difference']:+.1f}" if found else "–"
        around = "now" if present else _interval(found)
        size = Text(f"{row['size']}{' ◀' if best else ''}", style="bold" if best or present else "")
        made.add_row(
            size,
            f"{row['passages']:,}",
            f"{row['dense']:.3f}",
            points,
            around,
            *(f"{row[b]:.3f}" for b in ("words", "both")),
        )
    note = f"{facts['measure']} of documents over {facts['queries']:,} judged queries; points of dense search against {facts['present']} tokens. dense: your encoder, words: word search, both: fused by rank."
    return Group(made, Text(f"\n{note}", style="dim"), Text(f"\n{_verdict(facts, root)}"))


def _interval(found: Json) -> str:
    return f"{100 * found['interval']['low']:+.1f} to {100 * found['interval']['high']:+.1f}"


def _verdict(facts: Json, root: str) -> str:
    if facts["best"] is None:
        return f"No size is better than {facts['present']} tokens by more than chance explains. It stays."
    if facts["adopted"]:
        return f"passage_tokens is {facts['best']} now.\nNext: resurvey run {root}: every rung is tried on the new passages"
    return (
        f"{facts['best']} tokens are better than {facts['present']} (p {_p(facts):.3f}, corrected for {len(facts['sizes']) - 1} comparisons).\n"
        f"Next: resurvey chunks {root} --adopt"
    )


def _p(facts: Json) -> float:
    return float(next(row["against present"]["p_corrected"] for row in facts["sizes"] if row["size"] == facts["best"]))
