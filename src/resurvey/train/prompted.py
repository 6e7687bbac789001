"""Queries that a language model writes: a prompt with real queries as examples, and a patient reading of the reply.

Few-shot prompting from as few as eight real queries is Promptagator's (Dai et al., ICLR 2023). Whoever calls brings
a function from prompt to reply; this module knows nothing about endpoints, and trusts no reply to have a form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from resurvey.train.examples import plain

PROVENANCE = "synthetic: llm"
SHOTS = 8
SHOT_CHARACTERS = 300
PASSAGE_CHARACTERS = 2_000
LONGEST = 300
"""Characters of a query; longer ones are explanations."""
THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
FENCE = re.compile(r"```\w*")
MARK = re.compile(r"^\s*(?:(?:[-*•–]|\(?\d{1,2}[.):]\)?|Q(?:uery)?\s*\d*\s*[:.])\s+)+", re.IGNORECASE)
QUOTES = "\"'“”‘’`"
PREAMBLE = re.compile(
    r"^(?:sure|certainly|okay|ok|of course|here (?:are|is)|below are|these are|queries|note)\b.*", re.I
)


def prompt(passage: str, shots: Sequence[tuple[str, str]], number: int) -> str:
    """What the model is asked: `number` queries for a passage, after real (query, passage) pairs where there are any."""
    told = [
        "You write search queries. Below are passages with queries that real users typed to find them."
        if shots
        else "You write the search queries that users type to find a passage: short, often only keywords.",
        "Write queries of the same kind, length and wording as the real ones. Do not copy sentences of the passage."
        if shots
        else "Do not copy sentences of the passage.",
    ]
    for query, seen in shots[:SHOTS]:
        told += ["", f"Passage: {_short(seen, SHOT_CHARACTERS)}", f"Query: {_short(query, LONGEST)}"]
    told += [
        "",
        f"Passage: {_short(passage, PASSAGE_CHARACTERS)}",
        "",
        f"Write {number} different queries for this last passage, as a JSON array of strings and nothing else.",
    ]
    return "\n".join(told)


def parse(reply: str, number: int) -> list[str]:
    """At most `number` different queries in a reply: a JSON array wherever it stands, or else a query a line."""
    text = FENCE.sub("\n", THOUGHT.sub("", reply))
    found: dict[str, str] = {}
    for line in _array(text) or text.splitlines():
        query = _query(line)
        if query:
            found.setdefault(plain(query), query)
    return list(found.values())[:number]


def _array(text: str) -> list[str]:
    """The strings of the first JSON array that has any, also as values of objects."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"\[", text):
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        rows = [
            next((v for v in row.values() if isinstance(v, str)), "") if isinstance(row, dict) else row for row in value
        ]
        strings = [row for row in rows if isinstance(row, str) and row.strip()]
        if strings:
            return strings
    return []


def _query(line: str) -> str:
    """A line without numbers, bullets, quotes and the comma of a broken array; nothing where it is no query."""
    bare = " ".join(MARK.sub("", line).strip().rstrip(",").split()).strip(QUOTES + "[]{}").strip()
    if (
        not bare
        or len(bare) > LONGEST
        or not re.search(r"[^\W\d_]", bare)
        or bare.endswith(":")
        or PREAMBLE.match(bare)
    ):
        return ""
    return bare


def _short(text: str, most: int) -> str:
    """The first characters of a text on one line, up to the end of a word."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[:most].rsplit(" ", 1)[0]
