"""The analyser: text to terms, in two streams. One rule for documents and queries, offline and online.

Words are stemmed. Identifiers (`5/16-18`, `F33.1`, `np.linalg.norm`, `28 USC § 1331`) are kept whole and also
without their punctuation. A text is cut at white space, and every different piece is analysed once, whatever
number of texts it stands in. Knows nothing about indexes or scores.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import Stemmer

from resurvey.search import language as languages_of
from resurvey.search.language import check, languages, stop_words
from resurvey.workspace import digest, file_digest

__all__ = [
    "analysed", "fingerprint", "identifiers", "is_literal", "languages", "literals", "marked", "tokens", "words",
]  # fmt: skip

WORD = re.compile(r"\w+")
TOKEN = re.compile(r"[^\s\"'“”‘’`,;:()\[\]{}<>|!?]+")
EDGE = "./-_*#&=+~^\\"
DIGIT = re.compile(r"\d")
LETTER = re.compile(r"[^\W\d_]")
DOTTED = re.compile(r"[^\W\d_][._][^\W\d_]")
PUNCTUATION = re.compile(r"[\W_]+")
SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]+"
)
"""Scripts that put no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese; and Korean, as Lucene does."""
SHORTEST = 2
"""Letters of a word or an identifier: shorter ones are the `s` of `'s`, the `t` of `n't`, list numbers."""
LONGEST = 80
"""Characters of an identifier; longer ones are addresses of pages and encoded data."""
CODE = 5
"""Letters of a word that may belong to a number beside it: `28 USC § 1331`, `RFC 2616`, `16 GB`."""
KEPT = 1_000_000
"""Pieces of text whose terms are remembered; beyond, all are forgotten and learned anew."""

Read = tuple[str, str, tuple[str, ...], bool]
"""What a piece of text between spaces comes to: its words and its identifiers, each joined by spaces, its bare
tokens, and whether one of them is a number."""


class _Analyser(dict[str, Read]):
    """Both streams in one language; every different piece of text is read once and remembered."""

    def __init__(self, language: str) -> None:
        super().__init__()
        check(language)
        self._stem = Stemmer.Stemmer(language, 0).stemWord
        self._stop = stop_words(language)

    def __missing__(self, piece: str) -> Read:
        if len(self) >= KEPT:
            self.clear()
        if piece.isalpha() and piece.isascii():
            found: Read = " ".join(self._term(piece)), "", (piece,), False
        else:
            bare = tuple(filter(None, map(_bare, _pieces(piece))))
            stems, codes = " ".join(self._words_of(piece)), " ".join(_identifiers_of(piece))
            found = stems, codes, bare, any(map(str.isdecimal, bare))
        self[piece] = found
        return found

    def read(self, text: str) -> tuple[str, str]:
        """A text's words and its identifiers, those of several pieces last, each joined by spaces."""
        pieces = text.lower().split()
        if not pieces:
            return "", ""
        stems, codes, bare, numbers = zip(*map(self.__getitem__, pieces), strict=True)
        cited = self._cited(list(chain.from_iterable(bare))) if True in numbers else ()
        return " ".join(filter(None, stems)), " ".join(chain(filter(None, codes), cited))

    def _words_of(self, piece: str) -> list[str]:
        found: list[str] = []
        for word in _word(piece).findall(piece.replace("_", " ")):
            if word.isascii() or not SPACELESS.search(word):
                found += self._term(word)
                continue
            for run in re.findall(f"{SPACELESS.pattern}|[^{SPACELESS.pattern[1:]}", word):
                found += _pairs(run) if SPACELESS.match(run) else self._term(run)
        return found

    def _term(self, word: str) -> list[str]:
        return [self._stem(word)] if len(word) >= SHORTEST and word not in self._stop else []

    def _cited(self, bare: Sequence[str]) -> Iterator[str]:
        """Numbers joined with the short words beside them, as if nothing stood between."""
        for place in [place for place, token in enumerate(bare) if token.isdecimal()]:
            number, last = bare[place], len(bare) - 1
            if place > 0 and self._is_code(bare[place - 1]):
                joined = bare[place - 1] + number
                yield joined
                if place > 1 and bare[place - 2].isdecimal():
                    yield bare[place - 2] + joined
                if place < last and bare[place + 1].isdecimal():
                    yield joined + bare[place + 1]
            if place < last and self._is_code(bare[place + 1]):
                yield number + bare[place + 1]

    def _is_code(self, token: str) -> bool:
        return len(token) <= CODE and token.isalpha() and token not in self._stop


@functools.cache
def _analyser(language: str) -> _Analyser:
    return _Analyser(language)


@functools.cache
def fingerprint() -> str:
    """Changes whenever what the analyser makes of a text may have changed: with its source, or the stemmers."""
    sources = [file_digest(path) for path in (_path(__name__), _path(languages_of.__name__))]
    return digest(str(Stemmer.version()), *sources)


def words(text: str, language: str) -> list[str]:
    """Stems of the words of `text`, stop words and single letters left out; underscores part words, as in code.

    Of scripts written without spaces, every two neighbouring characters are a word.

    Raises:
        ResurveyError: when there is no stemmer of that name.
    """
    return _analyser(language).read(text)[0].split()


def identifiers(text: str, language: str) -> list[str]:
    """Tokens of `text` with a digit or an inner dot or underscore, each whole and without punctuation.

    A number and a short word beside it also stand joined, as do a number, a short word and a number:
    `28 U.S.C. § 1331` is found by `28usc1331` and the other way round.
    """
    return _analyser(language).read(text)[1].split()


def analysed(texts: Sequence[str], language: str) -> tuple[list[str], list[str]]:
    """Each text's words and each text's identifiers, joined by spaces: the two columns that the store indexes."""
    read = [_analyser(language).read(text) for text in texts]
    return [stems for stems, _ in read], [codes for _, codes in read]


def marked(pieces: Sequence[str], stems: frozenset[str], language: str) -> list[bool]:
    """Which pieces of a text between spaces hold one of these stems; a microsecond for ten of them."""
    read = _analyser(language)
    held = (read[piece.lower()][0] for piece in pieces)
    return [found in stems or (" " in found and not stems.isdisjoint(found.split(" "))) for found in held]


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


def _identifiers_of(piece: str) -> list[str]:
    found = [token for token in _pieces(piece) if DIGIT.search(token) or DOTTED.search(token)]
    both = chain.from_iterable(dict.fromkeys((token, _bare(token))) for token in found)
    return [term for term in both if SHORTEST <= len(term) <= LONGEST]


def _pieces(piece: str) -> list[str]:
    """Raw tokens, those of scripts without spaces left out: a sentence around a code is not part of it."""
    return tokens(piece if piece.isascii() else SPACELESS.sub(" ", piece))


def _bare(token: str) -> str:
    return PUNCTUATION.sub("", token)


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[place : place + 2] for place in range(len(run) - 1)]


def _path(module: str) -> Path:
    return Path(str(sys.modules[module].__file__))


def _word(piece: str) -> re.Pattern[str]:
    """What a word is in this piece: letters and digits, and the marks that belong to them where there are any."""
    return WORD if piece.isascii() or not _marks()[0].search(piece) else _marks()[1]


@functools.cache
def _marks() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Combining marks (accents, the vowels of Indic scripts and of Thai), which `\\w` is not, and words with them."""
    marks = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    return re.compile(f"[{marks}]"), re.compile(rf"[\w{marks}]+")
