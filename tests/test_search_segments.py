"""Segments: one code, however it is written, is one list of terms; other codes are others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resurvey.search.segments import number, segments


@pytest.mark.parametrize(
    "texts",
    [
        ("5/16-18", "5 16 18", "5-16-18", "5_16_18", "five sixteenths eighteen", "five sixteenth, eighteen"),
        ("v2.10.3", "v 2 10 3", "V2-10-3"),
        ("version 1.5", "version one point five", "version 1,5"),
        ("1/2 inch", "one half inch"),
        ("3/30", "three thirtieths"),
        ("28 mg", "twenty eight mg", "28mg"),
        ("RS-5841-C", "rs5841c", "RS5841-C"),
        ("007", "7"),
        ("200 mg", "two hundred mg"),
        ("225", "two hundred twenty five"),
    ],
)  # fmt: skip
def test_one_code_in_many_forms_has_the_same_pairs(texts: tuple[str, ...]) -> None:
    def told(text: str) -> set[str]:
        return {term for term in segments(text) if all(part.isdecimal() for part in term.split("|"))}

    assert told(texts[0])
    for text in texts[1:]:
        assert told(texts[0]) <= told(text) or told(text) <= told(texts[0]), (text, segments(text))


def test_order_and_nearness_count() -> None:
    assert "5|16" in segments("5/16-18")
    assert "5|16" not in segments("16/5")
    assert "5|16" not in segments("5 bolts of steel, 16 nuts")
    assert segments("no number here, none at all") == []
    assert segments("3 of them") == ["3"]


def test_letters_of_a_code_are_its_segments_and_words_are_not() -> None:
    assert segments("RS5841C") == ["rs", "5841", "c", "rs|5841", "5841|c", "=rs5841c"]
    assert {"5841", "c", "5841|c"} <= set(segments("rs 5841 c")) & set(segments("RS-5841-C"))
    assert "=n315" in set(segments("N31.5")) & set(segments("n315"))
    assert "catalogue" not in segments("catalogue2024")


@given(st.text())
def test_any_text_has_segments_that_can_be_hashed(text: str) -> None:
    assert all(term and term.isascii() and not term.isspace() for term in segments(text))


@given(st.integers(0, 99))
def test_numbers_in_words_are_their_digits(value: int) -> None:
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    units = [
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
    words = units[value] if value < 20 else f"{tens[value // 10 - 2]} {units[value % 10] if value % 10 else ''}"
    assert segments(f"size {words} bolt") == [str(value)]


def test_words_that_say_no_number() -> None:
    assert [number(word) for word in ("one", "sixteenths", "quarters", "ninety", "with", "ths", "s")] == [1, 16, 4, 90, None, None, None]  # fmt: skip
