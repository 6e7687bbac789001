"""Shorthand: what brackets explain is read, words that only look like it are not, and queries are written out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resurvey.search.shorthand import Expander, Pair, Shorthand, key_of, learn, load_shorthand, long_form, pairs_in


@pytest.mark.parametrize(
    ("text", "short", "long"),
    [
        ("after a myocardial infarction (MI) patients rest", "MI", "myocardial infarction"),
        ("after an MI (myocardial infarction) patients rest", "MI", "myocardial infarction"),
        ("wear personal protective equipment (PPE) always", "PPE", "personal protective equipment"),
        ("the Food and Drug Administration (FDA) said", "FDA", "food and drug administration"),
        ("use multi-factor authentication (MFA) here", "MFA", "multi-factor authentication"),
        ("send Hypertext Markup Language (HTML) files", "HTML", "hypertext markup language"),
        ("caused by coronavirus disease 2019 (COVID-19)", "COVID-19", "coronavirus disease 2019"),
        ("First. Dynamic-link libraries (DLLs) load", "DLLs", "dynamic-link libraries"),
    ],
)
def test_brackets_explain_a_short_form(text: str, short: str, long: str) -> None:
    assert list(pairs_in(text)) == [Pair(short, long)]


@pytest.mark.parametrize(
    "text",
    [
        "a valve (see below) leaks",
        "the pump (PX) leaks",
        "a rotor (2019) turns",
        "Monday Inventory. (MI) is alone",
        "call open() and close(fd) in turn",
        "the MI (MI) again",
        "(MI)",
        "MI (",
    ],
)
def test_what_explains_nothing_is_left_alone(text: str) -> None:
    assert list(pairs_in(text)) == []


@given(st.text(alphabet="abAB (),.-/\n19é", max_size=120))
def test_any_text_can_be_read_and_every_letter_of_a_short_form_is_in_its_long_form(text: str) -> None:
    for pair in pairs_in(text):
        rest = iter(pair.long.lower())
        assert all(letter in rest for letter in pair.short.lower() if letter.isalnum())
        assert len(pair.long) > len(pair.short)


def test_letters_out_of_order_are_no_long_form() -> None:
    assert long_form("IM", "myocardial infarction") == ""
    assert long_form("MI", "myocardial infarction") == "myocardial infarction"


TEXTS = [
    "a myocardial infarction (MI) is one. The MI hurts.",
    "mitral insufficiency (MI) is another",
    "no myocardial infarction (MI) here",
    "World Health Organization (WHO): those who know, and who ask who, say who",
]


def test_the_more_frequent_long_form_is_meant() -> None:
    table = learn(TEXTS)
    assert table.pairs[0] == Pair("MI", "myocardial infarction")
    assert Expander(table, "english").expand("MI treatment") == "MI treatment myocardial infarction"


def test_a_table_is_read_back_as_it_was() -> None:
    table = learn(TEXTS)
    assert load_shorthand(table.dump()) == table
    assert table.dump() == learn(TEXTS).dump()


def test_an_ordinary_word_is_shorthand_only_in_capitals() -> None:
    expander = Expander(learn(TEXTS), "english")
    assert expander.expand("who pays") == "who pays"
    assert expander.expand("WHO pays") == "WHO pays world health organization"
    assert expander.expand("mi treatment") == "mi treatment myocardial infarction"


def test_long_forms_get_their_short_ones_however_they_are_inflected() -> None:
    expander = Expander(learn(TEXTS), "english")
    assert expander.expand("treating myocardial infarctions") == "treating myocardial infarctions MI"
    assert expander.expand("myocardial infarction (MI)") == "myocardial infarction (MI)"
    assert expander.expand("infarction myocardial") == "infarction myocardial"


def test_a_short_form_is_written_out_in_its_place() -> None:
    expander = Expander(learn(TEXTS), "english")
    assert expander.replace("the MI of WHO staff") == "the myocardial infarction of world health organization staff"
    assert expander.replace("treating myocardial infarctions") == "treating myocardial infarctions"


@pytest.mark.parametrize(
    ("short", "key"), [("DLLs", "dll"), ("DLL", "dll"), ("SMS", "sms"), ("is", "is"), ("Ms", "ms")]
)
def test_plurals_are_one_short_form(short: str, key: str) -> None:
    assert key_of(short) == key


def test_an_empty_table_changes_nothing() -> None:
    assert Expander(Shorthand(()), "english").expand("MI treatment") == "MI treatment"
