"""The analysers: text to terms. One rule for documents and queries, offline and online.

Words are stemmed; raw tokens keep their punctuation, so that `5/16-18`, `F33.1` and
`np.linalg.norm` stay one term. Knows nothing about indexes or scores.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import Stemmer

from resurvey.errors import Problem, ResurveyError

WORD = re.compile(r"\w+")
TOKEN = re.compile(r"[^\s\"'“”‘’`,;:()\[\]{}<>|!?]+")
EDGE = "./-_*#&=+~^\\"
DIGIT = re.compile(r"\d")
LETTER = re.compile(r"[^\W\d_]")
STOP_WORDS = {
    "english": frozenset(
        [
            "a",
            "an",
            "and",
            "are",
            "as",
            "at",
            "be",
            "but",
            "by",
            "for",
            "if",
            "in",
            "into",
            "is",
            "it",
            "no",
            "not",
            "of",
            "on",
            "or",
            "such",
            "that",
            "the",
            "their",
            "then",
            "there",
            "these",
            "they",
            "this",
            "to",
            "was",
            "will",
            "with",
        ]
    )
}


@functools.cache
def _stemmer(language: str) -> Stemmer.Stemmer:
    if language not in Stemmer.algorithms():
        known = ", ".join(languages())
        raise ResurveyError([Problem("`language`", f"is {language!r}, must be one of {known}")], "mend resurvey.toml")
    return Stemmer.Stemmer(language)


def languages() -> list[str]:
    """The languages a stemmer is there for."""
    return sorted(Stemmer.algorithms())


def words(text: str, language: str) -> list[str]:
    """Stems of the words of `text`, stop words left out; underscores part words, as in code."""
    stop = STOP_WORDS.get(language, frozenset())
    found = [word for word in WORD.findall(text.replace("_", " ").lower()) if word not in stop]
    return list(_stemmer(language).stemWords(found))


def tokens(text: str) -> list[str]:
    """Raw lower-case tokens with their inner punctuation: what a user typed literally."""
    return [token for raw in TOKEN.findall(text.lower()) if (token := raw.strip(EDGE))]


def is_literal(token: str) -> bool:
    """Whether a raw token looks like a code or identifier: digits with letters, or inner punctuation."""
    mixed = bool(DIGIT.search(token)) and bool(LETTER.search(token))
    joined = bool(re.search(r"\w[./_\-]\w", token)) and bool(DIGIT.search(token) or re.search(r"[._]", token))
    return mixed or joined


def literals(text: str) -> list[str]:
    """The raw tokens of `text` that look like codes or identifiers."""
    return [token for token in tokens(text) if is_literal(token)]


def analysed(texts: Sequence[str], language: str) -> list[str]:
    """Each text as its stems joined by spaces: what the store indexes."""
    return [" ".join(words(text, language)) for text in texts]
