"""Segments: what codes and numbers are made of, however they are punctuated, spaced, or written out in words.

"5/16-18", "5 16 18" and "five sixteenths, eighteen" are three segments each, the same ones in the same order; two that
follow each other are a term of their own, so that order counts. Number words are English ones. Knows nothing about
which segments tell documents apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

PIECE = re.compile(r"[a-z]+|[0-9]+")
CODE = 4
"""Letters beside a number in one token that are a part of the code, at most."""
LOOSE = 1
"""Letters of a token that stands beside a number and counts as a part of it, at most."""
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
    """Numbers, the letters that belong to them, neighbouring pairs of both as `5|16`, and whole codes as `=51618`."""
    pieces, codes = _pieces(text.lower())
    found = list(_found(pieces))
    pairs = (f"{a}|{b}" for (one, a), (other, b) in itertools.pairwise(found) if other - one <= REACH)
    return [*(segment for _, segment in found), *pairs, *codes]


def _pieces(text: str) -> tuple[list[tuple[str, bool]], list[str]]:
    """Runs of letters and of digits, each with whether its token holds a digit; and tokens of several as `=` and all of them."""
    found: list[tuple[str, bool]] = []
    codes: list[str] = []
    for token in text.split():
        runs = PIECE.findall(token)
        coded = any(map(str.isdecimal, runs))
        found += [(run, coded) for run in runs]
        if coded and len(runs) > 1:
            codes.append(f"={''.join(runs)}")
    return found, codes


def _found(pieces: Sequence[tuple[str, bool]]) -> Iterator[tuple[int, str]]:
    """Segments with their places among all pieces."""
    place = 0
    while place < len(pieces):
        piece, coded = pieces[place]
        value = None if coded or piece.isdecimal() else number(piece)
        if piece.isdecimal():
            yield place, piece.lstrip("0") or "0"
        elif value is not None:
            value, place = _spoken(value, pieces, place)
            yield place, str(value)
        elif len(piece) <= CODE if coded else len(piece) <= LOOSE and _beside_a_number(pieces, place):
            yield place, piece
        place += 1


def _spoken(value: int, pieces: Sequence[tuple[str, bool]], place: int) -> tuple[int, int]:
    """The number that begins with a number word, and the place of its last word."""
    while place + 1 < len(pieces):
        word = pieces[place + 1][0]
        then = number(word)
        if word == "hundred":
            value *= 100
        elif then is not None and _open(pieces[place][0]) and then < (10 if pieces[place][0] in LARGE else 100):
            value += then
        else:
            break
        place += 1
    return value, place


def _open(word: str) -> bool:
    """Whether a number goes on after this word: `twenty` eight, two `hundred` five."""
    return word in LARGE or word == "hundred"


def _beside_a_number(pieces: Sequence[tuple[str, bool]], place: int) -> bool:
    return any(0 <= near < len(pieces) and pieces[near][0].isdecimal() for near in (place - 1, place + 1))


def number(word: str) -> int | None:
    """The number that an English word says, also as a share (`sixteenths`); None for other words."""
    for form in (word, word.removesuffix("s")):
        for table in (SMALL, LARGE, SHARES):
            if form in table:
                return table[form]
        if form.endswith("th") and (base := form.removesuffix("th")) in SMALL:
            return SMALL[base]
    return None
