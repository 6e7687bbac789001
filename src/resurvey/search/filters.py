"""Filters: one small language over metadata, for the command line, recipes and the service alike.

    status = 'current' and (year >= 2020 or not source in ('WHO', 'CDC'))
    price between 5 and 20    updated >= 2024-05-01    draft = false    `review by` exists

A text is read to a frozen tree (`conditions.py`) by recursive descent. Knows nothing about documents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from resurvey.errors import Problem, ResurveyError
from resurvey.search.conditions import KEYWORDS, Every, Filter, Not, Some, Test, Value, place
from resurvey.search.fields import instant

LONGEST = 10_000
"""Characters of a filter."""
DEEPEST = 50
"""Brackets and `not`s within each other."""
OPERATORS = ("=", "!=", "<=", ">=", "<", ">")
TOKEN = re.compile(
    r"\s*(?:(?P<date>\d{4}-\d\d-\d\d(?:T[\d:.+Z-]+)?)"
    r"|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<quoted>`(?:[^`]|``)+`)"
    r"|(?P<name>[^\W\d][\w.-]*)"
    r"|(?P<sign><=|>=|!=|<>|==|[=<>(),]))"
)


def parse(text: str) -> Filter:
    """The tree of a filter; `str` of it is the filter again.

    Raises:
        ResurveyError: naming the place in the text and what was expected there.
    """
    return _Reader(text).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Reader:
    """Recursive descent over the tokens; every refusal names the character it stands at."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0
        if len(text) > LONGEST:
            raise ResurveyError([Problem("filter", f"has {len(text):,} characters, at most {LONGEST:,} are read")], "")
        self.tokens = list(self._tokens())

    def _tokens(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text.rstrip()):
            found = TOKEN.match(self.text, at)
            if found is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                quote = self.text[at] in "'\"`"
                self._refuse(at, "this quote is never closed" if quote else f"{self.text[at]!r} means nothing here")
            kind = str(found.lastgroup)
            yield _Token(kind, found[kind], found.start(kind))
            at = found.end()

    def whole(self) -> Filter:
        found = self._some()
        if self.place < len(self.tokens):
            self._refuse_here("and, or, or the end")
        return found

    def _some(self) -> Filter:
        parts = [self._every()]
        while self._word("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _every(self) -> Filter:
        parts = [self._one()]
        while self._word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Filter:
        self.depth += 1
        if self.depth > DEEPEST:
            self._refuse(self._at(), f"brackets go more than {DEEPEST} deep")
        if self._word("not"):
            found: Filter = Not(self._one())
        elif self._sign("("):
            found = self._some()
            if not self._sign(")"):
                self._refuse_here("a closing bracket")
        else:
            found = self._test()
        self.depth -= 1
        return found

    def _test(self) -> Filter:
        at, token = self._at(), self._next()
        if token is None or token.kind not in ("name", "quoted") or (token.kind == "name" and _keyword(token)):
            self.place -= token is not None
            self._refuse_here("the name of a field (in `backquotes` where it has spaces)")
        name = token.text[1:-1].replace("``", "`") if token.kind == "quoted" else token.text
        negated = self._word("not")
        if self._word("exists"):
            found = Test(name, "exists", (), at)
        elif self._word("in"):
            found = Test(name, "in", self._list(), at)
        elif self._word("between"):
            low = self._value()
            if not self._word("and"):
                self._refuse_here("and")
            found = Test(name, "between", (low, self._value()), at)
        elif not negated and (sign := self._operator()):
            negated = sign == "!="
            found = Test(name, "=" if negated else sign, (self._value(),), at)
        else:
            self._refuse_here("exists, in or between" if negated else "=, !=, <, <=, >, >=, in, between or exists")
        return Not(found) if negated else found

    def _list(self) -> tuple[Value, ...]:
        if not self._sign("("):
            self._refuse_here("an opening bracket")
        values = [self._value()]
        while self._sign(","):
            values.append(self._value())
        if not self._sign(")"):
            self._refuse_here("a comma or a closing bracket")
        return tuple(values)

    def _value(self) -> Value:
        token = self._next()
        if token is not None:
            if token.kind == "text":
                return token.text[1:-1].replace(token.text[0] * 2, token.text[0])
            if token.kind == "number":
                return self._number(token)
            if token.kind == "date":
                moment = instant(token.text)
                if moment is None:
                    self._refuse(token.at, f"{token.text} is no date of the calendar")
                return moment if "T" in token.text else moment.date()
            if token.text.lower() in ("true", "false"):
                return token.text.lower() == "true"
            self.place -= 1
        word = token is not None and token.kind == "name" and not _keyword(token)
        return self._refuse_here(
            f"a value; a text stands in quotes: '{token.text}'"
            if word and token
            else "a value: a number, a date, 'a text', true or false"
        )

    def _number(self, token: _Token) -> int | float:
        found = float(token.text)
        if not math.isfinite(found):
            self._refuse(token.at, "this number is too large")
        whole = re.fullmatch(r"[+-]?\d{1,15}", token.text)
        return int(token.text) if whole else found

    def _operator(self) -> str:
        token = self._peek()
        sign = {"==": "=", "<>": "!="}.get(token.text, token.text) if token and token.kind == "sign" else ""
        if sign not in OPERATORS:
            return ""
        self.place += 1
        return sign

    def _peek(self) -> _Token | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def _next(self) -> _Token | None:
        token = self._peek()
        self.place += token is not None
        return token

    def _at(self) -> int:
        token = self._peek()
        return token.at if token else len(self.text)

    def _word(self, word: str) -> bool:
        token = self._peek()
        found = token is not None and token.kind == "name" and token.text.lower() == word
        self.place += found
        return found

    def _sign(self, sign: str) -> bool:
        token = self._peek()
        found = token is not None and token.kind == "sign" and token.text == sign
        self.place += found
        return found

    def _refuse_here(self, wanted: str) -> NoReturn:
        token = self._peek()
        self._refuse(self._at(), f"expected {wanted}, found {token.text if token else 'the end'}")

    def _refuse(self, at: int, what: str) -> NoReturn:
        before, after = self.text[max(0, at - 30) : at], self.text[at : at + 20]
        raise ResurveyError(
            [Problem(place(at), f"{what}: {before}⟨here⟩{after}")],
            "resurvey search DIR \"text\" --filter \"year >= 2020 and source in ('A', 'B')\"",
        )


def _keyword(token: _Token) -> bool:
    return token.text.lower() in KEYWORDS
