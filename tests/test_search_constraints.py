"""Constraints in queries: values, years and prices become filters that can be shown and taken away."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resurvey.search.constraints import constraints, without
from resurvey.search.fields import Fields
from resurvey.search.filters import parse
from resurvey.types import Document

SOURCES = ("WHO", "CDC", "New York", "York", "Héma-Québec")
FIELDS = Fields.of(
    [
        Document(
            f"d{place}",
            "text",
            "",
            {
                "source": SOURCES[place % 5],
                "year": 2010 + place,
                "updated": f"20{10 + place}-05-01",
                "list price": 10.5 * place,
                "size": place,
                "name": f"only mine {place}",
            },
        )
        for place in range(14)
    ]
)


def said(query: str, *names: str) -> list[str]:
    return [str(one) for one in constraints(query, FIELDS) if not names or one.field in names]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("what does the who say", ["source = 'WHO'"]),
        ("hotels in new york", ["source = 'New York'"]),
        ("hotels in York or CDC", ["source = 'York'", "source = 'CDC'"]),
        ("blood at HÉMA QUÉBEC", ["source = 'Héma-Québec'"]),
        ("whole cdcs", []),
        ("only mine 3", []),
    ],
)
def test_values_of_fields_are_found_as_whole_words(query: str, expected: list[str]) -> None:
    assert said(query, "source", "name") == expected


@pytest.mark.parametrize(
    ("query", "year", "updated"),
    [
        ("rules of 2023", "year = 2023", "updated between 2023-01-01 and 2023-12-31"),
        ("since 2021", "year >= 2021", "updated >= 2021-01-01"),
        ("after 2021", "year > 2021", "updated > 2021-12-31"),
        ("before 2021", "year < 2021", "updated < 2021-01-01"),
        ("until 2021", "year <= 2021", "updated <= 2021-12-31"),
        ("from 2019 to 2021", "year between 2019 and 2021", "updated between 2019-01-01 and 2021-12-31"),
        ("between 2021 and 2019", "year between 2019 and 2021", "updated between 2019-01-01 and 2021-12-31"),
    ],
)
def test_years_are_years_of_numbers_and_of_dates(query: str, year: str, updated: str) -> None:
    assert said(query) == [updated, year]


@pytest.mark.parametrize("query", ["part 2023-A", "version 2.2023", "12023 things", "5/2023"])
def test_digits_within_a_code_are_no_year(query: str) -> None:
    assert said(query) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a camera under $100", ["`list price` < 100"]),
        ("at most 99.50 euros", ["`list price` <= 99.5"]),
        ("over $1,200 please", ["`list price` > 1200"]),
        ("between $50 and $100", ["`list price` between 50 and 100"]),
        ("$100-$50", ["`list price` between 50 and 100"]),
        ("under 100 grams", []),
    ],
)
def test_prices_are_held_against_fields_of_money(query: str, expected: list[str]) -> None:
    assert said(query) == expected


def test_a_constraint_can_be_shown_and_taken_away() -> None:
    query = "masks from CDC since 2020 please"
    found = constraints(query, FIELDS)
    assert [query[one.start : one.end] for one in found] == ["CDC", "since 2020", "since 2020"]
    assert without(query, found) == "masks from please"
    assert without(query, found[:1]) == "masks from since 2020 please"
    assert without("CDC", constraints("CDC", FIELDS)) == "CDC"
    assert without(query, ()) == query


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text("under since 2019$-,.to and WHO", max_size=60))
def test_every_constraint_is_a_filter_that_stands_in_the_query(query: str) -> None:
    for one in constraints(query, FIELDS):
        assert parse(str(one)) == one.where
        assert 0 <= one.start < one.end <= len(query)
        assert one.field in FIELDS
