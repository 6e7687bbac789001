"""Collision (R13): words that mean something else here than the encoder takes them for.

A bare word's vector is what the encoder learned of it on the web. Where the passages around a word resemble one another
and not that vector, its meaning here is another one. Where what a bare word finds falls into two heaps, it has two.
Knows terms, texts and vectors; knows nothing about judgments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import wordfreq
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from resurvey.diagnose.levels import band, finding
from resurvey.diagnose.terms import WORD, Background, Term, background, contexts, distinguishing
from resurvey.evaluate.calibration import auc
from resurvey.types import Finding, Floats, Interval, Ints, Json

Embed: TypeAlias = Callable[[Sequence[str]], Floats]
Find: TypeAlias = Callable[[Floats], Ints]
NUMBER, MORE = 16, 48
"""Contexts of every term, and where those leave the level open."""
LEAST_CONTEXTS = 8
DRAWS = 40
"""Halves of every term's contexts, by which the share's interval is found."""
ALIKE, APART, FURTHER = 0.7, 0.7, 0.15
"""AUC from which contexts are alike, up to which the bare word is apart from them, and by how much it must be further."""
TOP = 10
HEAPS, LEAST_HEAP = 0.4, 3
"""Silhouette from which ten passages are two heaps, and the fewest of either."""
GENERIC = slice(100, 1600)
"""Ranks of the web's words among which a term's proxies are looked for: below them stand words of no meaning."""
SHORT = 3
"""Letters of a word that is no proxy: to an acronym that the encoder does not know, short words are near by their sound."""
LEAST_TERMS = 20
SHOWN, PROXIES = 12, 4


@dataclass(frozen=True, slots=True)
class Read:
    """How the encoder reads one term."""

    term: Term
    bare: float
    """How often the bare word is nearer to its own contexts than to other terms' (AUC)."""
    own: float
    """How often a context is nearer to the others of its term than those of other terms are (AUC)."""

    @property
    def collides(self) -> bool:
        """Whether its contexts agree with one another and not with the bare word."""
        return self.own >= ALIKE and self.bare <= APART and self.own - self.bare >= FURTHER


