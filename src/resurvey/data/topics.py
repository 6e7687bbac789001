"""TREC topics, the old SGML and the newer XML: blocks of `<top>` or `<topic>` with tagged fields."""

from __future__ import annotations

import html
import re
from pathlib import Path

from resurvey.data.lines import Problems, read_text
from resurvey.data.rows import Row, Table, table_of

BLOCK = re.compile(r"<top(?:ic)?(?=[\s>])([^<>]*)>", re.IGNORECASE)
END = re.compile(r"</top(?:ic)?>", re.IGNORECASE)
FIELD = re.compile(r"<([a-z]++)[^<>]*+>([^<]*+)", re.IGNORECASE)
"""Nothing here is tried twice: a tag that never ends must not cost the square of its length."""
NUMBER = re.compile(r"\b(?:number|num|id)\s*+=\s*+[\"']?([^\"'\s]+)", re.IGNORECASE)
LABEL = re.compile(r"^(?:number|topic|title|description|narrative)\s*:", re.IGNORECASE)
ASKED = ("title", "query", "question", "desc", "description")


def read(path: Path, problems: Problems) -> Table:
    """Topics as rows of `id` and `text` (the title, or the first field that asks something)."""
    text = read_text(path, problems) or ""
    starts = list(BLOCK.finditer(text))
    if not starts and text.strip():
        problems.add(path, 0, "holds no <top> or <topic>, so these are no TREC topics")
    rows: list[Row] = []
    line, counted = 1, 0
    for place, start in enumerate(starts):
        line += text.count("\n", counted, start.start())
        counted = start.start()
        body = text[start.end() : starts[place + 1].start() if place + 1 < len(starts) else len(text)]
        close = END.search(body)
        rows.append((line, _topic(start.group(1), body[: close.start()] if close else body)))
    return table_of(path, rows)


def _topic(attributes: str, body: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, found in FIELD.findall(body):
        fields.setdefault(name.lower(), LABEL.sub("", " ".join(html.unescape(found).split())).strip())
    number = NUMBER.search(attributes)
    id = number.group(1) if number else fields.get("num") or fields.get("number") or ""
    asked = next((fields[name] for name in ASKED if fields.get(name)), "")
    return {"id": id, "text": asked or " ".join(html.unescape(body.partition("<")[0]).split())}
