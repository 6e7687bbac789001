"""Generators: queries out of one document, without a language model.

Each row of GENERATORS reads a document and offers drafts, best first; `drafts` takes turns among them. The title,
the head of a docstring and shorthand are made by the parts that make stand-in queries for evaluation
(`data/standin.py`); a document that was asked about there must not be asked about here. Knows nothing about search.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import TypeAlias

import numpy as np

from resurvey.data.standin import DOCSTRING, MARKUP, SENTENCE, head_query, keywords, title_query
from resurvey.search.analyse import is_literal
from resurvey.train.shape import Vocabulary
from resurvey.types import Document, Ints

Span: TypeAlias = tuple[int, int]

HEADINGS = re.compile(
    r"^[ \t]*#{1,6}[ \t]+(?P<marked>\S.*)$"
    r"|^(?P<underlined>[^\n]{3,80})\n[=~-]{3,}[ \t]*$"
    r"|<h[1-6][^>]*>(?P<tagged>[^<]{3,120})</h[1-6]>"
    r"|(?:\A|\n[ \t]*\n)(?P<alone>[A-Z][^\n]{2,60}[^\s.!?:;,])\n(?=[ \t]*\S[^\n]{60})",
    re.MULTILINE,
)
"""Marked (Markdown), underlined (reStructuredText), tagged (HTML), or a short line before a long one."""
DEFINITION = re.compile(
    r"(?:\A|(?<=[.!?]\s)|(?<=\n))(?:An? |The )?(?P<term>\w[\w ()/+.-]{1,48}?)"
    r" (?:is|are|refers? to|means?|denotes?|stands for|describes?) (?:an?|the|any|one|when|where|how) ",
    re.IGNORECASE,
)
GLOSSARY = re.compile(r"^(?P<term>\w[\w ()/+-]{1,48}?)(?:[ \t]*:|[ \t]+[–—-])[ \t]+(?=(?:\S+[ \t]+){4})", re.MULTILINE)
NAME = re.compile(r"\b(?:def|class|function|func|fn|interface|struct)\s+([A-Za-z_]\w+)|\b([a-z]+[A-Z]\w+)\s*\(")
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
PRONOUNS = {"it", "this", "that", "these", "those", "there", "they", "he", "she", "we", "you", "i", "which", "what"}
TERM_WORDS = 6
SENTENCE_WORDS = (4, 60)
WORD = re.compile(r"[^\s\"'“”‘’`,;:()\[\]{}<>|!?=]+")
EDGE = "./-_*#&+~^\\"
SPAN_CHARACTERS = 20_000
"""Characters of a document that are read: beyond, one document would cost as much as a hundred."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A query as a generator offers it, and the characters of the full text that it was lifted from."""

    text: str
    provenance: str
    lifted: Span = (0, 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a generator may know: the document, how rare words are, how long queries are, and a seeded die."""

    document: Document
    text: str
    """The full text, up to SPAN_CHARACTERS."""
    start: int
    """Where the body begins in it, after the title."""
    known: Vocabulary
    lengths: Ints
    rng: np.random.Generator

    @property
    def body(self) -> str:
        """The text without the title."""
        return self.text[self.start :]

    def span(self, match: re.Match[str], group: str | int) -> Span:
        """Where a group that was matched in the body stands in the text."""
        return self.start + match.start(group), self.start + match.end(group)

    def length(self) -> int:
        """Words of one query, drawn from those of real ones."""
        return int(self.rng.choice(self.lengths))


def title(reading: Reading) -> Iterator[tuple[str, Span]]:
    """The last part of the title."""
    found = title_query(reading.document)
    if found:
        part = reading.document.title.split(" > ")[-1]
        yield found[0], _span(reading.text, part)


def heading(reading: Reading) -> Iterator[tuple[str, Span]]:
    """Every heading in the text; one of a single word asks together with the title's last part."""
    above = reading.document.title.split(" > ")[-1]
    for match in HEADINGS.finditer(reading.body):
        kind = str(match.lastgroup)
        asked = MARKUP.sub(" ", match.group(kind)).strip()
        yield asked if len(asked.split()) > 1 else f"{above} {asked}".strip(), reading.span(match, kind)


def definition(reading: Reading) -> Iterator[tuple[str, Span]]:
    """The term that is defined; one of a single word asks what it is."""
    for match in chain(DEFINITION.finditer(reading.body), GLOSSARY.finditer(reading.body)):
        term = match.group("term").strip()
        if term.split()[0].lower() in PRONOUNS or len(term.split()) > TERM_WORDS:
            continue
        yield term if len(term.split()) > 1 else f"what is {term}", reading.span(match, "term")


def code(reading: Reading) -> Iterator[tuple[str, Span]]:
    """The head of a docstring, and the names of functions and classes as words."""
    docstring = DOCSTRING.search(reading.document.text)
    found = head_query(reading.document) if docstring else None
    if docstring and found:
        yield found[0], _span(reading.text, docstring.group(0))
    for match in NAME.finditer(reading.body):
        place = 1 if match.group(1) else 2
        parts = PARTS.findall(match.group(place))
        if len(parts) > 1:
            yield " ".join(parts).lower(), reading.span(match, place)


def sentence(reading: Reading) -> Iterator[tuple[str, Span]]:
    """Sentences closest to the document; of one much longer than queries are, its weightiest run of words.

    Runs of words are the independent cropping of Contriever (Izacard et al., TMLR 2022), told what matters.
    """
    for span in _central(reading):
        asked = MARKUP.sub(" ", reading.text[slice(*span)]).split()
        most = reading.length()
        if len(asked) > most + 2:
            weights = np.array([_weight(word, reading.known) for word in asked])
            runs = np.convolve(weights, np.ones(most), mode="valid")
            start = int(np.argmax(runs))
            asked = asked[start : start + most]
        yield " ".join(asked).strip(" .,;:"), span


def shorthand(reading: Reading) -> Iterator[tuple[str, Span]]:
    """The title, then the central sentences, without their shorter words, as long as queries are."""
    for asked, span in chain(title(reading), ((reading.text[slice(*span)], span) for span in _central(reading))):
        most = max(2, reading.length())
        bare = " ".join(WORD.findall(MARKUP.sub(" ", asked))).strip(EDGE)
        yield keywords(bare, reading.rng, (most, most)), span


def keyword_query(reading: Reading) -> Iterator[tuple[str, Span]]:
    """Words drawn by their weight in the document (TF-IDF), in reading order; again and again others."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for raw in WORD.findall(reading.text):
        word = raw.strip(EDGE)
        stems = (word.lower(),) if is_literal(word) else reading.known.stems(word)
        for stem in stems:
            first.setdefault(stem, word)
            counts[stem] += 1
    if not counts:
        return
    stems = list(first)
    weights = np.array([(1 + np.log(counts[stem])) * reading.known.rarity(stem) for stem in stems]) ** 2
    while True:
        keys = reading.rng.exponential(size=len(stems)) / np.maximum(weights, 1e-9)
        chosen = np.sort(np.argsort(keys, kind="stable")[: max(2, reading.length())])
        yield " ".join(dict.fromkeys(first[stems[place]] for place in chosen)), (0, 0)


Generator: TypeAlias = Callable[[Reading], Iterator[tuple[str, Span]]]
GENERATORS: dict[str, Generator] = {
    "synthetic: title": title,
    "synthetic: heading": heading,
    "synthetic: definition": definition,
    "synthetic: code": code,
    "synthetic: sentence": sentence,
    "synthetic: shorthand": shorthand,
    "synthetic: keywords": keyword_query,
}
"""By the provenance that their examples carry."""


def drafts(document: Document, known: Vocabulary, lengths: Ints, most: int, seed: int) -> list[Draft]:
    """At most `most` drafts, one of each generator in turn; a document's own, whatever others there are."""
    rng = np.random.default_rng([seed, zlib.crc32(document.id.encode())])
    reading = read(document, known, lengths, rng)
    offers = [islice(_offers(reading, name), most) for name in GENERATORS]
    found: list[Draft] = []
    for turn in zip_longest(*offers):
        found += [draft for draft in turn if draft is not None]
        if len(found) >= most:
            break
    return found[:most]


def read(document: Document, known: Vocabulary, lengths: Ints, rng: np.random.Generator) -> Reading:
    """A document, ready for generators."""
    whole = document.full_text
    return Reading(document, whole[:SPAN_CHARACTERS], len(whole) - len(document.text.strip()), known, lengths, rng)


def _offers(reading: Reading, name: str) -> Iterator[Draft]:
    return (Draft(text, name, span) for text, span in GENERATORS[name](reading))


def _central(reading: Reading) -> list[Span]:
    """Sentences by the cosine of their words' weights with the whole text's, highest first."""
    spans = [(reading.start + low, reading.start + high) for low, high in _sentences(reading.body)]
    whole = Counter(reading.known.stems(reading.text))
    weights = {stem: count * reading.known.rarity(stem) ** 2 for stem, count in whole.items()}
    scores = []
    for span in spans:
        stems = Counter(reading.known.stems(reading.text[slice(*span)]))
        length = sum((count * reading.known.rarity(stem)) ** 2 for stem, count in stems.items()) ** 0.5
        scores.append(sum(count * weights.get(stem, 0.0) for stem, count in stems.items()) / max(length, 1e-9))
    return [spans[place] for place in np.argsort(-np.array(scores), kind="stable")] if spans else []


def _sentences(text: str) -> Iterator[Span]:
    start = 0
    for end, following in chain(((m.start(), m.end()) for m in SENTENCE.finditer(text)), ((len(text), len(text)),)):
        low, high = SENTENCE_WORDS
        if low <= len(text[start:end].split()) <= high:
            yield start, end
        start = following


def _weight(word: str, known: Vocabulary) -> float:
    return sum(known.rarity(stem) for stem in known.stems(word))


def _span(text: str, part: str) -> Span:
    start = text.find(part)
    return (start, start + len(part)) if start >= 0 else (0, 0)
