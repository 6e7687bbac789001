"""The check-up on a terminal of 80 columns: what would be cut, what is there, what it costs, then the checklist.

Knows the check-up's facts; looks at nothing itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from resurvey.show.console import table
from resurvey.types import Json

STATES = {"passed": "green", "failed": "red", "unknown": "dim"}
PARTS = {"model": "The model", "length": "Length", "cost": "Cost", "domain": "Your domain"}
"""Titles of the checklist's parts."""
NAMED = 3
"""Languages, worst documents and groups of near-duplicates that are named."""


def checkup_table(facts: Json) -> RenderableType:
    """Two tables: what was counted, and the checklist."""
    counted = table("", "")
    counted.show_header = False
    for name, says in _counted(facts):
        counted.add_row(Text(name, style="bold", no_wrap=True), Text(says))
    made, part = table("check", "state", "evidence"), ""
    for row in facts["checklist"]:
        if row["part"] != part:
            part = row["part"]
            made.add_row(Text(PARTS[part], style="bold"))
        evidence = Text(row["evidence"])
        if row["next"]:
            evidence.append(f"\n{row['next']}", style="dim")
        made.add_row(row["asks"], Text(row["state"], style=STATES[row["state"]]), evidence)
    made.columns[0].ratio, made.columns[2].ratio = 3, 4
    made.columns[1].no_wrap = True
    states = Counter(row["state"] for row in facts["checklist"])
    summed = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
    return Group(counted, Text(""), made, Text(f"\nThe checklist: {summed}."))


def _counted(facts: Json) -> list[tuple[str, str]]:
    found = facts["truncation"]["documents"]
    cut = f"{found['over']:,} of {found['texts']:,} documents; the longest has {found['longest']:,} tokens, {facts['limit']} are read"
    if found["over"]:
        cut += f"; {found['lost']:,} of {found['tokens']:,} tokens ({100 * found['lost'] / found['tokens']:.1f} %) would be lost"
    if not facts["limit known"]:
        cut += " (estimated)"
    rows = [("cut off", cut)]
    rows += [("", f"{lost['id']}: from “{lost['begins'].strip()}” on") for lost in found["worst"][:NAMED]]
    twins = facts["near-duplicates"]
    named = "; ".join(", ".join(group[:NAMED]) for group in twins["largest"][:NAMED])
    alike = (
        f"{twins['documents']:,} documents in {twins['clusters']:,} groups: {named}" if twins["clusters"] else "none"
    )
    asked = facts["truncation"]["queries"]
    cost = facts["embedding"]
    return [
        *rows,
        ("near-copies", alike),
        ("languages", f"corpus {_shares(facts['languages']['corpus'])}; queries {_shares(facts['languages']['queries'])}"),
        ("code", f"{100 * facts['code']['corpus']:.0f} % of the documents, {100 * facts['code']['queries']:.0f} % of the queries"),
        ("queries", f"{asked['texts']:,}, the longest has {asked['longest']:,} tokens"),
        ("embedding", f"{cost['passages']:,} passages, {cost['tokens']:,} tokens: {cost['seconds']:,.0f} s here, {cost['bytes'] / 1e6:,.1f} MB"),
    ]  # fmt: skip


def _shares(found: Mapping[str, float]) -> str:
    return ", ".join(f"{code} {100 * share:.0f} %" for code, share in list(found.items())[:NAMED]) or "none to tell by"
