"""Codes and words: what is there is counted exactly, the web's own words are near the web, whatever the sample."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import wordfreq

from resurvey.diagnose.codes import FAMILIES, LOOKED_AT, families, literal_finding, mixed_share
from resurvey.diagnose.vocabulary import BUDGET, LEAST, WORD, fragments, vocabulary_finding
from resurvey.search.encode import SentenceEncoder

SEED = 13


def test_tokens_that_mix_letters_and_digits_are_counted_exactly() -> None:
    texts = ["valve P12-300 leaks at F33.1 (see 2024)", "no codes here, none", "np.linalg v2.0.1 ab3"]
    mixed, sizes, counts = mixed_share(texts)
    assert mixed.tolist() == [2, 0, 2]
    assert sizes.tolist() == [7, 4, 3]
    assert counts == {"p12-300": 1, "f33.1": 1, "v2.0.1": 1, "ab3": 1}
    found = literal_finding("R14-corpus", texts, "corpus")
    assert found.value == pytest.approx(100 * 4 / 14)
    assert found.evidence["examples"] == ["p12-300", "f33.1", "v2.0.1", "ab3"]
    assert found.reading.startswith("28.57 % of the corpus' tokens mix letters and digits, such as p12-300, f33.1")


@pytest.mark.parametrize("token", ["2024", "v", "3.14", "well-known", "§", "10/12"])
def test_tokens_of_one_kind_do_not_count_as_mixed(token: str) -> None:
    assert mixed_share([f"{token} word"])[0].tolist() == [0]


@pytest.mark.parametrize(
    ("family", "text", "members"),
    [
        ("statute", "under 42 U.S.C. § 1983 and § 230(c), 21 CFR 312.32", ["42 U.S.C. § 1983", "§ 230", "21 CFR 312.32"]),
        ("diagnosis (ICD)", "F33.1 and M54.5, not F33 alone", ["F33.1", "M54.5"]),
        ("ticker", "$AAPL rose, NYSE: IBM fell, $5 did not", ["$AAPL", "NYSE: IBM"]),
        ("CVE, CWE or technique", "CVE-2021-44228, CWE-79, T1059.001", ["CVE-2021-44228", "CWE-79", "T1059.001"]),
        ("version", "v2 or 3.11.4 or 1.0.0-rc1, never 3.14", ["v2", "3.11.4", "1.0.0-rc1"]),
        ("function or variable name", "read_csv, toLowerCase, os.path.join() of an iPod", ["read_csv", "toLowerCase", "os.path.join()"]),
        ("quantity with a unit", "8 GB at 2.4GHz, 5 mg, 12 V", ["8 GB", "2.4GHz", "5 mg", "12 V"]),
        ("part or stock number", "P12-300, PC2-5300, 9U0317, never COVID-19, K-12 or well-known", ["P12-300", "PC2-5300", "9U0317"]),
    ],
)  # fmt: skip
def test_a_family_claims_its_own(family: str, text: str, members: list[str]) -> None:
    found = families([text, "plain words of no kind at all", text])
    assert found[family] == {"occurrences": 2 * len(members), "texts": 2, "examples": members[:3]}
    assert set(found) == {family}, "no other family claims a part of it"


def test_every_family_is_tried() -> None:
    claimed = {"statute", "diagnosis (ICD)", "ticker", "CVE, CWE or technique", "version"}
    assert {family.name for family in FAMILIES} == claimed | {
        "function or variable name",
        "quantity with a unit",
        "part or stock number",
    }


def test_families_are_looked_for_in_a_sample_of_many_texts() -> None:
    assert families(["v2.0"] * (5 * LOOKED_AT))["version"]["texts"] == LOOKED_AT


def test_the_articles_own_figure_stands_beside() -> None:
    found = literal_finding("R14-corpus", ["ab1 F33.1 word x9 other"], "corpus")
    assert found.evidence["article_filter"] == 50.0  # its filter does not see f33.1


def test_a_corpus_without_codes_is_healthy_and_one_full_of_them_confirmed() -> None:
    plain = literal_finding("R14-queries", ["how to stop a leak"] * 40, "queries")
    assert (plain.value, plain.level) == (0.0, "healthy")
    coded = literal_finding("R14-queries", ["replace P12-300 with F33.1 now"] * 40, "queries")
    assert (coded.value, coded.level, coded.suggests) == (40.0, "confirmed", "hybrid")


@functools.cache
def _web() -> tuple[list[str], np.ndarray]:
    found = {word: share for word, share in wordfreq.get_frequency_dict("en").items() if WORD.fullmatch(word)}
    shares = np.array(list(found.values()))
    return list(found), shares / shares.sum()


def like_the_web(words: int, seed: int = SEED, length: int = 50) -> list[str]:
    """Texts drawn from all that wordfreq knows, as often as wordfreq says."""
    known, shares = _web()
    drawn = np.random.default_rng(seed).choice(known, words, p=shares)
    return [" ".join(part) for part in np.array_split(drawn, max(1, words // length))]


@pytest.mark.parametrize("words", [LEAST, BUDGET, 5 * BUDGET])
def test_the_webs_own_words_are_near_the_web_however_many_there_are(words: int) -> None:
    found = vocabulary_finding(like_the_web(words), "english", SEED)
    assert found.value == pytest.approx(0, abs=0.12)
    assert found.interval is not None
    assert found.interval.low < found.value < found.interval.high
    assert found.evidence["article"] > 0.4, "what the plain formula says of words that are the web's own"
    assert found.level == "healthy"
    assert found.evidence["unknown_words"] == 0


JARGON = "the zqflange blorptation of xyzzite and the quombic valve"


def test_jargon_is_far_from_the_web_and_named() -> None:
    found = vocabulary_finding([JARGON] * 400, "english", SEED)
    assert found.value is not None
    assert found.value > 4
    assert found.level == "confirmed"
    assert set(list(found.evidence["terms"])[:4]) == {"zqflange", "blorptation", "xyzzite", "quombic"}
    assert found.evidence["unknown_words"] == pytest.approx(4 / 9, abs=0.001)


@pytest.mark.parametrize("seed", range(20))
def test_no_half_of_a_corpus_says_otherwise_than_the_other(seed: int) -> None:
    """Planted jargon is confirmed and the web's own words are healthy in every random half."""
    half = np.random.default_rng(seed).permutation(400)[:200]
    healthy = like_the_web(400 * 60, length=60)
    ill = [f"{text} {JARGON} {JARGON} {JARGON}" for text in like_the_web(400 * 20, length=20)]
    assert vocabulary_finding([healthy[p] for p in half], "english", SEED).level == "healthy"
    assert vocabulary_finding([ill[p] for p in half], "english", SEED).level == "confirmed"