def collision_finding(
    terms: Sequence[Term], texts: Sequence[str], asks: Embed, reads: Embed, finds: Find, passages: Floats, *, code: str, seed: int
) -> Finding:  # fmt: skip
    """R13: the share of the looked-at terms whose meaning here is another one, each with its proxies and its senses.

    Args:
        texts: of all passages.
        asks: embeds words as queries.
        reads: embeds contexts as passages.
        finds: from vectors (words, dimensions) to the passages nearest to each, (words, TOP).
        passages: their vectors, (passages, dimensions).
        code: ISO 639-1 code of the language.
    """
    rng = np.random.default_rng(seed)
    around = [contexts(term, texts, MORE, rng) for term in terms]
    kept = [place for place, found in enumerate(around) if len(found) >= LEAST_CONTEXTS]
    few = [term.word for place, term in enumerate(terms) if term.kind == "yours" and place not in kept]
    lacking = f" Fewer than {LEAST_CONTEXTS} passages hold your own {', '.join(map(repr, few))}." if few else ""
    if len(kept) < 2:
        nothing = f"Too few words are frequent here and rare elsewhere to look at.{lacking}"
        return finding("R13-collision", 0.0, None, nothing, known=False, terms=[], examined=len(kept), few=few)
    some = [terms[place] for place in kept]
    bare = asks([term.word for term in some])
    looked = _look(some, [around[place] for place in kept], bare, reads, seed)
    found = looked.found
    colliding = [place for place, one in enumerate(found) if one.collides]
    plain = frozenset(wordfreq.top_n_list(code, GENERIC.start))
    senses = {
        place: two
        for place, first in enumerate(finds(bare))
        if (two := _senses(passages[first], some[place].word, [texts[row] for row in first], plain))
    }
    rows = _rows(found, {*colliding, *senses}, senses, bare, asks, looked, code)
    named = ", ".join(
        f"'{row['term']}' (read as {', '.join(row['web'][:2])}; here beside {', '.join(row['beside'][:2])})"
        for row in [row for row in rows if row["collides"]][:2]
    )
    reading = (
        f"{len(colliding)} of {len(found)} words have contexts here that resemble one another and not the bare word"
        f"{': ' + named if named else ''}; what {len(senses)} of them find falls into two heaps.{lacking}"
    )
    if len(found) < LEAST_TERMS:
        reading += f" {len(found)} words are fewer than the {LEAST_TERMS} this needs."
    return finding(
        "R13-collision", looked.share, looked.interval, reading, known=len(found) >= LEAST_TERMS, terms=rows,
        examined=len(found), contexts=len(looked.windows), few=few,
        queries=len(looked.windows), of="passages that hold these words",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was seen of all terms: contexts, whose they are, how each term is read, and the share that collides, in percent."""

    windows: list[str]
    owners: Ints
    found: list[Read]
    share: float
    interval: Interval


def _look(terms: Sequence[Term], around: Sequence[Sequence[str]], bare: Floats, reads: Embed, seed: int) -> _Looked:
    """All terms in `NUMBER` contexts each, and in `MORE` where those leave the level open and there are more."""
    rng, row = np.random.default_rng(seed), band("R13-collision")
    windows: list[str] = []
    owners, vectors = np.zeros(0, dtype=np.int64), np.zeros((0, bare.shape[1]), dtype=np.float32)
    for steps in (slice(0, NUMBER), slice(NUMBER, MORE)):
        new = [list(found[steps]) for found in around]
        if not any(new):
            break
        windows += [text for found in new for text in found]
        owners = np.concatenate([owners, np.repeat(np.arange(len(terms)), [len(found) for found in new])])
        vectors = np.concatenate([vectors, reads([text for found in new for text in found])])
        found = readings(terms, bare, vectors, owners)
        share = 100 * sum(one.collides for one in found) / len(found)
        interval = _interval(terms, bare, vectors, owners, share, rng)
        looked = _Looked(windows, owners, found, share, interval)
        if row.level(interval.low) == row.level(interval.high):
            break
    return looked


def readings(terms: Sequence[Term], bare: Floats, around: Floats, owners: Ints) -> list[Read]:
    """How each term is read.

    Args:
        bare: (terms, dimensions), the words alone.
        around: (contexts, dimensions).
        owners: the term of every context.
    """
    found = []
    to_bare = around @ bare.T
    for place, term in enumerate(terms):
        own = owners == place
        mine = around[own]
        left = (mine.sum(axis=0) - mine) / (len(mine) - 1)  # the middle of all but each
        below = around @ left.T < np.einsum("ij,ij->i", mine, left)
        alike = (below.sum(axis=0) - below[own].sum(axis=0)) / (len(around) - len(mine))
        found.append(Read(term, auc(to_bare[own, place], to_bare[~own, place]), float(alike.mean())))
    return found


def _interval(
    terms: Sequence[Term], bare: Floats, around: Floats, owners: Ints, value: float, rng: np.random.Generator
) -> Interval:
    """95 % by the spread over random halves of every term's contexts, which is that of all of them (a jackknife of halves)."""
    drawn = []
    for _ in range(DRAWS):
        order = rng.permutation(len(owners))
        place = np.empty(len(owners), dtype=np.int64)  # of every context among its term's, in random order
        for term in range(len(terms)):
            mine = order[owners[order] == term]
            place[mine] = np.arange(len(mine))
        half = np.flatnonzero(place < np.bincount(owners)[owners] / 2)
        found = readings(terms, bare, around[half], owners[half])
        drawn.append(100 * sum(one.collides for one in found) / len(found))
    wide = 1.96 * float(np.std(drawn, ddof=1))
    return Interval(max(0.0, value - wide), min(100.0, value + wide))


def _senses(rows: Floats, word: str, texts: Sequence[str], plain: frozenset[str]) -> list[Json]:
    """The two heaps into which the passages that a bare word finds fall; none where they are one."""
    if len(np.unique(rows, axis=0)) < TOP:
        return []
    labels = KMeans(2, n_init=4, random_state=0).fit(rows).labels_
    sizes = np.bincount(labels, minlength=2)
    if sizes.min() < LEAST_HEAP or silhouette_score(rows, labels, metric="cosine") < HEAPS:
        return []
    heaps = [
        [texts[place] for place in np.flatnonzero(labels == label).tolist()]
        for label in np.argsort(-sizes, kind="stable")
    ]
    both = background(texts)
    return [
        {
            "passages": len(heap),
            "words": [o for o in distinguishing(heap, both, 3 * PROXIES) if o != word and o not in plain][:PROXIES],
            "example": " ".join(heap[0].split())[:120],
        }
        for heap in heaps
    ]


def _rows(
    found: Sequence[Read], shown: set[int], senses: dict[int, list[Json]], bare: Floats, asks: Embed, looked: _Looked, code: str
) -> list[Json]:  # fmt: skip
    """What is shown of every term that collides or has two senses, the clearest first, the user's own before all."""
    web = [word for word in wordfreq.top_n_list(code, GENERIC.stop * 2) if WORD.fullmatch(word) and len(word) > SHORT][
        GENERIC
    ]
    near = bare @ asks(web).T if web and shown else np.zeros((len(bare), 0), dtype=np.float32)
    everywhere: Background = background(looked.windows)
    plain = frozenset(wordfreq.top_n_list(code, GENERIC.start))
    order = sorted(
        shown, key=lambda p: (found[p].term.kind != "yours", found[p].bare - found[p].own, found[p].term.word)
    )
    rows: list[Json] = []
    for place in order[:SHOWN]:
        one = found[place]
        word, kind = one.term.word, one.term.kind
        mine = [looked.windows[row] for row in np.flatnonzero(looked.owners == place).tolist()]
        rows.append({
            "term": word, "kind": kind, "passages": len(one.term.passages), "collides": one.collides,
            "bare": round(one.bare, 3), "own": round(one.own, 3), "senses": senses.get(place, []),
            "web": [web[other] for other in np.argsort(-near[place], kind="stable") if web[other] != word][:PROXIES],
            "beside": [other for other in distinguishing(mine, everywhere, 3 * PROXIES) if other not in plain][:PROXIES],
        })  # fmt: skip
    return rows
