"""What the sample cannot show, and what to do next: sentences made from what was measured.

Knows the facts of a report; measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from resurvey.promote.choose import UNTOUCHED
from resurvey.settings import Settings
from resurvey.types import Comparison, Json

ENOUGH_QUERIES = 50


def limits(ladder: Json, detectable: float, queries: int, slices: Sequence[Json], settings: Settings) -> list[str]:
    """What these queries cannot tell, a sentence each.

    Args:
        detectable: the difference they would show with 80 % power, in units of the measure.
        queries: how many decided about promotion.
    """
    if ladder["judged_by"] != "judgments":
        return [
            "No judged queries were brought. Queries made from titles and first sentences choose a fusion weight well, "
            "but their scores say nothing about real ones: no number here proves a gain.",
        ]
    least = settings.integer("gate_slice_queries")
    small = [f"{row['name']} ({row['queries']})" for row in slices if row["queries"] < least]
    said = [
        f"{queries:,} judged queries decide here. They would show a true difference of {100 * detectable:.1f} points in "
        "four of five samples; smaller ones are mostly lost in chance.",
        "A document nobody judged counts as wrong, so a pipeline that finds new right ones is scored too low.",
    ]
    if small:
        said.append(f"Slices with fewer than {least} queries cannot refuse a promotion: {', '.join(small)}.")
    if not ladder["gate_apart"]:
        said.append("The same queries chose the treatments and judged the result, so expect a little less in use.")
    if not any(row["name"] == "documents unseen in training" for row in slices):
        said.append(
            "No slice of queries asks only for documents that training never named, so how the result carries over to "
            "new documents is not measured here."
        )
    return said


def following(root: str, facts: Json, best: Comparison | None) -> list[Json]:
    """What to do next, most useful first: a command and why."""
    steps: list[tuple[str, str]] = []
    if facts["judged_by"] != "judgments":
        steps.append((
            "resurvey init NEW_DIR --corpus … --queries … --judgments …",
            f"judge about {ENOUGH_QUERIES} real queries (a line each: query id, document id, grade 0 to 4) and bring them: then gains can be proved",
        ))  # fmt: skip
    elif best is not None and best.verdict == "no difference shown" and best.difference > 0:
        needed = math.ceil(best.queries * (best.detectable / best.difference) ** 2)
        steps.append((
            "more judged queries",
            f"a gain of {100 * best.difference:.1f} points would stand out from chance with about {needed:,} judged queries",
        ))  # fmt: skip
    if facts["proof"] is None and facts["data"]["judged"].get("test"):
        steps.append((
            f"resurvey evaluate {root} --split test",
            "what is live, on queries that nothing was chosen by; every read is counted, so keep it for last",
        ))  # fmt: skip
    steps += [
        (f'resurvey search {root} "…" --explain', "ask it what your users ask, and see what every stage thought"),
        (f"resurvey rank {root} --queries FILE --output RUN.trec", "have any other evaluator check these numbers"),
    ]
    if facts["live"] not in (None, *UNTOUCHED):
        steps.append((f"resurvey rollback {root}", "if it disappoints: what was live before, in one command"))
    return [{"command": command, "why": why} for command, why in steps]
