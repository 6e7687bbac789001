"""The filter language: a text is a tree is a text; a tree lets pass what a reader of it would; refusals help."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resurvey.errors import ResurveyError
from resurvey.search.conditions import Every, Filter, Not, Some, Test, mask
from resurvey.search.fields import Fields, instant
from resurvey.search.filters import parse
from resurvey.types import Document, Scalar

ROWS: tuple[dict[str, Scalar], ...] = (
    {"status": "current", "year": 2020, "price": 9.5, "draft": False, "updated": "2024-05-01"},
    {"status": "old", "year": 2021, "price": 100, "draft": True, "updated": "2024-05-03T10:00:00Z"},
    {"status": "it's", "year": 2022, "draft": False, "updated": "2024-05-03T23:30:00+02:00"},
    {"year": 2023, "price": -3, "updated": "2025-01-01"},
    {"status": "", "review by": "2024"},
    {},
)


def fields(rows: tuple[dict[str, Scalar], ...] = ROWS) -> Fields:
    return Fields.of([Document(f"d{place}", "text", "", row) for place, row in enumerate(rows)])


def passing(text: str) -> list[int]:
    return np.flatnonzero(mask(parse(text), fields())).tolist()


def refused(text: str) -> str:
    with pytest.raises(ResurveyError) as found:
        mask(parse(text), fields())
    return str(found.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status = 'current'", [0]),
        ("status = 'it''s'", [2]),
        ('status = "it\'s"', [2]),
        ("status != 'old'", [0, 2, 3, 4, 5]),
        ("not status = 'old'", [0, 2, 3, 4, 5]),
        ("status in ('old', 'current')", [0, 1]),
        ("status not in ('old', 'current')", [2, 3, 4, 5]),
        ("status exists", [0, 1, 2]),
        ("status not exists", [3, 4, 5]),
        ("`review by` exists", [4]),
        ("status < 'd'", [0]),
        ("year >= 2021 and year < 2023", [1, 2]),
        ("year between 2021 and 2022", [1, 2]),
        ("year not between 2021 and 2022", [0, 3, 4, 5]),
        ("price < 0 or price > 50", [1, 3]),
        ("draft = true", [1]),
        ("draft != TRUE", [0, 2, 3, 4, 5]),
        ("updated = 2024-05-03", [1, 2]),
        ("updated = '2024-05-03'", [1, 2]),
        ("updated <= 2024-05-03", [0, 1, 2]),
        ("updated < 2024-05-03T12:00:00", [0, 1]),
        ("updated > 2024-05-03T12:00:00", [2, 3]),
        ("year = 2020 or year = 2021 and draft = false", [0]),
        ("(year = 2020 or year = 2021) and draft = true", [1]),
        ("NOT (year = 2020 OR year = 2021)", [2, 3, 4, 5]),
        ("year=2020.0", [0]),
        ("year <> 2020 and year == 2021", [1]),
    ],
)
def test_a_filter_lets_pass_what_it_says(text: str, expected: list[int]) -> None:
    assert passing(text) == expected
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "character 1", "expected the name of a field"),
        ("year", "character 5", "expected =, !=, <, <=, >, >=, in, between or exists, found the end"),
        ("year = ", "character 8", "expected a value: a number, a date, 'a text', true or false, found the end"),
        ("status = current", "character 10", "a text stands in quotes: 'current'"),
        ("status = 'current", "character 10", "this quote is never closed"),
        ("year = 2020 year = 3", "character 13", "expected and, or, or the end, found year: year = 2020 ⟨here⟩year"),
        ("(year = 2020", "character 13", "expected a closing bracket"),
        ("year in 3", "character 9", "expected an opening bracket"),
        ("year in (3; 4)", "character 11", "';' means nothing here"),
        ("year between 3 or 4", "character 16", "expected and, found or"),
        ("updated > 2024-02-30", "character 11", "2024-02-30 is no date of the calendar"),
        ("year = 1e999", "character 8", "this number is too large"),
        ("and = 3", "character 1", "expected the name of a field"),
        ("year not = 3", "character 10", "expected exists, in or between"),
        ("year = 1 and __import__('os')", "character 24", "expected =,"),
        ("not " * 60 + "year = 1", "character 201", "brackets go more than 50 deep"),
        ("(" * 5000, "character 51", "brackets go more than 50 deep"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(text: str, where: str, what: str) -> None:
    said = refused(text)
    assert f"filter, {where}: " in said
    assert what in said
    assert "Next: resurvey search DIR" in said


def test_everything_that_is_wrong_with_the_fields_is_said_at_once() -> None:
    said = refused("statsu = 'current' and (year = '2020' or draft > true) and updated = 3").splitlines()
    assert said[0] == (
        "filter, character 1: no document has a field `statsu`, did you mean `status`? there are "
        "`draft`, `price`, `review by`, `status`, `updated`, `year`"
    )
    assert said[1] == "filter, character 25: `year` holds numbers, and '2020' is a text; for example year = 2022"
    assert said[2] == "filter, character 42: `draft` holds true or false, which have no order; for example draft = true"
    assert said[3].startswith(
        "filter, character 60: `updated` holds dates, and 3 is a number; for example updated = 20"
    )
    assert said[4] == 'Next: resurvey search DIR "text" --filter "draft = true"'


def test_a_filter_that_is_too_long_or_finds_no_fields_is_refused() -> None:
    assert "at most 10,000 are read" in refused("year = 1 or " * 1000 + "year = 1")
    with pytest.raises(ResurveyError, match="`year`; the documents carry no fields at all"):
        mask(parse("year = 1"), fields(({}, {})))


def test_columns_know_their_kind() -> None:
    rows: tuple[dict[str, Scalar], ...] = ({"a": 1, "b": "2024-01-01", "c": True, "d": 1}, {"a": 2.5, "b": "later", "d": "x"})  # fmt: skip
    found = fields(rows)
    assert {name: field.kind for name, field in found.items()} == {"a": "number", "b": "text", "c": "flag", "d": "text"}
    assert found["d"].levels.tolist() == ["1", "x"]
    assert fields()["year"].level.tolist() == [0, 1, 2, 3, -1, -1]
    assert fields()["updated"].shown(0) == "2024-05-01"
    assert instant("2024-13-01") is None


NAMES = st.sampled_from(["status", "year", "draft", "updated", "review by", "and", "a`b", "Größe", "x.y-z"])
DAYS = st.dates(date(1000, 1, 1)) | st.datetimes(datetime(1000, 1, 1)).map(lambda moment: moment.replace(fold=0))
VALUES = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.integers(-(10**15) + 1, 10**15 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | DAYS
)
TESTS = (
    st.builds(lambda f, op, v: Test(f, op, (v,)), NAMES, st.sampled_from(["=", "<", "<=", ">", ">="]), VALUES)
    | st.builds(lambda f, vs: Test(f, "in", tuple(vs)), NAMES, st.lists(VALUES, min_size=1, max_size=3))
    | st.builds(lambda f, a, b: Test(f, "between", (a, b)), NAMES, VALUES, VALUES)
    | st.builds(lambda f: Test(f, "exists"), NAMES)
)


def wider(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, inner) | st.builds(Every, parts) | st.builds(Some, parts)


@settings(max_examples=150, deadline=None)
@given(st.recursive(TESTS, wider, max_leaves=6))
def test_every_filter_is_read_as_it_was_written(where: Filter) -> None:
    assert repr(parse(str(where))) == repr(at_zero(where, parse(str(where))))


def at_zero(where: Filter, read: Filter) -> Filter:
    """`where` with the places of `read`, so that values can be compared by their types, too."""
    if isinstance(where, Test) and isinstance(read, Test):
        return Test(where.field, where.op, where.values, read.at)
    if isinstance(where, Not) and isinstance(read, Not):
        return Not(at_zero(where.inner, read.inner))
    if isinstance(where, Every | Some) and type(read) is type(where):
        return type(where)(tuple(map(at_zero, where.parts, read.parts)))
    return where


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.text("()'\"`=<>!,. ny eairo123-T:", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except ResurveyError:
        return
    assert str(parse(str(found))) == str(found)


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(0, 4) | st.sampled_from([0.5, 2.0]),
    "t": st.sampled_from(["a", "b", "c d"]),
    "f": st.booleans(),
    "d": st.integers(0, 3).map(lambda n: (date(2024, 1, 1) + timedelta(n)).isoformat()),
}
RECORDS = st.lists(st.fixed_dictionaries({}, optional=CELLS), min_size=1, max_size=8)
KNOWN: st.SearchStrategy[Filter] = st.sampled_from(["n", "t", "d"]).flatmap(
    lambda name: (
        st.builds(lambda op, v: Test(name, op, (v,)), st.sampled_from(["=", "<", "<=", ">", ">="]), CELLS[name])
        | st.builds(lambda vs: Test(name, "in", tuple(vs)), st.lists(CELLS[name], min_size=1, max_size=2))
        | st.builds(lambda a, b: Test(name, "between", (a, b)), CELLS[name], CELLS[name])
        | st.just(Test(name, "exists"))
    )
) | st.booleans().map(lambda flag: Test("f", "=", (flag,)))
ORACLE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def by_hand(where: Filter, row: dict[str, Any]) -> bool:
    if isinstance(where, Not):
        return not by_hand(where.inner, row)
    if isinstance(where, Every | Some):
        return (all if isinstance(where, Every) else any)(by_hand(part, row) for part in where.parts)
    value, wanted = row.get(where.field), list(where.values)
    if value is None or where.op == "exists":
        return value is not None
    if where.op == "between":
        return bool(wanted[0] <= value <= wanted[1])  # type: ignore[operator]
    return value in wanted if where.op == "in" else ORACLE[where.op](value, wanted[0])


@settings(max_examples=150, deadline=None)
@given(RECORDS, st.recursive(KNOWN, wider, max_leaves=5))
def test_rows_pass_as_they_would_one_by_one(rows: list[dict[str, Any]], where: Filter) -> None:
    complete = [*rows, {"n": 1, "t": "a", "f": True, "d": "2024-01-01"}]
    found = fields(tuple(complete))
    assert mask(parse(str(where)), found).tolist() == [by_hand(where, row) for row in complete]
