"""The report: one self-contained page, the same as JSON, and its pictures for slides.

No request leaves the page. Knows facts that were gathered; measures nothing.
"""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from resurvey.show.figures import FIGURES, png, svg
from resurvey.show.quantity import written
from resurvey.types import Json

TEMPLATE = "report.html"
HUBS = 8
READINGS = {"scores": "R10-separation", "hubs": "R12-hubs", "vocabulary": "R15-vocabulary"}
"""The finding whose reading stands below a picture."""
GLOSSARY = (
    ("nDCG@10", "How good the first ten results are: 1 when the right documents stand first, 0 when none is there."),
    ("point", "A hundredth of the measure: from 0.50 to 0.52 is 2 points."),
    ("interval", "Where the true difference lies in 95 of 100 such samples of queries."),
    ("base", "The encoder alone, over documents cut where it stops reading, as most people run it."),
    ("bm25, rrf", "Word search; and both fused by rank with equal weights."),
    ("kept, live", "Kept: a step whose gain exceeds one standard error. Live: what answers searches now."),
    ("held out", "Measured on queries that the pipeline was not fitted on."),
    ("Recall@100", "The share of the right documents that are anywhere among the first hundred."),
    ("hub", "A document that turns up in the results of many unrelated queries."),
    ("short, long", "Slices of queries: the third with the fewest words, and the third with the most."),
    ("literal token", "A word with digits or signs in it, such as a part number, that must match as it stands."),
)


def templates() -> Environment:
    """The templates of all pages: whatever a text holds is escaped, and a name that nobody gave is an error."""
    return Environment(
        loader=PackageLoader("resurvey.show"), autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def render(facts: Json) -> str:
    """The page for what `gather` found."""
    environment = templates()
    environment.filters |= {"points": _points, "number": _number, "measured": written}
    evidence = {finding["id"]: finding for finding in facts["findings"]}
    pictures = {
        picture.name: {
            "says": picture.says(facts),
            "wide": svg(picture, facts, narrow=False),
            "narrow": svg(picture, facts, narrow=True),
        }
        for picture in FIGURES
        if picture.there(facts)
    }
    readings = {name: evidence[id]["reading"] for name, id in READINGS.items() if id in evidence}
    hubs = evidence.get("R12-hubs", {}).get("evidence", {}).get("hubs", [])[:HUBS]
    failing = evidence.get("R18-ranking", {}).get("evidence", {}).get("failures", {})
    words = evidence.get("R13-collision", {}).get("evidence", {}).get("terms", [])
    shown = facts | {
        "words": words,
        "causes": failing.get("causes", []),
        "pictures": pictures,
        "readings": readings,
        "hubs": hubs,
        "glossary": GLOSSARY,
    }
    headline, *caution = re.split(r"(?<=[.]) (?=[A-Z])", facts["verdict"], maxsplit=1)
    shown |= {"headline": headline, "caution": " ".join(caution)}
    shown["steps"] = {rung["id"]: rung for rung in facts["rungs"]}
    return environment.get_template(TEMPLATE).render(**shown).lstrip()


def slides(facts: Json) -> dict[str, bytes]:
    """The pictures as PNG, by name."""
    return {picture.name: png(picture, facts) for picture in FIGURES if picture.there(facts)}


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"