def test_divergence_is_kullback_and_leiblers_by_hand() -> None:
    known, shares = _web()
    the, valve = (shares[known.index(word)] for word in ("the", "valve"))
    found = vocabulary_finding(["The the", "THE valve 12 a"], "english", SEED)
    assert found.evidence["article"] == pytest.approx(0.75 * np.log(0.75 / the) + 0.25 * np.log(0.25 / valve), abs=1e-4)
    assert found.value == pytest.approx(found.evidence["article"] - found.evidence["bias"], abs=1e-3)
    assert (found.evidence["tokens"], found.level) == (4, "unknown")
    assert "4 words are fewer than the 2,000 this needs" in found.reading


def test_a_corpus_without_words_is_unknown() -> None:
    found = vocabulary_finding(["12 34", "§"], "english", SEED)
    assert (found.level, found.reading) == ("unknown", "There are no words.")


def test_vocabulary_is_held_against_the_corpus_own_language() -> None:
    texts = ["und der die das nicht ist eine auch werden haben"] * 300
    german, english = (vocabulary_finding(texts, name, SEED).value for name in ("german", "english"))
    assert german is not None
    assert english is not None
    assert german + 2 < english


def test_words_that_the_encoder_breaks_are_counted_and_shown(encoder: SentenceEncoder) -> None:
    """The small model knows `valve` as one word and spells what it does not know letter by letter."""
    found = fragments({"valve": 3, "zq": 1}, "en", encoder)
    assert found["pieces"] == pytest.approx((3 * 1 + 1 * 2) / 4)
    assert found["web"] > 2
    assert found["most"] == ["z·q"]
    told = vocabulary_finding(["valve zq " * 40] * 40, "english", SEED, encoder)
    assert told.evidence["fragments"]["most"] == ["z·q"]
    assert "breaks a word into 1.50 pieces" in told.reading
