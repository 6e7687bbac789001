"""Snippets: the few words of a document that a reader must see to know why it was found.

Knows texts; knows nothing about rankings or pages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from resurvey.search.analyse import words
from resurvey.types import Document

WORDS = 32
WORD = re.compile(r"\S+")
Fragment = tuple[str, bool]
"""A piece of text, and whether it is one of the words asked for."""


def snippet(document: Document, query: str, language: str) -> list[Fragment]:
    """The window of the text that holds most of the query's words, those words marked."""
    asked = frozenset(words(query, language))
    spans = [match.span() for match in WORD.finditer(document.text)]
    if not spans:
        return [(document.title, False)]
    marked = [bool(asked & set(words(document.text[start:end], language))) for start, end in spans]
    first = _densest(document.text, spans, marked)
    last = min(first + WORDS, len(spans))
    fragments: list[Fragment] = [("… ", False)] if first else []
    for place in range(first, last):
        piece = document.text[slice(*spans[place])]
        fragments += [(piece, marked[place]), (" ", False)]
    return _joined([*fragments, ("…", False)] if last < len(spans) else fragments)


def _densest(text: str, spans: Sequence[tuple[int, int]], marked: Sequence[bool]) -> int:
    """The first word of the window with the most different marked words; a little before the first of them."""
    hits = [place for place, hit in enumerate(marked) if hit]
    best, most = 0, 0
    for hit in hits:
        first = max(0, hit - 4)
        found = {text[slice(*spans[place])].lower() for place in hits if first <= place < first + WORDS}
        if len(found) > most:
            best, most = first, len(found)
    return best


def _joined(fragments: Sequence[Fragment]) -> list[Fragment]:
    joined: list[Fragment] = []
    for text, hit in fragments:
        if joined and joined[-1][1] == hit:
            joined[-1] = (joined[-1][0] + text, hit)
        else:
            joined.append((text, hit))
    return joined
