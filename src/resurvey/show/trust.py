"""The pictures of confidence: do probabilities come true, and what is answering only the surest queries worth?

Knows the facts of a report and axes, as `draw.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resurvey.types import Json

SERIES = (("hits", "a hit is relevant", "accent"), ("found", "any of the first ten is", "good"))


def has_trust(facts: Json) -> bool:
    """Whether probabilities were fitted to what is live, and measured."""
    return bool(facts.get("confidence") and "hits" in facts["confidence"])


def calibration(axes: Any, facts: Json, colours: Mapping[str, str], _narrow: bool) -> None:
    """What was said against what came true; on the line both are equal."""
    axes.plot([0, 1], [0, 1], color=colours["line"], linewidth=1.2)
    for name, label, colour in SERIES:
        bins = facts["confidence"][name]["bins"]
        axes.plot(
            [one["said"] for one in bins], [one["true"] for one in bins], color=colours[colour], linewidth=1.2,
            marker="o", markersize=4, label=label,
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability that was said")
    axes.set_ylabel("share that came true")
    axes.legend(frameon=False, labelcolor=colours["ink"], loc="upper left")


def calibration_says(facts: Json) -> str:
    """The same in words."""
    told = facts["confidence"]
    hits, found = told["hits"], told["found"]
    return (
        f"Probabilities of {told['name']} on folds they were not fitted on. A hit's is off by {100 * hits['error']:.1f} points on "
        f"average (perfect ones would seem {100 * hits['noise']:.1f} off on as many), over {len(hits['bins'])} groups of equally many of the first "
        f"ten hits; that any of the ten is relevant, by {100 * found['error']:.1f} (perfect: {100 * found['noise']:.1f}). "
        "A document that nobody judged counts as irrelevant."
    )


def risk(axes: Any, facts: Json, colours: Mapping[str, str], _narrow: bool) -> None:
    """The share of wrong answers against the share of queries answered, the surest first."""
    curve = facts["confidence"]["curve"]
    axes.plot(
        [100 * point["coverage"] for point in curve], [100 * point["risk"] for point in curve], color=colours["accent"],
        linewidth=1.6, marker="o", markersize=3,
    )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=colours["line"], linewidth=0.6)
    axes.set_xlabel("% of the queries answered, the surest first")
    axes.set_ylabel("% of these without an answer in ten")


def risk_says(facts: Json) -> str:
    """The same in words."""
    curve = facts["confidence"]["curve"]
    whole, half = curve[0], min(curve, key=lambda point: abs(point["coverage"] - 0.5))
    return (
        f"Answering all queries, {100 * whole['risk']:.0f} % have nothing relevant among the first ten; answering only those where "
        f"that is at least {100 * half['threshold']:.0f} % sure, {100 * half['coverage']:.0f} % of the queries, {100 * half['risk']:.0f} % have."
    )
