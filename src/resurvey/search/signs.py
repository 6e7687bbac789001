"""Signs: what a ranking shows of its own worth, before anybody judged it.

One row of numbers for every hit (how it stands out, what the branches think of it), one for the whole query (how near
the nearest document is, how much of the query the corpus knows). All come from what the ranking carries and from the
words of the query: no further search. Knows nothing about judgments.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from resurvey.search.analyse import words
from resurvey.search.dense import NAME as DENSE
from resurvey.search.index import Index
from resurvey.search.lexical import NAME as LEXICAL
from resurvey.search.memory import NAME as MEMORY
from resurvey.search.postings import rarity
from resurvey.search.store import WORDS
from resurvey.search.terms import Characters
from resurvey.types import Doubles, Query, Ranking, Stage

CHARACTERS = Characters.name
FIRST = 10
"""Hits that are shown and judged together; the probability that any is relevant is about these."""
BRANCHES = (DENSE, LEXICAL, CHARACTERS, MEMORY)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the corpus knows of a query's words, weighted by how rare they are."""

    known: float
    """Share of the query's weight whose words occur in the corpus; 1 for a query without words."""
    possible: float
    """BM25 of a passage that would match every word as well as any passage matches it; 0 without known words."""


class Words:
    """The corpus' words, to ask for the facts of a query."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._most = functools.lru_cache(maxsize=50_000)(self._most_of)

    def facts(self, query: Query) -> Facts:
        """What the corpus knows of the query's words."""
        found = [self._most(word) for word in dict.fromkeys(words(query.text, self.index.language))]
        whole = sum(weight for weight, _ in found)
        known = sum(weight for weight, most in found if most > 0)
        return Facts(known / whole if whole else 1.0, sum(most for _, most in found))

    def _most_of(self, word: str) -> tuple[float, float]:
        """How rare a word is, and the most that it counts for in any passage."""
        postings = self.index.postings(WORDS)
        held = postings.count(word)
        rare = float(rarity(np.array([held]), len(self.index.owners))[0])
        return rare, postings.most(word)


COVERING = ("known words", "best cosine", "tenth cosine", "best matched", "tenth matched", "overlap")
"""Names of what tells a query that the corpus covers from a foreign one."""
NEARNESS = ("best cosine", "tenth cosine")
"""The same without judgments: stand-in queries have their words from the corpus, so what words say of real ones is a lie."""
HIT = (
    "place", "standing", "share", "behind", "ahead", "score", "cosine", "matched", "dense place", "lexical place",
    "other places", "agreeing",
)  # fmt: skip
"""Names of what is read of a hit."""
QUERY = (
    "known words", "best cosine", "tenth cosine", "best matched", "tenth matched", "first gap", "tenth gap", "best score",
    "overlap",
)  # fmt: skip
"""Names of what is read of a whole ranking."""
UNSEEN = 200
"""The place of a hit in a branch that did not return it."""


def of_hits(ranking: Ranking, facts: Facts, first: int) -> Doubles:
    """Signs of the first hits: (hits, HIT), NaN where the recipe lacks the branch."""
    if not len(ranking):
        return np.zeros((0, len(HIT)))
    count = min(first, len(ranking))
    scores = ranking.scores.astype(np.float64)
    z = (scores - scores.mean()) / max(float(scores.std()), 1e-9)
    following = np.append(z[1:], z[-1:])
    places = {name: _places(ranking.stages[name]) for name in BRANCHES if name in ranking.stages}
    agreeing = sum(((places[name] <= FIRST).astype(np.float64) for name in places), np.zeros(len(z)))
    others = [np.log(places[name]) for name in BRANCHES[2:] if name in places]
    table = {
        "place": np.log(np.arange(1, len(z) + 1)),
        "standing": z,
        "share": z - np.log(np.exp(z - z.max()).sum()) - z.max(),
        "behind": z.max() - z,
        "ahead": z - following,
        "score": scores,
        "cosine": _given(ranking, DENSE, len(z)),
        "matched": _given(ranking, LEXICAL, len(z)) * facts.known / max(facts.possible, 1e-9),
        "dense place": np.log(places[DENSE]) if DENSE in places else np.full(len(z), np.nan),
        "lexical place": np.log(places[LEXICAL]) if LEXICAL in places else np.full(len(z), np.nan),
        "other places": np.mean(others, axis=0) if others else np.full(len(z), np.nan),
        "agreeing": agreeing,
    }
    return np.column_stack([table[name][:count] for name in HIT])


def of_query(ranking: Ranking, facts: Facts) -> dict[str, float]:
    """Signs of the whole ranking; a sign whose branch the recipe lacks is missing."""
    found: dict[str, float] = {"known words": facts.known}
    near, matched = seen(ranking, DENSE), seen(ranking, LEXICAL)
    if near is not None:
        found["best cosine"], found["tenth cosine"] = _ends(near)
    if matched is not None:
        share = facts.known / max(facts.possible, 1e-9)
        found["best matched"], found["tenth matched"] = (share * end for end in _ends(matched))
    if len(ranking):
        scores = ranking.scores.astype(np.float64)
        spread = max(float(scores.std()), 1e-9)
        found["first gap"] = float(scores[0] - scores[min(1, len(scores) - 1)]) / spread
        found["tenth gap"] = float(scores[0] - scores[min(FIRST, len(scores)) - 1]) / spread
        found["best score"] = float(scores[0])
    if near is not None and matched is not None:
        both = [_places(ranking.stages[name]) <= FIRST for name in (DENSE, LEXICAL)]
        found["overlap"] = float((both[0] & both[1]).sum()) / FIRST
    return found


def seen(ranking: Ranking, name: str) -> Doubles | None:
    """Scores that a branch gave, highest first; a zero where it found nothing, None where there is no such branch."""
    if name not in ranking.stages:
        return None
    stage = ranking.stages[name]
    scores = np.sort(stage.scores[stage.ranks > 0].astype(np.float64))[::-1]
    return scores if len(scores) else np.zeros(1)


def _ends(scores: Doubles) -> tuple[float, float]:
    """The first and the tenth, or the last where there are fewer."""
    return float(scores[0]), float(scores[min(FIRST, len(scores)) - 1])


def _places(stage: Stage) -> Doubles:
    return np.where(stage.ranks > 0, stage.ranks, UNSEEN).astype(np.float64)


def _given(ranking: Ranking, name: str, count: int) -> Doubles:
    """What a branch gave every hit; its lowest where it did not return one, NaN where there is no such branch."""
    stage = ranking.stages.get(name)
    if stage is None:
        return np.full(count, np.nan)
    there = stage.ranks > 0
    floor = float(stage.scores[there].min()) if there.any() else 0.0
    return np.where(there, stage.scores, floor).astype(np.float64)
