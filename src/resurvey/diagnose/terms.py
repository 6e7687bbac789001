"""Terms: which words of a corpus are worth asking about, and the words that stand around them.

Specific ones are frequent here and rare on the web; ordinary ones are common on the web and far more frequent here than
there. Knows texts and wordfreq; knows nothing about vectors.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import wordfreq

Kind: TypeAlias = Literal["specific", "ordinary", "yours"]
WORD = re.compile(r"[^\W\d_]{3,}")
SPECIFIC, ORDINARY = 30, 40
"""How many of each are looked at."""
COMMON = 4.0
"""Zipf frequency on the web from which a word is an ordinary one."""
OFTENER = 2.0
"""Times as frequent as on the web that an ordinary word must be here."""
LEAST, MOST = 8, 0.2
"""Passages that must hold a term, and the share of them that may."""
READ = 20_000
"""Passages that are read, evenly spread."""
AROUND = 12
"""Words before and after."""
FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class Term:
    """A word, and the passages that hold it."""

    word: str
    kind: Kind
    passages: tuple[int, ...]


def words_of(text: str) -> list[str]:
    """Lower-case words of at least three letters."""
    return WORD.findall(text.lower())


def choose(texts: Sequence[str], code: str, own: Sequence[str] = ()) -> list[Term]:
    """Terms to look at, the user's own first, then those that add most to the corpus' distance from the web.

    Args:
        code: ISO 639-1 code of a language that wordfreq knows.
        own: words that the user wants looked at, whatever their frequency; those that nowhere stand hold no passage.
    """
    counts: Counter[str] = Counter()
    holds: dict[str, list[int]] = {}
    read = range(0, len(texts), max(1, len(texts) // READ))
    for place in read:
        found = words_of(texts[place])
        counts.update(found)
        for word in set(found):
            holds.setdefault(word, []).append(place)
    whole = max(1, sum(counts.values()))
    most = max(LEAST, MOST * len(read))
    weights: dict[str, float] = {}
    kinds: dict[str, Kind] = {}
    for word, places in holds.items():
        ratio = counts[word] / whole / max(wordfreq.word_frequency(word, code), FLOOR)
        if LEAST <= len(places) <= most and ratio >= OFTENER:
            weights[word] = counts[word] * math.log(ratio)
            kinds[word] = "ordinary" if wordfreq.zipf_frequency(word, code) >= COMMON else "specific"
    ranked = sorted(weights, key=lambda word: (-weights[word], word))
    named = list(dict.fromkeys(map(str.lower, own)))
    chosen = [
        *named,
        *[word for word in ranked if kinds[word] == "specific" and word not in named][:SPECIFIC],
        *[word for word in ranked if kinds[word] == "ordinary" and word not in named][:ORDINARY],
    ]
    return [Term(word, "yours" if word in named else kinds[word], tuple(holds.get(word, ()))) for word in chosen]


def contexts(term: Term, texts: Sequence[str], number: int, rng: np.random.Generator) -> list[str]:
    """Words around the first place of a term in so many of its passages, without the term itself."""
    found = []
    for place in rng.permutation(term.passages)[:number]:
        pieces = texts[place].split()
        at = next((k for k, piece in enumerate(pieces) if term.word in words_of(piece)), None)
        if at is not None:
            near = pieces[max(0, at - AROUND) : at + AROUND + 1]
            left = [piece for piece in near if term.word not in words_of(piece)]
            if left:
                found.append(" ".join(left))
    return found


@dataclass(frozen=True, slots=True)
class Background:
    """How many of how many texts hold each word."""

    texts: int
    holds: Mapping[str, int]


def background(texts: Sequence[str]) -> Background:
    """Of these texts."""
    return Background(len(texts), Counter(word for text in texts for word in set(words_of(text))))


def distinguishing(texts: Sequence[str], among: Background, number: int) -> list[str]:
    """Words that more of these texts hold than one would expect among all: by how many, times the logarithm of how often.

    Args:
        among: of all texts, these included.
    """
    here = background(texts)
    score = {
        word: count * math.log((count / here.texts) / (among.holds[word] / among.texts))
        for word, count in here.holds.items()
        if count > 1
    }
    ranked = sorted(score, key=lambda word: (-score[word], word))
    return [word for word in ranked if score[word] > 0][:number]
