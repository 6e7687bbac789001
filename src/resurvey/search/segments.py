"""Segments: what codes and numbers are made of, however they are punctuated, spaced, or written out in words.

"5/16-18", "5 16 18" and "five sixteenths, eighteen" are three segments each, the same ones in the same order; two that
follow each other are a term of their own, so that order counts. Number words are English ones. Knows nothing about
which segments tell documents apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

PIECE = re.compile(r"[a-z]+|\d+|\S")
CODE = 4
"""Letters beside a number in one token that are a part of the code, at most."""
REACH = 2
"""Pieces from one segment to the next, at most, for the two to follow each other."""
UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SMALL = {word: place for place, word in enumerate(UNITS)}
LARGE = {word: 10 * place for place, word in enumerate(TENS, start=2)}
SHARES = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12, "twentieth": 20, "thirtieth": 30}  # fmt: skip


def segments(text: str) -> list[str]:
    """Numbers, the letters that belong to them, and neighbouring pairs of both as `5|16`; none where there is no number."""
    found = list(_found(text.lower()))
    terms = [segment for _, segment in found]
    pairs = itertools.pairwise(found)
    return [*terms, *(f"{a}|{b}" for (one, a), (other, b) in pairs if other - one <= REACH)]


def _found(text: str) -> Iterator[tuple[int, str]]:
    """Segments with their places among all pieces; marks take no place."""
    place = 0
    pending: int | None = None
    for token in text.split():
        pieces = PIECE.findall(token)
        coded = any(piece.isdecimal() for piece in pieces)
        for piece in pieces:
            if not piece.isalnum() or not piece.isascii():
                continue
            place += 1
            value = None if coded else number(piece)
            if pending is not None:
                joined = value is not None and 0 < value < 10
                yield place - 1, str(pending + (value or 0) if joined else pending)
                pending = None
                if joined:
                    continue
            if value is not None and piece in LARGE:
                pending = value
            elif value is not None:
                yield place, str(value)
            elif piece.isdecimal():
                yield place, piece.lstrip("0") or "0"
            elif coded and len(piece) <= CODE:
                yield place, piece
    if pending is not None:
        yield place, str(pending)


def number(word: str) -> int | None:
    """The number that an English word says, also as a share (`sixteenths`); None for other words."""
    for form in (word, word.removesuffix("s")):
        for table in (SMALL, LARGE, SHARES):
            if form in table:
                return table[form]
        if form.endswith("th") and (base := form.removesuffix("th")) in SMALL:
            return SMALL[base]
    return None
