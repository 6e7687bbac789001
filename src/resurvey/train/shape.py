"""The shape of queries: how long they are, how many of their words the document has, how many are rare.

Synthetic queries are drawn so that their shape is that of real ones. The three shares are brought to the real
ones by raking (iterative proportional fitting, Deming and Stephan 1940), which eight real queries can carry,
where joint bins would be empty. Knows nothing about where queries come from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp

from resurvey.search.analyse import words
from resurvey.types import Document, Doubles, Ints

FEATURES = ("length", "overlap", "rare share")
"""Words of the query; share of its different stems that the document has; share of them that are rare in the corpus."""
RARE_SHARE, RARE_LEAST = 0.001, 2
"""A stem is rare up to this share of the documents, or so many; the rule of `diagnose`."""
MOST_STEMS = 2_000_000
"""Different stems that are counted; beyond, those seen once so far are forgotten."""
FEWEST = 8
"""Real queries from which a shape can be learned."""
SHORT = (2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 8)
"""Words of queries where no real ones are known: what people type into search boxes is two to five words."""
BINS = 8
ROUNDS = 30
LOST = 0.05
"""Share of the wanted weight that may be lost because a query can be taken only once."""
LEAST = 0.25
"""Share of what is asked for that is drawn all the same, at the cost of the likeness: a handful trains nothing."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How many documents have each stem."""

    language: str
    documents: int
    frequency: Counter[str]

    def stems(self, text: str) -> list[str]:
        """The stems of a text, stop words left out."""
        return words(text, self.language)

    def rarity(self, stem: str) -> float:
        """BM25's inverse document frequency; of a stem that was never seen, that of the rarest."""
        frequency = self.frequency.get(stem, 1)
        return math.log1p((self.documents - frequency + 0.5) / (frequency + 0.5))

    def is_rare(self, stem: str) -> bool:
        """Whether some documents have it, but few."""
        return 0 < self.frequency.get(stem, 0) <= max(RARE_LEAST, RARE_SHARE * self.documents)


def vocabulary(documents: Sequence[Document], language: str) -> Vocabulary:
    """Count the stems of a corpus, in bounded memory.

    Raises:
        ResurveyError: when there is no stemmer of that language.
    """
    found: Counter[str] = Counter()
    for document in documents:
        found.update(set(words(document.full_text, language)))
        if len(found) > MOST_STEMS:
            found = Counter({stem: count for stem, count in found.items() if count > 1})
    return Vocabulary(language, len(documents), found)


def shape(query: str, shown: Iterable[str], known: Vocabulary) -> tuple[float, float, float]:
    """One value a feature; `shown` are texts that answer the query, of which the most alike counts (NaN without any)."""
    asked = set(known.stems(query))
    shares = [len(asked & set(known.stems(text))) / len(asked) for text in shown] if asked else []
    rare = sum(map(known.is_rare, asked)) / len(asked) if asked else math.nan
    return float(len(query.split())), max(shares, default=math.nan), rare


def shapes(rows: Sequence[tuple[float, float, float]]) -> Doubles:
    """(queries, features)."""
    return np.array(rows, dtype=np.float64).reshape(-1, len(FEATURES))


def without_queries() -> Doubles:
    """The shape to aim at where there are no real queries: short, keyword-like; nothing is known of the rest."""
    return shapes([(float(length), math.nan, math.nan) for length in SHORT])


def distances(first: Doubles, second: Doubles) -> dict[str, float]:
    """Kolmogorov-Smirnov distance (0 alike, 1 apart) of every feature that both know of enough queries."""
    found = {}
    for place, name in enumerate(FEATURES):
        one, two = _known(first[:, place]), _known(second[:, place])
        if min(len(one), len(two)) >= FEWEST:
            found[name] = round(float(ks_2samp(one, two, method="asymp").statistic), 3)
    return found


def matched(found: Doubles, wanted: Doubles, count: int, rng: np.random.Generator) -> Ints:
    """Places of at most `count` of the found queries, drawn so that their shape is the wanted one.

    Each is drawn at most once, with a chance proportional to its weight; where too few have what many should
    have, fewer are drawn rather than others in their stead, down to LEAST of what can be had.
    """
    weights = rake(found, wanted)
    if not weights.any():
        return np.zeros(0, dtype=np.int64)
    cap = _cap(weights)
    chances = np.minimum(1.0, weights / cap)
    while chances.sum() < LEAST * min(count, int(np.count_nonzero(weights))):
        cap /= 2
        chances = np.minimum(1.0, weights / cap)
    if chances.sum() > count:
        chances *= count / chances.sum()
    order = rng.permutation(len(chances))
    steps = np.floor(np.cumsum(chances[order]) + rng.random())  # systematic sampling: the sum is kept to within one
    taken = np.diff(steps, prepend=0.0) >= 1
    return np.sort(order[taken])[:count]


def rake(found: Doubles, wanted: Doubles) -> Doubles:
    """Weights, of mean 1, under which every feature of the found queries is spread as that of the wanted ones."""
    weights = np.ones(len(found))
    columns = [column for place in range(len(FEATURES)) if (column := _binned(found[:, place], wanted[:, place]))]
    for _ in range(ROUNDS if len(found) else 0):
        for bins, aim in columns:
            there = np.bincount(bins, weights=weights, minlength=len(aim))
            reachable = np.where(there > 0, aim, 0.0)
            factor = np.divide(reachable, there, out=np.zeros(len(aim)), where=there > 0)
            weights = weights * factor[bins]
        if not weights.any():
            return weights
    return np.asarray(weights / weights.mean()) if len(weights) else weights


def _binned(found: Doubles, wanted: Doubles) -> tuple[Ints, Doubles] | None:
    """Every found query's bin, and the share each bin should have; None where too little is known."""
    known = _known(wanted)
    if len(known) < FEWEST:
        return None
    number = min(BINS, len(known) // 4)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, number + 1)[1:-1], method="higher"))
    aim = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1) + 0.5
    values = np.where(np.isnan(found), np.median(known), found)
    return np.searchsorted(edges, values, side="right").astype(np.int64), aim / aim.sum()


def _known(values: Doubles) -> Doubles:
    return values[~np.isnan(values)]


def _cap(weights: Doubles) -> float:
    """The lowest weight at which cutting all higher ones off loses no more than LOST of the whole."""
    ordered = np.sort(weights)[::-1]
    above = np.cumsum(ordered) - ordered * np.arange(1, len(ordered) + 1)  # what is lost by cutting at each
    return float(ordered[np.flatnonzero(above <= LOST * ordered.sum())[-1]]) or float(ordered[ordered > 0].min())
