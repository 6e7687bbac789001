"""Rewriting: a query searched as it is and as something else says it, both lists fused.

Who rewrites: shorthand learnt from the corpus, the words of what was found first (pseudo relevance feedback), or a
language model. A query that nobody rewrites is searched as it is; so is one whose rewriter is late or down. Knows
nothing about which retriever searches.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from resurvey.errors import Problem, ResurveyError
from resurvey.llm import Cache, Chat, Endpoint, Prompt
from resurvey.protocols import Retriever
from resurvey.search.analyse import words
from resurvey.search.breaker import Breaker
from resurvey.search.compose import Composable
from resurvey.search.fuse import Convex, fuse
from resurvey.search.index import Index
from resurvey.search.postings import rarity
from resurvey.search.shorthand import TOKEN, Expander, load_shorthand
from resurvey.search.store import WORDS
from resurvey.search.trace import rewrote, skipped, timed
from resurvey.types import Json, Query, Ranking, Run
from resurvey.workspace import Artefacts

NAME, ORIGINAL, REWRITE = "rewritten", "original", "rewrite"
STAGE = "rewriter"
"""Who rewrites, where it is told that it was left out."""
PROMPT = Prompt(
    "1",
    "You rewrite queries for a search engine over a collection of technical documents. Write out acronyms and "
    "shorthand, add the terms an expert would use for the same thing, keep codes, numbers and names exactly as they "
    "are. Do not answer the query. Reply with the rewritten query alone, on one line, at most 30 words.",
)
PROMPTS = {PROMPT.version: PROMPT}
"""A recipe names a version, so an older one gets what it was measured with."""
LONGEST = 500
"""Characters of a rewrite; longer ones are answers, not queries."""


class Writer(Protocol):
    """Queries, and what they found, to other texts for them; None leaves a query as it is."""

    trouble: str
    """Why the last queries were not all rewritten; empty where nothing went wrong."""

    def write(self, queries: Sequence[Query], run: Run) -> list[str | None]:
        """One text or None for every query."""
        ...


class ShorthandWriter:
    """Adds long forms of short ones, and short forms of long ones."""

    def __init__(self, expander: Expander) -> None:
        self.expander = expander
        self.trouble = ""

    def write(self, queries: Sequence[Query], run: Run) -> list[str | None]:  # noqa: ARG002
        """The query and what it leaves unsaid; None where it has no short or long form."""
        texts = [self.expander.expand(query.text) for query in queries]
        return [None if text == query.text else text for query, text in zip(queries, texts, strict=True)]


@dataclass(frozen=True, slots=True)
class Feedback:
    """How many of the first documents speak, and how many of their words are added."""

    documents: int = 5
    terms: int = 5


class FeedbackWriter:
    """Adds the rare words that several of the first documents share (pseudo relevance feedback, Rocchio 1971)."""

    def __init__(self, index: Index, rule: Feedback) -> None:
        self.index = index
        self.rule = rule
        self.trouble = ""
        self._held = functools.lru_cache(maxsize=20_000)(self._stems_of)

    def write(self, queries: Sequence[Query], run: Run) -> list[str | None]:
        """The query and the words; None where the first documents share none."""
        return [self._one(query, run[query.id]) for query in queries]

    def _one(self, query: Query, ranking: Ranking) -> str | None:
        there = set(words(query.text, self.index.language))
        counts: Counter[str] = Counter()
        surface: dict[str, str] = {}
        for document in ranking.documents[: self.rule.documents]:
            held = self._held(self.index.rows[document])
            counts.update(held.keys())
            surface = {**held, **surface}
        postings, passages = self.index.postings(WORDS), len(self.index.owners)
        scored = {
            stem: count * float(rarity(np.array([postings.count(stem)]), passages)[0])
            for stem, count in counts.items()
            if count > 1 and stem not in there
        }
        chosen = sorted(scored, key=lambda stem: (-scored[stem], stem))[: self.rule.terms]
        return " ".join([query.text, *(surface[stem] for stem in chosen)]) if chosen else None

    def _stems_of(self, row: int) -> dict[str, str]:
        """The stems of a document, each with the first word it was made from."""
        found: dict[str, str] = {}
        for token in TOKEN.findall(self.index.documents[row].full_text):
            for stem in words(token, self.index.language):
                found.setdefault(stem, token.lower())
        return found


class LanguageModelWriter:
    """Asks a language model, each query no longer than a deadline."""

    def __init__(self, chat: Chat, prompt: Prompt, seconds: float, breaker: Breaker | None = None) -> None:
        self.chat = chat
        self.prompt = prompt
        self.seconds = seconds
        self.breaker = breaker or Breaker()
        self.trouble = ""
        self.asked = self.late = 0

    def write(self, queries: Sequence[Query], run: Run) -> list[str | None]:  # noqa: ARG002
        """The model's rewrites; None where it is late or down, or says what is no query. Never raises for it.

        One that has failed several times in a row is left alone for a while, when somebody waits for one query.
        """
        self.asked += len(queries)
        if len(queries) == 1 and not self.breaker.allows():
            self.late += 1
            skipped(STAGE, f"left alone for a while: {self.trouble}")
            return [None]
        answers = self.chat.ask_all(self.prompt, [query.text for query in queries], self.seconds)
        self.late += answers.missing
        self.trouble = answers.trouble
        if answers.missing:
            self.breaker.failed()
            skipped(STAGE, answers.trouble)
        else:
            self.breaker.succeeded()
        lines = [None if text is None else " ".join(text.split()).strip("\"'") for text in answers.texts]
        return [
            None if not line or len(line) > LONGEST or line == query.text else line
            for query, line in zip(queries, lines, strict=True)
        ]


def writer_of(by: Json, index: Index, artefacts: Artefacts, state: Path | None) -> Writer:
    """The writer that a recipe's node names.

    Raises:
        ResurveyError: when it names a prompt that this resurvey does not have.
    """
    if by["kind"] == "shorthand":
        return ShorthandWriter(Expander(load_shorthand(artefacts.get(by["table"])), index.language))
    if by["kind"] == "feedback":
        return FeedbackWriter(index, Feedback(by["documents"], by["terms"]))
    assert by["kind"] == "model", by
    if by["prompt"] not in PROMPTS:
        known = ", ".join(PROMPTS)
        raise ResurveyError([Problem("recipe", f"was measured with prompt {by['prompt']!r}; there is {known}")], "resurvey run DIR")  # fmt: skip
    chat = Chat(Endpoint(by["url"], by["model"], by["key_env"]), Cache(state) if state else None)
    return LanguageModelWriter(chat, PROMPTS[by["prompt"]], by["seconds"])


def describe_writer(by: Json) -> str:
    """Who rewrites, for people."""
    if by["kind"] == "model":
        return f"queries rewritten by {by['model']}"
    return {"shorthand": "shorthand written out", "feedback": "words of the first documents added"}[str(by["kind"])]


class Rewritten(Composable):
    """A retriever that also searches what a writer makes of a query, and fuses both lists.

    `weight` is the rewrite's share of the standardised scores; at 1 the rewrite is searched alone. `rewritten` and
    `unwritten` count queries, and `trouble` says why the last ones stayed as they were.
    """

    name = NAME

    def __init__(self, first: Retriever, writer: Writer, weight: float, depth: int) -> None:
        self.first = first
        self.writer = writer
        self.weight = weight
        self.depth = depth
        self.rewritten = self.unwritten = 0

    @property
    def trouble(self) -> str:
        """Why a rewriter left queries as they were; empty where nothing went wrong."""
        return self.writer.trouble

    @timed
    def search(self, queries: Sequence[Query]) -> Run:
        """Documents for every query; a rewritten one's hits carry stages `original` and `rewrite`."""
        plain = self.first.search(queries)
        texts = self.writer.write(queries, plain)
        asked = [Query(query.id, text) for query, text in zip(queries, texts, strict=True) if text is not None]
        for query in asked:
            rewrote(query.text)
        self.rewritten += len(asked)
        self.unwritten += len(queries) - len(asked)
        return joined(plain.top(self.depth), self.first.search(asked), self.weight, self.depth) if asked else plain.top(self.depth)  # fmt: skip


def joined(plain: Run, other: Run, weight: float, depth: int) -> Run:
    """The rewritten queries' lists fused with the originals'; what was not rewritten stays."""
    originals = Run(ORIGINAL, {query: plain[query] for query in other.rankings})
    both = fuse([originals, Run(REWRITE, other.rankings)], Convex({ORIGINAL: 1 - weight, REWRITE: weight}), depth)
    return Run(NAME, {query: both.rankings.get(query, ranking) for query, ranking in plain.rankings.items()})
