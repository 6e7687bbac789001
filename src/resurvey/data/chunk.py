"""Documents to passages, cut where the encoder's own tokenizer says.

A document that fits is one passage. A longer one becomes windows of tokens, each with the document's title before
it. A window ends where the document itself does something new (a heading, a paragraph, a definition), else after a
sentence, where either comes late enough. Judgments and runs stay on documents, so cutting anew carries them over.
Knows nothing about vectors.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from resurvey.protocols import Tokenizer
from resurvey.types import Document, Passage

NEW_PART = re.compile(r"\n\s*\n|\n(?=#{1,6} |(?:async )?def |class |(?:export )?function |func |fn |=+\s|-{3,}\s)")
"""A blank line, or a line that begins a section, a definition or a rule."""
SENTENCE_END = re.compile(r"[.!?]['\")\]]*\s|\n")
LATE_ENOUGH = 0.6
"""Share of a window that must be full before a break may close it early."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The passages of a corpus with the texts that are embedded, and what cutting short would lose."""

    passages: tuple[Passage, ...]
    texts: tuple[str, ...]
    long_documents: int
    lost_tokens: int
    tokens: int
    """Tokens of all documents, titles included."""
    heads: tuple[int, ...] = ()
    """For every passage, how many characters of its document's title stand before it."""
    lengths: tuple[int, ...] = ()
    """For every passage, how many tokens its document has."""


def cut(documents: Sequence[Document], tokenizer: Tokenizer, most: int = 0) -> Cut:
    """Passages of at most `most` tokens (0: as many as the encoder reads).

    `long_documents` and `lost_tokens` count what an encoder of `most` tokens would silently drop.
    """
    budget = min(most or tokenizer.max_tokens, tokenizer.max_tokens)
    lengths = [len(spans) for spans in tokenizer.offsets([d.full_text for d in documents])]
    long = [document for document, length in zip(documents, lengths, strict=True) if length > budget]
    bodies = dict(zip((d.id for d in long), tokenizer.offsets([d.text for d in long]), strict=True))
    titles = dict(zip((d.id for d in long), tokenizer.offsets([d.title for d in long]), strict=True))
    passages: list[Passage] = []
    texts: list[str] = []
    heads: list[int] = []
    counts: list[int] = []
    for document, length in zip(documents, lengths, strict=True):
        if length <= budget:
            passages.append(Passage(document.id, 0, len(document.text)))
            texts.append(document.full_text)
            heads.append(len(document.title))
            counts.append(length)
            continue
        title = _short_title(document.title, titles[document.id], budget // 2)
        room = budget - min(len(titles[document.id]), budget // 2)
        for start, end in _windows(document.text, bodies[document.id], room):
            passages.append(Passage(document.id, start, end))
            texts.append(f"{title} {document.text[start:end]}".strip())
            heads.append(len(title))
            counts.append(length)
    lost = sum(length - budget for length in lengths if length > budget)
    return Cut(tuple(passages), tuple(texts), len(long), lost, sum(lengths), tuple(heads), tuple(counts))


def _short_title(title: str, spans: Sequence[tuple[int, int]], most: int) -> str:
    if len(spans) <= most:
        return title
    return title[: spans[most - 1][1]] if most else ""


def _windows(text: str, spans: Sequence[tuple[int, int]], room: int) -> list[tuple[int, int]]:
    """Character spans of at most `room` tokens that cover `text` without overlap."""
    if not spans:
        return [(0, len(text))]
    ends = [end for _, end in spans]
    breaks = [[match.end() for match in kind.finditer(text)] for kind in (NEW_PART, SENTENCE_END)]
    windows: list[tuple[int, int]] = []
    first = 0
    while first < len(spans):
        last = min(first + room, len(spans))
        if last < len(spans):
            found = (_stop(spans, ends, places, first, last) for places in breaks)
            last = next(filter(None, found), None) or _between_characters(spans, first, last)
        windows.append((spans[first][0], spans[last - 1][1]))
        first = last
    return windows


def _between_characters(spans: Sequence[tuple[int, int]], first: int, last: int) -> int:
    """`last`, or the nearest place where no character would be cut: byte-level tokens may share one."""
    places = chain(range(last, first, -1), range(last + 1, len(spans)))
    return next((place for place in places if spans[place][0] >= spans[place - 1][1]), len(spans))


def _stop(
    spans: Sequence[tuple[int, int]], ends: Sequence[int], breaks: Sequence[int], first: int, last: int
) -> int | None:
    """The token to stop before, so that the window ends at a break; None when none comes late enough."""
    place = bisect_right(breaks, spans[last][0])
    if place == 0:
        return None
    stop = bisect_right(ends, breaks[place - 1])
    return stop if first + LATE_ENOUGH * (last - first) <= stop <= last else None
