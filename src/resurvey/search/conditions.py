"""Conditions on metadata: a frozen tree, its text, and which documents it lets pass.

A tree is held against the fields there are and answered with numpy: nothing is ever evaluated as code. A
document without a field passes no test of it, so `!=`, `not in` and `not between`, which are the tests
turned round, let it pass. Knows nothing about how a text is read (`filters.py`) or about retrievers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np

from resurvey.errors import Problem, ResurveyError
from resurvey.search.fields import KINDS, ONE, Field, Fields, Kind, instant
from resurvey.types import Bools

Value: TypeAlias = str | float | int | bool | date | datetime
SHOWN = 12
"""Fields that an error names."""
KEYWORDS = frozenset({"and", "or", "not", "in", "between", "exists", "true", "false"})
PLAIN = re.compile(r"[^\W\d][\w.-]*")
COMPARISONS = {"=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


@dataclass(frozen=True, slots=True)
class Test:
    """One test of one field: `op` is =, <, <=, >, >=, in, between or exists; `at` is its place in the text."""

    field: str
    op: str
    values: tuple[Value, ...] = ()
    at: int = dataclass_field(default=0, compare=False)
    __test__ = False  # pytest collects what is called Test

    def __str__(self) -> str:
        return _test(self, "")


@dataclass(frozen=True, slots=True)
class Not:
    """What does not pass `inner`."""

    inner: Filter

    def __str__(self) -> str:
        if isinstance(self.inner, Test) and self.inner.op in ("=", "in", "between"):
            return _test(self.inner, "not ")
        return f"not {_bracketed(self.inner)}"


@dataclass(frozen=True, slots=True)
class Every:
    """What passes all parts; at least two."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " and ".join(_bracketed(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Some:
    """What passes one of the parts; at least two."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(_bracketed(part) for part in self.parts)


Filter: TypeAlias = Test | Not | Every | Some


def tests(where: Filter) -> Iterator[Test]:
    """Every test of a filter, in order."""
    if isinstance(where, Test):
        yield where
    elif isinstance(where, Not):
        yield from tests(where.inner)
    else:
        for part in where.parts:
            yield from tests(part)


def check(where: Filter, fields: Fields) -> None:
    """Hold a filter against the fields there are.

    Raises:
        ResurveyError: with every test that names no field, or compares with what the field does not hold.
    """
    problems = [Problem(place(test.at), wrong) for test in tests(where) if (wrong := _wrong(test, fields))]
    if problems:
        raise ResurveyError(problems, f'resurvey search DIR "text" --filter "{_example(fields)}"')


def mask(where: Filter, fields: Fields) -> Bools:
    """(documents,): which documents pass.

    Raises:
        ResurveyError: as `check` does.
    """
    check(where, fields)
    return _mask(where, fields)


def _mask(where: Filter, fields: Fields) -> Bools:
    if isinstance(where, Test):
        return _passes(where, fields[where.field])
    if isinstance(where, Not):
        return ~_mask(where.inner, fields)
    gather = np.logical_and if isinstance(where, Every) else np.logical_or
    return np.asarray(gather.reduce([_mask(part, fields) for part in where.parts]), dtype=np.bool_)


def _passes(test: Test, column: Field) -> Bools:
    if test.op == "exists":
        return column.present
    if test.op == "in":
        found = np.logical_or.reduce([_compared("=", column, value) for value in test.values])
    elif test.op == "between":
        found = _compared(">=", column, test.values[0]) & _compared("<=", column, test.values[1])
    else:
        found = _compared(test.op, column, test.values[0])
    return np.asarray(column.present & found, dtype=np.bool_)


def _compared(op: str, column: Field, value: Value) -> Bools:
    """Every value held against one; a day is held against the days of a column."""
    values: Any = column.values
    wanted: Any = value
    if column.kind == "date":
        moment = value if isinstance(value, date) else instant(str(value))
        whole = not isinstance(moment, datetime) or (isinstance(value, str) and len(value) == len("2024-05-01"))
        values = values.astype("M8[D]") if whole else values
        wanted = np.datetime64(moment, "D" if whole else "us")
    return np.asarray(COMPARISONS[op](values, wanted), dtype=np.bool_)


def value_text(value: Value) -> str:
    """A value as a filter writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def kind_of(value: Value) -> Kind:
    """What kind of field a value belongs to."""
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    return "date" if isinstance(value, date) else "text"


def fits(value: Value, kind: Kind) -> bool:
    """Whether a field of this kind can be compared with a value; a day may stand in quotes."""
    return kind_of(value) == kind or (kind == "date" and isinstance(value, str) and instant(value) is not None)


def _wrong(test: Test, fields: Fields) -> str:
    if test.field not in fields:
        near = get_close_matches(test.field, list(fields), 1, 0.6)
        hint = f", did you mean `{near[0]}`?" if near else ";"
        more = f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else ""
        known = f" there are {', '.join(f'`{name}`' for name in list(fields)[:SHOWN])}{more}"
        return f"no document has a field `{test.field}`{hint}{known if fields else ' the documents carry no fields at all'}"
    kind = fields[test.field].kind
    for value in test.values:
        if not fits(value, kind):
            return f"`{test.field}` holds {KINDS[kind]}, and {value_text(value)} is {ONE[kind_of(value)]}; for example {_sample(fields, test.field)}"
    if kind == "flag" and test.op not in ("=", "in", "exists"):
        return f"`{test.field}` holds {KINDS[kind]}, which have no order; for example {_sample(fields, test.field)}"
    return ""


def _sample(fields: Fields, name: str) -> str:
    """A test of a field that some document passes."""
    found = fields[name]
    if not len(found.levels):
        return f"{_name(name)} exists"
    middle = found.shown(len(found.levels) // 2)
    return f"{_name(name)} = {value_text(middle) if found.kind == 'text' else middle}"


def _example(fields: Fields) -> str:
    return _sample(fields, next(iter(fields))) if fields else "FIELD = 'VALUE'"


def place(at: int) -> str:
    """Where in a filter, for people."""
    return f"filter, character {at + 1}"


def _name(name: str) -> str:
    return name if PLAIN.fullmatch(name) and name.lower() not in KEYWORDS else "`" + name.replace("`", "``") + "`"


def _test(test: Test, negated: str) -> str:
    name = _name(test.field)
    if test.op == "exists":
        return f"{name} exists"
    if test.op == "in":
        return f"{name} {negated}in ({', '.join(map(value_text, test.values))})"
    if test.op == "between":
        return f"{name} {negated}between {value_text(test.values[0])} and {value_text(test.values[1])}"
    return f"{name} {'!=' if negated else test.op} {value_text(test.values[0])}"


def _bracketed(where: Filter) -> str:
    return f"({where})" if isinstance(where, Every | Some) else str(where)


def conjunction(parts: Sequence[Filter]) -> Filter:
    """All of the parts, which are at least one."""
    return parts[0] if len(parts) == 1 else Every(tuple(parts))
