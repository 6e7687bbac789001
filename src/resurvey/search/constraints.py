"""Constraints that a query states: known values of fields, years, dates, prices.

"2023 guidance from CDC under $100" asks for a year, a source and a price as plainly as a filter does. What is
found is a list of filters, each with the words it was read from, so that it can be shown and taken away
again. Numbers and limits are read in English ("under", "since"); values of fields in any language.
Pure: knows a query's text and the fields, nothing about retrievers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from resurvey.search.conditions import Filter, Test
from resurvey.search.fields import Field, Fields

MOST_VALUES = 5_000
"""Different values of a text field that are looked for in queries."""
SHARED = 2
"""Documents that share a value on average, or it is a name of the document rather than a property."""
LONGEST_VALUE = 6
"""Words of a value."""
SHORTEST = 2
"""Characters of a value."""
WORD = re.compile(r"[^\W_]+")
YEARS = (1900, 2100)
PRICES = ("price", "cost", "amount", "fee", "usd", "eur", "gbp", "budget")
"""Words in the names of fields that hold money."""
LIMITS: Mapping[str, tuple[str, ...]] = {
    "<": ("under", "below", "less than", "cheaper than", "before", "earlier than", "older than"),
    "<=": ("at most", "up to", "no more than", "not more than", "max", "maximum", "until"),
    ">": ("over", "above", "more than", "after", "later than", "newer than"),
    ">=": ("at least", "from", "since", "starting at", "min", "minimum"),
}
"""Words before a number, and how they compare."""
SIGNS = {word: sign for sign, words in LIMITS.items() for word in words}
LIMIT = "|".join(sorted(map(re.escape, SIGNS), key=len, reverse=True))
YEAR = r"(?:19|20)\d\d"
MONEY = r"(?:[$€£]\s?(?:\d[\d,]*(?:\.\d+)?)|\d[\d,]*(?:\.\d+)?\s?(?:[$€£]|(?:dollars?|euros?|pounds?|usd|eur|gbp)\b))"
BARE = r"(?:[$€£]?\s?\d[\d,]*(?:\.\d+)?)"
SPANS = re.compile(rf"\b(?:between|from)?\s*\b(?P<low>{YEAR})\s*(?:to|and|until|[-–])\s*(?P<high>{YEAR})\b", re.I)
YEAR_SAID = re.compile(rf"(?<![\w./-])(?:(?P<limit>{LIMIT})\s+)?(?P<year>{YEAR})(?![\w/-]|\.\d)", re.I)
MONEY_SPAN = re.compile(rf"(?:between|from)?\s*(?P<low>{BARE})\s*(?:to|and|[-–])\s*(?P<high>{MONEY})", re.I)
MONEY_SAID = re.compile(rf"\b(?P<limit>{LIMIT})\s+(?P<money>{MONEY})", re.I)


@dataclass(frozen=True, slots=True)
class Constraint:
    """One filter that a query states; characters [start, end) of it say so."""

    where: Filter
    start: int
    end: int

    @property
    def field(self) -> str:
        """The field it is about."""
        assert isinstance(self.where, Test)
        return self.where.field

    def __str__(self) -> str:
        return str(self.where)


def constraints(query: str, fields: Fields) -> tuple[Constraint, ...]:
    """Every constraint a query states, in the order of its words.

    One stretch of words may name several fields ("CDC" as source and as author); of the values of
    one field that overlap, the longest counts. "2023" is a year of every field of years and of dates.
    """
    found = [*_values(query, fields), *_years(query, fields), *_prices(query, fields)]
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.field)))


def without(query: str, taken: Sequence[Constraint]) -> str:
    """The query less the words of constraints that became filters; the query itself where nothing would be left."""
    kept = [character for place, character in enumerate(query) if not any(c.start <= place < c.end for c in taken)]
    return " ".join("".join(kept).split()) or query


def askable(field: Field) -> bool:
    """Whether a field's values are looked for in queries: properties that documents share."""
    count = len(field.levels)
    return field.kind == "text" and 2 <= count <= min(MOST_VALUES, int(field.present.sum()) // SHARED)


def _values(query: str, fields: Fields) -> Iterator[Constraint]:
    words = [(found.group().casefold(), found.start(), found.end()) for found in WORD.finditer(query)]
    for name, field in fields.items():
        known = _known(field)
        place = 0
        while known and place < len(words):
            for size in range(min(LONGEST_VALUE, len(words) - place), 0, -1):
                value = known.get(" ".join(word for word, _, _ in words[place : place + size]))
                if value is not None:
                    start, end = words[place][1], words[place + size - 1][2]
                    yield Constraint(Test(name, "=", (value,)), start, end)
                    place += size - 1
                    break
            place += 1


class _Once:
    """A field by identity: its values are read once, however many queries come."""

    __slots__ = ("field",)

    def __init__(self, field: Field) -> None:
        self.field = field

    def __hash__(self) -> int:
        return id(self.field)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and other.field is self.field


def _known(field: Field) -> Mapping[str, str]:
    return _read(_Once(field))


@lru_cache(maxsize=256)
def _read(once: _Once) -> Mapping[str, str]:
    """Every value of a field by its words in lower case; of values that differ only in case, the first."""
    if not askable(once.field):
        return {}
    found: dict[str, str] = {}
    for value in once.field.levels.tolist():
        key = " ".join(word.casefold() for word in WORD.findall(value))
        if len(key) >= SHORTEST and key.count(" ") < LONGEST_VALUE:
            found.setdefault(key, value)
    return found


def _years(query: str, fields: Fields) -> Iterator[Constraint]:
    dated = {name: field for name, field in fields.items() if field.kind == "date" or _of_years(field)}
    if not dated:
        return
    taken: list[tuple[int, int]] = []
    for span in SPANS.finditer(query):
        start = span.start() + len(span.group()) - len(span.group().lstrip())
        taken.append((start, span.end()))
        low, high = sorted((int(span["low"]), int(span["high"])))
        for name, field in dated.items():
            yield Constraint(_between(name, field, low, high), start, span.end())
    for said in YEAR_SAID.finditer(query):
        if not any(start <= said.start("year") < end for start, end in taken):
            sign = SIGNS[" ".join(said["limit"].lower().split())] if said["limit"] else "="
            for name, field in dated.items():
                yield Constraint(_year(name, field, sign, int(said["year"])), said.start(), said.end())


def _of_years(field: Field) -> bool:
    if field.kind != "number" or not len(field.levels):
        return False
    low, high = float(field.levels[0]), float(field.levels[-1])
    return YEARS[0] <= low and high <= YEARS[1] and bool(np.all(field.levels == np.floor(field.levels)))


def _between(name: str, field: Field, low: int, high: int) -> Test:
    if field.kind == "date":
        return Test(name, "between", (date(low, 1, 1), date(high, 12, 31)))
    return Test(name, "between", (low, high))


def _year(name: str, field: Field, sign: str, year: int) -> Test:
    """A year held against numbers, or against the first or last day it has."""
    if field.kind != "date":
        return Test(name, sign, (year,))
    if sign == "=":
        return _between(name, field, year, year)
    edge = date(year, 1, 1) if sign in ("<", ">=") else date(year, 12, 31)
    return Test(name, sign, (edge,))


def _prices(query: str, fields: Fields) -> Iterator[Constraint]:
    priced = [
        name
        for name, field in fields.items()
        if field.kind == "number" and any(word in PRICES for word in re.split(r"[\W_]+", name.lower()))
    ]
    spans = list(MONEY_SPAN.finditer(query)) if priced else []
    for span in spans:
        low, high = sorted((_number(span["low"]), _number(span["high"])))
        for name in priced:
            yield Constraint(Test(name, "between", (low, high)), span.start(), span.end())
    for said in MONEY_SAID.finditer(query) if priced else ():
        if not any(span.start() <= said.start("money") < span.end() for span in spans):
            sign = SIGNS[" ".join(said["limit"].lower().split())]
            for name in priced:
                yield Constraint(Test(name, sign, (_number(said["money"]),)), said.start(), said.end())


def _number(money: str) -> int | float:
    digits = re.sub(r"[^\d.]", "", money)
    return float(digits) if "." in digits else int(digits)
