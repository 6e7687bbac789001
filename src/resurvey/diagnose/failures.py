"""Failures by cause: why dense search does not put the right document of a query among its first ten.

One literal table of causes, the first that holds counts, what can be mended elsewhere before what only a better map
mends. Knows texts, judgments and what the untouched branches return; nothing about vectors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from resurvey.data.duplicates import LIKE, jaccard, shingles
from resurvey.diagnose.hubness import TOP, appearances, is_hub
from resurvey.protocols import Tokenizer
from resurvey.search.analyse import identifiers, words
from resurvey.search.shorthand import Expander, learn
from resurvey.types import Document, Json, Qrels, Query, Run

DEPTH = 100
MOST = 1000
"""Failing queries that are looked at."""
SHOWN = 3
"""Queries of every cause that are named."""
RIVALS = 3
"""Documents that stand first, in which a code is looked for."""
CROWD = 3
"""Hubs among the first ten that are in the way."""


@dataclass(frozen=True, slots=True)
class Case:
    """A query that fails, its right document, and what is to be known of both."""

    query: Query
    right: Document
    first: tuple[Document, ...]
    """What stands among the first ten instead."""
    found: bool
    """Whether words or vectors have it among their first hundred."""
    beyond: int
    """The character from which on the encoder does not read it; its length where it reads all."""
    hubs: int
    """Hubs among the first ten."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A row: its name, what it means, whether it holds."""

    name: str
    means: str
    holds: Callable[[Case, _Reading], bool]


@dataclass(frozen=True, slots=True)
class _Reading:
    """How texts are read here."""

    language: str
    expander: Expander

    def stems(self, text: str) -> frozenset[str]:
        return _stems(text, self.language)

    def codes(self, text: str) -> frozenset[str]:
        return _codes(text, self.language)


@functools.lru_cache(maxsize=4096)
def _stems(text: str, language: str) -> frozenset[str]:
    return frozenset(words(text, language))


_shingles = functools.lru_cache(maxsize=4096)(shingles)
"""What stands first for one query stands first for others."""


@functools.lru_cache(maxsize=4096)
def _codes(text: str, language: str) -> frozenset[str]:
    return frozenset(identifiers(text, language))


def _cut_off(case: Case, read: _Reading) -> bool:
    """Most of the asked words that the document has stand only where the encoder does not read."""
    text = case.right.full_text
    if case.beyond >= len(text):
        return False
    there = read.stems(case.query.text) & read.stems(text)
    return bool(there) and 2 * len(there - read.stems(text[: case.beyond])) >= len(there)


def _code_lost(case: Case, read: _Reading) -> bool:
    """A code of the query is in the right document, and not in what stands first."""
    shared = read.codes(case.query.text) & read.codes(case.right.full_text)
    return bool(shared) and any(not shared & read.codes(other.full_text) for other in case.first[:RIVALS])


def _shorthand(case: Case, read: _Reading) -> bool:
    """Query and document call one thing by its short and its long form."""
    text = read.stems(case.right.full_text)
    for place, other in read.expander.found(case.query.text):
        own = read.stems(case.query.text[slice(*place)] if place else case.query.text)
        if (its := read.stems(other)) and its <= text and not own <= text:
            return True
    return False


def _hubs(case: Case, _: _Reading) -> bool:
    return case.hubs >= CROWD


def _twin(case: Case, _: _Reading) -> bool:
    """Something that says the same stands among the first ten, and nobody judged it."""
    right = _shingles(case.right.full_text)
    return any(jaccard(right, _shingles(document.full_text)) >= LIKE for document in case.first)


def _other_words(case: Case, read: _Reading) -> bool:
    return not read.stems(case.query.text) & read.stems(case.right.full_text)


CAUSES: tuple[Cause, ...] = (
    Cause("cut off", "what was asked for stands where the encoder does not read: passages", _cut_off),
    Cause("unjudged twin", "a document that says the same was found, and nobody judged it: more judgments", _twin),
    Cause("code lost", "a code or number tells the right one apart, and vectors lose it: identifiers", _code_lost),
    Cause("shorthand", "one says it short and the other long: rewriting", _shorthand),
    Cause("hubs in the way", f"{CROWD} or more of the first ten turn up everywhere: centring, training", _hubs),
    Cause("other words", "query and document share no word: training", _other_words),
    Cause("out of reach", "neither words nor vectors have it among their first hundred: training", lambda case, _: not case.found),
    Cause("the order", "it is among the candidates, and something else stands first: ranker, training", lambda _, __: True),
)  # fmt: skip


def failures(
    queries: Sequence[Query],
    qrels: Qrels,
    documents: Mapping[str, Document],
    runs: Mapping[str, Run],
    tokenizer: Tokenizer,
    language: str,
) -> Json:
    """Failing queries by cause.

    Args:
        runs: `dense`, whose failures they are, and `lexical`, both a hundred deep.

    Returns:
        `failing` and `looked at` (counts), and `causes`: rows of name, meaning, count and some queries.
    """
    hubs = {document for document, lists in appearances(runs["dense"]).items() if is_hub(lists, runs["dense"])}
    wanted = {query.id: _right(query, qrels, documents, runs["dense"]) for query in queries}
    failing = [q for q in queries if (id := wanted[q.id]) and id not in runs["dense"][q.id].documents[:TOP]]
    looked = failing[:MOST]
    rights = [documents[wanted[query.id]] for query in looked]
    read = _Reading(language, Expander(learn(document.full_text for document in documents.values()), language))
    found: dict[str, list[Query]] = {cause.name: [] for cause in CAUSES}
    for query, right, beyond in zip(looked, rights, _beyond(rights, tokenizer), strict=True):
        first = runs["dense"][query.id].documents[:TOP]
        case = Case(
            query, right, tuple(documents[d] for d in first if d in documents),
            any(right.id in run[query.id].documents[:DEPTH] for run in (runs["dense"], runs["lexical"])),
            beyond, sum(d in hubs for d in first),
        )  # fmt: skip
        cause = next(cause for cause in CAUSES if cause.holds(case, read))
        found[cause.name].append(query)
    rows = [
        {"cause": cause.name, "means": cause.means, "queries": len(found[cause.name]),
         "examples": [{"query": q.id, "text": q.text} for q in found[cause.name][:SHOWN]]}
        for cause in CAUSES if found[cause.name]
    ]  # fmt: skip
    return {"failing": len(failing), "looked at": len(looked), "causes": rows}


def _right(query: Query, qrels: Qrels, documents: Mapping[str, Document], dense: Run) -> str:
    """The right document that dense search ranks best, else the first by id; none where no judged one is in the corpus."""
    judged = {document for document, grade in qrels[query.id].items() if grade > 0 and document in documents}
    return next((document for document in dense[query.id].documents if document in judged), min(judged, default=""))


def _beyond(rights: Sequence[Document], tokenizer: Tokenizer) -> list[int]:
    """The character at which the encoder stops reading each document, title included."""
    texts = [document.full_text for document in rights]
    return [
        spans[tokenizer.max_tokens][0] if len(spans) > tokenizer.max_tokens else len(text)
        for text, spans in zip(texts, tokenizer.offsets(texts), strict=True)
    ]
