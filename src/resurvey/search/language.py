"""Languages: which one a corpus is in, and which words of it are too common to search for.

Every language here has a Snowball stemmer. Scripts written without spaces need none: `analyse` reads them by
pairs of characters whatever the language. Knows texts; knows nothing about indexes.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import Stemmer

from resurvey.errors import Problem, ResurveyError

AUTO, ENGLISH = "auto", "english"
CODES = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish",
    "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""ISO 639-1 codes of the stemmers' languages."""
ENGLISH_STOP_WORDS = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of", "on",
    "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
})  # fmt: skip
"""Lucene's own list."""
COMMONEST = 30
"""Words of another language, most frequent first, that are too common to search for."""
SAMPLED, HEAD, PIECE = 200, 300, 1000
"""Documents that are looked at, characters of each, and characters that are classified at once."""


def languages() -> list[str]:
    """The languages a stemmer is there for."""
    return sorted(Stemmer.algorithms())


def check(language: str) -> None:
    """Refuse a language without a stemmer.

    Raises:
        ResurveyError: naming those there are.
    """
    if language not in languages():
        known = ", ".join([AUTO, *languages()])
        raise ResurveyError([Problem("`language`", f"is {language!r}, must be one of {known}")], "mend resurvey.toml")


@functools.cache
def stop_words(language: str) -> frozenset[str]:
    """Words that are not searched for: Lucene's list for English, elsewhere wordfreq's most frequent ones, if it knows any."""
    if language == ENGLISH:
        return ENGLISH_STOP_WORDS
    import wordfreq

    code = code_of(language)
    if code not in wordfreq.available_languages("small"):
        return frozenset()
    return frozenset(wordfreq.top_n_list(code, COMMONEST, wordlist="small"))


def code_of(language: str) -> str:
    """The ISO 639-1 code of a stemmer's language; empty where it has none of its own."""
    return next((code for code, name in CODES.items() if name == language), "")


def detect(texts: Sequence[str], seed: int = 13) -> str:
    """The language that most of these texts are in, among those with a stemmer; English where none is.

    Pieces of a sample are classified and vote. English is the answer where no language has more than half of
    the votes, and where there is no stemmer: what such corpora (code, part numbers, Chinese) hold of words that a
    stemmer can read is English more often than anything else.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:SAMPLED])
    sample = " ".join(texts[place][:HEAD] for place in chosen)
    pieces = [sample[start : start + PIECE] for start in range(0, len(sample), PIECE)]
    votes = Counter(CODES.get(_identifier().classify(piece)[0], "") for piece in pieces)
    language, most = max(votes.items(), key=lambda vote: vote[1], default=(ENGLISH, 0))
    return language if 2 * most > len(pieces) and language in languages() else ENGLISH


def shares(texts: Sequence[str], seed: int = 13) -> dict[str, float]:
    """ISO 639-1 codes to the shares of a sample of texts that are in them, largest first; texts of no letters count for none."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:SAMPLED])
    heads = [head for head in (texts[place][:HEAD] for place in chosen) if any(map(str.isalpha, head))]
    votes = Counter(str(_identifier().classify(head)[0]) for head in heads)
    return {code: count / len(heads) for code, count in votes.most_common()}


@functools.cache
def _identifier() -> Any:
    """py3langid's classifier over all the languages it knows: of a subset it would always find one."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
