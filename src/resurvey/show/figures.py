"""The report's pictures: each drawn once, for the page (theme and width follow the reader) and for a slide.

A picture is a row of `FIGURES`. On the page its colours are the page's own variables, so that light,
dark and print follow; a narrow twin serves phones. Knows the facts of a report; knows nothing about pages.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from resurvey.show import draw
from resurvey.show.learning import has_learning, learning, learning_says
from resurvey.show.trust import calibration, calibration_says, has_trust, risk, risk_says
from resurvey.types import Json

WIDE, NARROW = 7.6, 3.9
"""Widths in inches; at 72 points an inch text of 9 points stays readable on a phone."""
DPI = 200
PAGE = {
    name: f"#0101{place:02x}"
    for place, name in enumerate(("ink", "dim", "line", "accent", "good", "bad", "soft", "warn"), 16)
}
"""Stand-ins for the page's colour variables: drawn with, then replaced."""
SLIDE = {
    "ink": "#1b2430",
    "dim": "#586374",
    "line": "#d5dbe3",
    "accent": "#1f5fae",
    "good": "#17703a",
    "bad": "#b3261e",
    "soft": "#eef1f5",
    "warn": "#8a5a00",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One row: what it is called, whether there is anything to draw, how tall (inches), how to draw, what it says."""

    name: str
    there: Callable[[Json], bool]
    height: Callable[[Json], float]
    draw: Callable[[Any, Json, Mapping[str, str], bool], None]
    says: Callable[[Json], str]


FIGURES: tuple[Picture, ...] = (
    Picture("ladder", draw.has_ladder, draw.ladder_height, draw.ladder, draw.ladder_says),
    Picture("learning", has_learning, lambda _: 2.6, learning, learning_says),
    Picture("slices", draw.has_slices, draw.slices_height, draw.slices, draw.slices_says),
    Picture("ranks", draw.has_ranks, draw.ranks_height, draw.ranks, draw.ranks_says),
    Picture("calibration", has_trust, lambda _: 2.9, calibration, calibration_says),
    Picture("risk", has_trust, lambda _: 2.6, risk, risk_says),
    Picture("atlas", draw.has_atlas, lambda _: 4.6, draw.atlas, draw.atlas_says),
    Picture("scores", draw.has_scores, lambda _: 2.6, draw.scores, draw.scores_says),
    Picture("hubs", draw.has_hubs, lambda _: 2.4, draw.hubs, draw.hubs_says),
    Picture("vocabulary", draw.has_vocabulary, lambda _: 2.9, draw.vocabulary, draw.vocabulary_says),
)


def svg(picture: Picture, facts: Json, *, narrow: bool) -> str:
    """The picture for the page, in the page's colours, without a reference to anything outside."""
    name = f"{picture.name}-{'narrow' if narrow else 'wide'}"
    options = {"metadata": dict.fromkeys(("Creator", "Date", "Format", "Type"))}
    text = _saved(picture, facts, PAGE, NARROW if narrow else WIDE, format="svg", **options).decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text).replace('href="#', f'href="#{name}-')
    text = re.sub(r'<svg width="[^"]*" height="[^"]*"', "<svg", text, count=1)
    for variable, colour in PAGE.items():
        text = text.replace(colour, f"var(--{variable})")
    text = text.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    return text.replace("<svg", f'<svg class="{"narrow" if narrow else "wide"}" aria-hidden="true"', 1)


def png(picture: Picture, facts: Json) -> bytes:
    """The picture for a slide: light, 200 dots an inch."""
    return _saved(picture, facts, SLIDE, WIDE, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})


def _saved(picture: Picture, facts: Json, colours: Mapping[str, str], width: float, **options: Any) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": picture.name, "font.family": "DejaVu Sans", "font.size": 9}
    with mpl.rc_context(style):
        made = Figure(figsize=(width, picture.height(facts)), layout="constrained")
        axes = made.add_subplot()
        draw.plain(axes, colours)
        picture.draw(axes, facts, colours, width < WIDE)
        for artist in axes.findobj():
            artist.set_clip_on(False)
        made.savefig(buffer, transparent="facecolor" not in options, **options)
    return buffer.getvalue()
