"""What the doctor found, as a table that fits 80 columns: one line a check, remedies below.

Knows the doctor's facts; looks at nothing itself.
"""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from resurvey.show.console import table
from resurvey.types import Json

STATES = {"ok": "green", "missing": "yellow", "wrong": "red"}


def health_table(facts: Json) -> list[RenderableType]:
    """Checks, what the speed means, how to mend what is not ok. Commands are plain strings: never broken."""
    made = table("check", "state", "found")
    for row in facts["checks"]:
        what = Text(row["what"], no_wrap=True, overflow="ellipsis")
        made.add_row(row["name"], Text(row["state"], style=STATES[row["state"]]), what)
    for column in made.columns[:2]:
        column.no_wrap = True  # what is narrowed is the last one
    parts: list[RenderableType] = [made]
    if facts["meaning"]:
        parts.append(Text(f"\nWith {facts['speed']['model']}, {facts['meaning']}."))
    for row in facts["checks"]:
        if row["state"] != "ok":
            wish = "" if row["required"] else " (optional)"
            parts.append(Text(f"\n{row['name']}{wish}: {row['what']}. {row['sentence']}", style="bold"))
            parts.append(f"  {row['remedy']}")
    return parts
