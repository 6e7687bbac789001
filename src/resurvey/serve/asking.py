"""Asking: what a request wants, as filters and boosts around what is live; every filter is shown and has a name.

Filters come from the request, from the settings (what holds today, what nothing newer replaces) and from the query
itself (prices, dates, quantities, known values). All but the request's own can be taken away by name. Knows fields,
settings and recipes; knows nothing about HTTP or who searches.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from resurvey.errors import Problem, ResurveyError
from resurvey.search.boost import by_recency, by_value
from resurvey.search.conditions import Filter, Not, Some, Test, check, conjunction, mask
from resurvey.search.constraints import Constraint, constraints
from resurvey.search.fields import Fields, instant
from resurvey.search.filters import parse
from resurvey.search.recipe import boosted, filtered
from resurvey.settings import Settings
from resurvey.types import Json

VALID, SUPERSEDED = "valid_at", "superseded"
NOW, ANY = "now", "any"
SHOWN, APPLIED, OFF = "show", "apply", "off"


@dataclass(frozen=True, slots=True)
class Boost:
    """A field's weight in standard deviations of the score: by recency, or for one value."""

    field: str
    weight: float
    half_life: float | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One search as a request wants it; None takes what the settings say."""

    query: str
    k: int = 10
    filter: str = ""
    candidate: str = "live"
    explain: bool = False
    constraints: str | None = None
    without: Sequence[str] = ()
    at: str = NOW
    boosts: Sequence[Boost] | None = None
    min_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Restriction:
    """One filter around a search: where it came from, and whether it was applied."""

    name: str
    where: Filter
    source: str
    applied: bool
    words: str = ""
    """What in the query says so."""
    why: str = ""
    """Why it was not applied."""

    def shown(self) -> Json:
        """For people and programs."""
        more = {name: value for name, value in (("words", self.words), ("why", self.why)) if value}
        return {"name": self.name, "filter": str(self.where), "source": self.source, "applied": self.applied, **more}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tree to search, and the filters in and around it."""

    root: Json
    restrictions: tuple[Restriction, ...] = field(default_factory=tuple)

    @property
    def where(self) -> str:
        """The whole filter; empty where nothing is filtered."""
        parts = [one.where for one in self.restrictions if one.applied]
        return str(conjunction(parts)) if parts else ""


def wanted(ask: Ask, root: Json, fields: Fields, settings: Settings) -> Wanted:
    """A recipe's tree within all that is asked, with its boosts.

    Raises:
        ResurveyError: with all that is wrong with the filter, the date and the boosts.
    """
    problems: list[Problem] = []
    found = [*_own(ask, fields, problems), *_standing(ask, fields, settings, problems)]
    boosts = ask.boosts if ask.boosts is not None else standing_boosts(settings)
    problems += boost_problems(boosts, fields)
    if problems:
        raise ResurveyError(problems, "GET /openapi.json describes every part of a request; docs/serve.md has examples")
    left = Wanted(root, tuple(found)).where
    found += _stated(ask, fields, ask.constraints or settings.text("query_constraints"), left)
    if boosts:
        root = boosted(root, _by_field(boosts))
    made = Wanted(root, tuple(found))
    return Wanted(filtered(root, made.where), made.restrictions) if made.where else made


def _own(ask: Ask, fields: Fields, problems: list[Problem]) -> Iterator[Restriction]:
    """The request's own filter."""
    if not ask.filter.strip():
        return
    try:
        where = parse(ask.filter)
        check(where, fields)
    except ResurveyError as error:
        problems += error.problems
        return
    yield Restriction("filter", where, "request", applied=True)


def _standing(ask: Ask, fields: Fields, settings: Settings, problems: list[Problem]) -> Iterator[Restriction]:
    """What the settings ask of every document: that it holds at a moment, and that nothing newer stands in its place."""
    begins, ends = settings.text("valid_from_field"), settings.text("valid_until_field")
    moment = moment_of(ask.at)
    if moment is None and ask.at != ANY:
        problems.append(
            Problem("at", f"is {ask.at!r}, must be a date such as 2024-05-01, a moment in ISO 8601, now or any")
        )
    tests = [(begins, "<="), (ends, ">=")] if moment is not None else []
    parts: list[Filter] = []
    for name, op in tests:
        if name in fields and fields[name].kind == "date":
            assert moment is not None
            parts.append(Some((Test(name, op, (moment,)), Not(Test(name, "exists")))))
        elif name in fields:
            problems.append(
                Problem(
                    name, f"holds {fields[name].kind}s, and what a document's validity is read from must hold dates"
                )
            )
    if parts:
        yield _removable(VALID, conjunction(parts), "settings", ask)
    newer = settings.text("superseded_field")
    if newer in fields:
        yield _removable(SUPERSEDED, Not(Test(newer, "exists")), "settings", ask)


