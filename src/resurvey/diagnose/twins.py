"""Twins: one need in two wordings, short form and long form or synonym, and whether they find the same.

A query is made from a sentence in which the corpus uses a form, with a few words around it; its twin holds the other
form in that place. Whoever uses them sees how much of the first ten documents two wordings share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.evaluate.resample import means
from resurvey.protocols import Retriever
from resurvey.search.shorthand import TOKEN, Pair, key_of
from resurvey.types import Document, Interval, Query

SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
AROUND = 3
"""Words on either side that a made query takes along."""
ACRONYM, SYNONYM = "acronym", "synonym"


@dataclass(frozen=True, slots=True)
class Twins:
    """One need worded twice, and what kind of difference that is."""

    kind: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How much of their first documents twins share: the mean with its interval, and every pair's own share."""

    mean: float
    interval: Interval
    shares: tuple[float, ...]


def acronym_twins(documents: Sequence[Document], pairs: Sequence[Pair]) -> list[Twins]:
    """For every short form, one query from the first sentence that uses it without explaining it, in either form."""
    wanted = {key_of(pair.short): pair for pair in reversed(pairs)}
    made: dict[str, Twins] = {}
    for document in documents:
        for sentence in SENTENCE.split(document.full_text):
            for key, before, after in _around(sentence, wanted):
                pair = wanted[key]
                if key not in made and pair.long not in sentence.lower():
                    made[key] = Twins(ACRONYM, *(" ".join([*before, form, *after]) for form in (pair.short, pair.long)))
        if len(made) == len(wanted):
            break
    return [made[key] for key in sorted(made)]


def synonym_twins(queries: Sequence[Query], synonyms: Mapping[str, str]) -> list[Twins]:
    """Queries that hold a word of a user's list, and their twins with the other word in its place."""
    found = []
    for query in queries:
        for word, other in synonyms.items():
            pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
            changed = other.join(pattern.split(query.text))
            if changed != query.text:
                found.append(Twins(SYNONYM, query.text, changed))
    return found


def agreement(retriever: Retriever, twins: Sequence[Twins], k: int = 10, seed: int = 13) -> Agreement:
    """Share of the first `k` documents that both wordings find, over the longer of both lists; percentile interval, 95 %."""
    assert twins, "no twins, no agreement"
    runs = [
        retriever.search([Query(str(place), text) for place, text in enumerate(texts)])
        for texts in ([pair.first for pair in twins], [pair.second for pair in twins])
    ]
    shares = []
    for place in range(len(twins)):
        first, second = (set(run[str(place)].documents[:k]) for run in runs)
        shares.append(len(first & second) / max(len(first), len(second), 1))
    low, high = np.quantile(means(np.array(shares)[:, None], seed)[:, 0], (0.025, 0.975))
    return Agreement(float(np.mean(shares)), Interval(float(low), float(high)), tuple(shares))


def _around(sentence: str, wanted: Mapping[str, Pair]) -> Iterator[tuple[str, list[str], list[str]]]:
    tokens = TOKEN.findall(sentence)
    for place, token in enumerate(tokens):
        key = key_of(token)
        if key in wanted and not token.islower() and len(tokens) > AROUND:
            yield key, tokens[max(0, place - AROUND) : place], tokens[place + 1 : place + 1 + AROUND]
