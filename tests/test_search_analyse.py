"""The analyser: the same terms from queries and documents, codes whole and bare, no space needed between words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resurvey.errors import ResurveyError
from resurvey.search.analyse import analysed, fingerprint, identifiers, is_literal, literals, tokens, words
from resurvey.search.language import ENGLISH_STOP_WORDS

IDENTIFIERS = ["5/16-18", "F33.1", "T1003.001", "np.linalg.norm", "max_position_embeddings", "ISO-9001:2015", "0x7f"]


@pytest.mark.parametrize("identifier", IDENTIFIERS)
@pytest.mark.parametrize("around", ["{}", "({}),", "see “{}”.", "`{}`; or", "a={} b"])
def test_raw_identifiers_survive_whole(identifier: str, around: str) -> None:
    wanted = "iso-9001" if identifier.startswith("ISO") else identifier.lower()
    text = around.format(identifier).replace("a=", "a = ")
    assert wanted in tokens(text)
    assert wanted in literals(text)
    assert wanted in identifiers(text, "english")


@pytest.mark.parametrize("word", ["valve", "well-known", "and/or", "2015", "e"])
def test_ordinary_words_are_no_literals(word: str) -> None:
    assert not is_literal(word)


BARE = {
    "5/16-18": "51618",
    "T1003.001": "t1003001",
    "np.linalg.norm": "nplinalgnorm",
    "F33.1": "f331",
    "CVE-2021-44228": "cve202144228",
    "v1.2.3": "v123",
    "AB-1234/X": "ab1234x",
    "28 USC § 1331": "28usc1331",
    "28 U.S.C. §§ 1331(a)": "28usc1331",
    "CVE 2021 44228": "cve202144228",
    "RFC 2616": "rfc2616",
    "16 GB": "16gb",
}


@pytest.mark.parametrize("written", BARE)
def test_an_identifier_is_found_however_it_is_punctuated(written: str) -> None:
    bare = BARE[written]
    assert bare in identifiers(f"as said in {written}, above", "english")
    assert bare in identifiers(written.lower(), "english")
    if any(map(str.isdigit, bare)):
        assert bare in identifiers(bare, "english")


@pytest.mark.parametrize("text", ["in 2019", "the 12", "Microsoft 365", "well-known", "words only.", "a 7"])
def test_stop_words_and_long_words_join_no_number(text: str) -> None:
    assert identifiers(text, "english") in ([], [text.rsplit(maxsplit=1)[-1]])


def test_a_code_inside_a_sentence_without_spaces_is_found() -> None:
    assert identifiers("攻撃者はT1003.001を使います", "english") == ["t1003.001", "t1003001"]


def test_words_are_stems_without_stop_words_and_underscores_part_them() -> None:
    assert words("The valves of max_torque are LEAKING", "english") == ["valv", "max", "torqu", "leak"]
    assert analysed(["the pumps", "", "of", "part F33.1"], "english") == (
        ["pump", "", "", "part f33"],
        ["", "", "", "f33.1 f331"],
    )
    assert analysed([], "english") == ([], [])


def test_single_letters_are_no_words() -> None:
    assert words("it's what they don't: x = 5", "english") == ["what", "don"]


def test_stop_words_belong_to_a_language() -> None:
    assert words("the valves", "german")[0] == "the"
    assert words("die Pumpen der Häuser", "german") == ["pump", "haus"]


SPACELESS = {
    "東京の天気": ["東京", "京の", "の天", "天気"],
    "駅": ["駅"],
    "PCを使う": ["pc", "を使", "使う"],
    "한국어": ["한국", "국어"],
    "ภาษา": ["ภา", "าษ", "ษา"],
}


@pytest.mark.parametrize("text", SPACELESS)
@pytest.mark.parametrize("language", ["english", "german"])
def test_scripts_without_spaces_are_read_by_pairs_in_any_language(text: str, language: str) -> None:
    assert words(text, language) == SPACELESS[text]


def test_marks_belong_to_their_letters() -> None:
    assert words("किताबें", "english") == ["किताबें"]
    assert words("cafe\u0301 société", "english") == ["cafe\u0301", "société"]


def test_a_language_without_a_stemmer_is_refused_by_name() -> None:
    with pytest.raises(ResurveyError, match="is 'klingon', must be one of auto, arabic"):
        words("text", "klingon")


def test_the_fingerprint_is_that_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint()
    fingerprint.cache_clear()
    monkeypatch.setattr("resurvey.search.analyse.file_digest", lambda path: "changed")
    assert fingerprint() != first
    fingerprint.cache_clear()


PROSE = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
CODE = st.from_regex(r"[a-z0-9]{1,6}([./_\-][a-z0-9]{1,6}){0,3}", fullmatch=True)
PART = st.from_regex(r"[a-z]{1,6}[0-9]{1,6}([./_\-][a-z0-9]{1,6}){0,3}", fullmatch=True)


@given(PROSE, PROSE)
def test_analysers_read_texts_side_by_side_as_they_read_each(one: str, other: str) -> None:
    if "ΑΣ" not in f"{one} {other}".upper():
        assert words(f"{one} {other}", "english") == words(one, "english") + words(other, "english")
        assert tokens(f"{one} {other}") == tokens(one) + tokens(other)
        alone = {*identifiers(one, "english"), *identifiers(other, "english")}
        assert alone <= set(identifiers(f"{one} {other}", "english"))


@given(st.lists(PROSE, max_size=4))
def test_the_columns_are_the_terms_of_every_text(texts: list[str]) -> None:
    stems, codes = analysed(texts, "english")
    assert [row.split(" ") if row else [] for row in stems] == [words(text, "english") for text in texts]
    assert [row.split(" ") if row else [] for row in codes] == [identifiers(text, "english") for text in texts]


@given(PROSE)
def test_no_term_holds_a_space_or_is_empty(text: str) -> None:
    for found in (words(text, "english"), tokens(text), identifiers(text, "english")):
        assert all(term and not any(letter.isspace() for letter in term) for term in found)
    assert set(literals(text)) <= set(tokens(text))


@given(CODE, st.sampled_from(["({})", "“{}”", "{},", "[{}]:", "{}!"]))
def test_any_code_stays_one_token_among_punctuation(code: str, around: str) -> None:
    assert tokens(around.format(code)) == [code]
    assert tokens(around.format(code.upper())) == [code]


@given(PART, st.sampled_from(["({})", "“{}”", "see {}.", "[{}]:", "use {}!"]))
def test_any_part_number_is_found_whole_and_bare(part: str, around: str) -> None:
    bare = "".join(filter(str.isalnum, part))
    found = identifiers(around.format(part.upper()), "english")
    assert {part, bare} <= set(found)
    assert bare in identifiers(bare, "english")


@given(st.lists(st.sampled_from(sorted(ENGLISH_STOP_WORDS))))
def test_stop_words_alone_are_nothing(found: list[str]) -> None:
    assert words(" ".join(found), "english") == []


def test_terms_are_the_same_when_everything_remembered_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"part {number}/16-18 of valves{number % 7}" for number in np.random.default_rng(3).permutation(60)]
    before = analysed(texts, "danish")
    monkeypatch.setattr("resurvey.search.analyse.KEPT", 5)
    assert analysed([*texts, *texts], "danish") == (before[0] * 2, before[1] * 2)