def moment_of(at: str) -> date | datetime | None:
    """A day, a moment in UTC, or today for `now`; None where the text names none."""
    if at == NOW:
        return datetime.now(UTC).date()
    found = instant(at)
    if found is None:
        return None
    return found if "T" in at or " " in at else found.date()


def _removable(name: str, where: Filter, source: str, ask: Ask, words: str = "") -> Restriction:
    off = name in ask.without
    return Restriction(name, where, source, not off, words, "taken away" if off else "")


def _stated(ask: Ask, fields: Fields, how: str, left: str) -> Iterator[Restriction]:
    """What the query itself says, as filters: alternatives where several fields or values are meant by the same words.

    Args:
        left: the filters that hold already; what would leave nothing beside them is not applied.
    """
    if how == OFF:
        return
    passing = mask(parse(left), fields) if left and how == APPLIED else None
    for group in _groups(constraints(ask.query, fields)):
        tests = list(dict.fromkeys(one.where for one in group))
        where = tests[0] if len(tests) == 1 else Some(tuple(tests))
        said = ", ".join(dict.fromkeys(ask.query[one.start : one.end] for one in group))
        names = {str(where), *(one.field for one in group)}
        if names & set(ask.without):
            yield Restriction(str(where), where, "query", applied=False, words=said, why="taken away")
        elif how == SHOWN:
            yield Restriction(str(where), where, "query", applied=False, words=said, why="only shown")
        else:
            now = mask(where, fields) if passing is None else mask(where, fields) & passing
            passing = now if now.any() else passing
            why = "" if now.any() else "no document would be left"
            yield Restriction(str(where), where, "query", applied=not why, words=said, why=why)


def _groups(found: Sequence[Constraint]) -> list[list[Constraint]]:
    """Constraints that are alternatives: read from the same words, or values of one field that no document has together."""
    groups: list[list[Constraint]] = []
    for one in found:
        near = [group for group in groups if any(_alternatives(one, other) for other in group)]
        groups = [group for group in groups if group not in near] + [
            [*(other for group in near for other in group), one]
        ]
    return groups


def _alternatives(one: Constraint, other: Constraint) -> bool:
    overlap = one.start < other.end and other.start < one.end
    values = all(isinstance(c.where, Test) and c.where.op == "=" for c in (one, other))
    return overlap or (values and one.field == other.field)


def standing_boosts(settings: Settings) -> tuple[Boost, ...]:
    """The boosts that the settings name.

    Raises:
        ResurveyError: naming every part of the setting that is no boost.
    """
    text = settings.text("boosts")
    if not text.strip():
        return ()
    try:
        rows = json.loads(text)
        found = tuple(Boost(**row) for row in rows)
    except (ValueError, TypeError) as error:
        raise ResurveyError(
            [Problem("resurvey.toml", f"`boosts` is no list of boosts: {error}")],
            'boosts = \'[{"field": "updated", "half_life": 365, "weight": 0.2}]\' in resurvey.toml',
        ) from error
    return found


def boost_problems(boosts: Sequence[Boost], fields: Fields) -> list[Problem]:
    """All that is wrong with some boosts."""
    problems = []
    for boost in boosts:
        name = f"boost of {boost.field!r}"
        if boost.field not in fields:
            problems.append(Problem(name, "no document has that field"))
        elif (boost.half_life is None) == (boost.value is None):
            problems.append(Problem(name, "must have either a `half_life` in days or a `value`"))
        elif boost.half_life is not None and fields[boost.field].kind != "date":
            problems.append(
                Problem(name, f"has a half-life, and the field holds {fields[boost.field].kind}s, no dates")
            )
        elif boost.half_life is not None and not (math.isfinite(boost.half_life) and boost.half_life > 0):
            problems.append(Problem(name, f"has a half-life of {boost.half_life:g} days, must be above 0"))
        if not math.isfinite(boost.weight):
            problems.append(Problem(name, f"has the weight {boost.weight}, must be a number"))
    return problems


def _by_field(boosts: Sequence[Boost]) -> Mapping[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for boost in boosts:
        if boost.half_life is not None:
            found.setdefault(boost.field, []).append(by_recency(boost.weight, boost.half_life))
        else:
            found.setdefault(boost.field, []).append(by_value({str(boost.value): boost.weight}))
    return found
