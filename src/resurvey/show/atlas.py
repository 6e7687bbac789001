"""The map's page: facts, styles and script in one file; no request leaves it. Measures nothing."""

from __future__ import annotations

import json

from markupsafe import Markup

from resurvey.show.report import templates
from resurvey.types import Json


def render(facts: Json) -> str:
    """The page for a chart. What texts hold cannot end the script that they are in."""
    told = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    for sign, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        told = told.replace(sign, code)
    shown = {name: facts[name] for name in ("workspace", "encoder", "all", "fields")}
    counts = {name: len(facts[name]["x"]) for name in ("passages", "queries", "words")}
    return templates().get_template("map.html").render(**shown, drawn=counts, data=Markup(told)).lstrip()
