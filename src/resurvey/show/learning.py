"""The picture of a training: what held-out queries scored while an encoder learned.

Knows the facts of a report and axes, as `draw.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resurvey.types import Json


def courses(facts: Json) -> list[tuple[str, list[Json]]]:
    """Every training that was looked at while it went on: its name, and its looks that scored something."""
    found = []
    for rung in facts["rungs"]:
        detail = rung["detail"]
        halves = [(f"{rung['id']}, half {place}", half) for place, half in enumerate(detail.get("halves", ()), start=1)]
        for name, training in [(rung["id"], detail), *halves]:
            looks = [row for row in training.get("log", ()) if row.get("held out") is not None]
            if len(looks) > 1:
                found.append((name, looks))
    return found


def has_learning(facts: Json) -> bool:
    """Whether an encoder learned and was looked at."""
    return bool(courses(facts))


def learning(axes: Any, facts: Json, colours: Mapping[str, str], _narrow: bool) -> None:
    """Held-out NDCG@10 over the steps, one line a training, the best look marked."""
    shades = [colours[name] for name in ("accent", "good", "warn", "dim")]
    for place, (name, looks) in enumerate(courses(facts)):
        shade = shades[place % len(shades)]
        steps, scores = [row["step"] for row in looks], [row["held out"] for row in looks]
        best = max(range(len(looks)), key=scores.__getitem__)
        axes.plot(steps, scores, color=shade, linewidth=1.6, marker="o", markersize=3, label=name)
        axes.plot(steps[best], scores[best], color=shade, marker="D", markersize=7)
    axes.set_xlabel("steps")
    axes.set_ylabel("held-out nDCG@10")
    axes.grid(axis="y", color=colours["line"], linewidth=0.6)
    if axes.lines:
        axes.legend(frameon=False, labelcolor=colours["ink"], loc="lower right")


def learning_says(facts: Json) -> str:
    """The picture in a sentence."""
    told = []
    for name, looks in courses(facts):
        best = max(looks, key=lambda row: float(row["held out"]))
        told.append(
            f"{name} from {looks[0]['held out']:.3f} to {best['held out']:.3f} after {best['step']} of {best.get('of', looks[-1]['step'])} steps"
        )
    return f"While the encoder learned, held-out queries went: {'; '.join(told)}."
