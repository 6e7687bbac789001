"""Vocabulary (R15): how far a corpus' words are from the web's, which ones, and into how many pieces they are broken.

The web's distribution is wordfreq's. Knows texts and a tokenizer; knows nothing about vectors or judgments.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import wordfreq

from resurvey.diagnose.levels import finding
from resurvey.protocols import Tokenizer
from resurvey.search.language import ENGLISH, code_of
from resurvey.types import Doubles, Finding, Interval, Ints, Json

FLOOR = 1e-9
"""Probability given to a word that wordfreq does not list (its rarest are near 1e-8)."""
WORD = re.compile(r"[^\W\d_]{2,}")
BUDGET = 20_000
"""Words from which the divergence is estimated, however large the corpus: it grows with their number."""
LEAST = 2_000
"""Words below which nothing is said."""
POOL = 200_000
"""Words that are looked at: whole documents, drawn at random."""
DRAWS, RESAMPLES = 10, 50
SHOWN = 12
OWN = 3
"""A word is named as this corpus' own when it is at least so many times as frequent as on the web."""
COMMON = 3_000
"""Words of the web on which a tokenizer's pieces are counted beside the corpus' own."""


@dataclass(frozen=True, slots=True)
class _Corpus:
    """Words of a sample of documents: their numbers in order, where documents begin, and the web's share of each word."""

    words: tuple[str, ...]
    ids: Ints
    starts: Ints
    web: Doubles

    def of(self, documents: Ints) -> Ints:
        """Numbers of the words of some documents."""
        ends = np.append(self.starts, len(self.ids))
        return np.concatenate([self.ids[ends[place] : ends[place + 1]] for place in documents])


def vocabulary_finding(texts: Sequence[str], language: str, seed: int, tokenizer: Tokenizer | None = None) -> Finding:
    """R15: Kullback-Leibler divergence of the corpus' words from the web's, in nats, freed of its bias.

    Estimated from as many words as `BUDGET`, less what as many words drawn from the web itself would seem to diverge:
    else a large corpus is further away than a small one for its size alone.

    Args:
        tokenizer: the encoder's, to see how it breaks these words; None where it is not known.
    """
    code = web_code(language)
    corpus = _read(texts, code, seed)
    size, rng = min(BUDGET, len(corpus.ids)), np.random.default_rng(seed)
    if not size:
        nothing = "There are no words."
        return finding("R15-vocabulary", 0.0, None, nothing, known=False, tokens=0, terms={})
    drawn = [_divergence(corpus, corpus.ids, size, rng) for _ in range(DRAWS)]
    bias = _bias(code, size, seed)
    value = float(np.mean(drawn)) - bias
    around = _interval(corpus, size, value, rng)
    counts = np.bincount(corpus.ids, minlength=len(corpus.words))
    terms = _terms(corpus, counts)
    strange = float(counts[corpus.web <= FLOOR].sum() / len(corpus.ids))
    broken = fragments(dict(zip(corpus.words, counts.tolist(), strict=True)), code, tokenizer) if tokenizer else {}
    reading = f"{value:.2f} nats from web text over {size:,} words; the words that contribute most are {', '.join(list(terms)[:5])}."
    if broken:
        reading += (
            f" The encoder breaks a word into {broken['pieces']:.2f} pieces, words of the web into {broken['web']:.2f}"
        )
        reading += f": {', '.join(broken['most'][:3])}." if broken["most"] else "."
    if size < LEAST:
        reading += f" {size:,} words are fewer than the {LEAST:,} this needs."
    return finding(
        "R15-vocabulary", value, around, reading, queries=len(corpus.starts), of="documents", known=size >= LEAST, terms=terms, unknown_words=round(strange, 4),
        tokens=len(corpus.ids), budget=size, bias=round(bias, 4), article=round(float(np.mean(drawn)), 4),
        smoothing=f"words unknown to wordfreq get {FLOOR:g}", fragments=broken,
    )  # fmt: skip


def web_code(language: str) -> str:
    """ISO 639-1 code of a language that wordfreq knows: English's where it does not know it."""
    return code_of(language) if code_of(language) in wordfreq.available_languages() else code_of(ENGLISH)


def fragments(counts: Mapping[str, int], code: str, tokenizer: Tokenizer) -> Json:
    """Pieces that a tokenizer makes of a word: on average here, on average on the web, and the words most broken here."""
    chosen = sorted(counts, key=lambda word: (-counts[word], word))[:COMMON]
    here = dict(zip(chosen, map(len, tokenizer.offsets(chosen)), strict=True))
    web = [word for word in wordfreq.top_n_list(code, 2 * COMMON) if WORD.fullmatch(word)][:COMMON]
    shares = np.array([wordfreq.word_frequency(word, code) for word in web])
    of_web = np.array([len(spans) for spans in tokenizer.offsets(web)])
    weights = np.array([counts[word] for word in chosen])
    worst = sorted(chosen, key=lambda word: -(here[word] - 1) * counts[word])[:SHOWN]
    spans = {
        word: "·".join(word[a:b] for a, b in row) for word, row in zip(worst, tokenizer.offsets(worst), strict=True)
    }
    return {
        "pieces": float(np.average(list(here.values()), weights=weights)),
        "web": float(np.average(of_web, weights=shares)),
        "most": [spans[word] for word in worst if here[word] > 1],
    }


def _read(texts: Sequence[str], code: str, seed: int) -> _Corpus:
    """Whole documents in random order until there are `POOL` words."""
    web = _web(code)
    numbers: dict[str, int] = {}
    ids: list[int] = []
    starts = []
    for place in np.random.default_rng(seed).permutation(len(texts)):
        starts.append(len(ids))
        ids += [numbers.setdefault(word, len(numbers)) for word in WORD.findall(texts[place].lower())]
        if len(ids) >= POOL:
            break
    shares = np.array([max(web.get(word, 0.0), FLOOR) for word in numbers], dtype=np.float64)
    return _Corpus(tuple(numbers), np.array(ids, dtype=np.int64), np.array(starts, dtype=np.int64), shares)


def _divergence(corpus: _Corpus, ids: Ints, size: int, rng: np.random.Generator) -> float:
    """Of so many of these words, drawn without replacement."""
    return _kullback(np.bincount(rng.choice(ids, size, replace=False), minlength=len(corpus.words)), corpus.web)


def _kullback(counts: Ints, web: Doubles) -> float:
    """Divergence of counted words from the web's shares of them, in nats."""
    there = counts > 0
    shares = counts[there] / counts.sum()
    return float((shares * np.log(shares / web[there])).sum())


def _interval(corpus: _Corpus, size: int, value: float, rng: np.random.Generator) -> Interval:
    """95 % by the spread of divergences over documents drawn again (a normal bootstrap interval)."""
    drawn = []
    for _ in range(RESAMPLES):
        ids = corpus.of(rng.integers(0, len(corpus.starts), len(corpus.starts)))
        drawn.append(_divergence(corpus, ids, min(size, len(ids)), rng) if len(ids) else 0.0)
    half = 1.96 * float(np.std(drawn, ddof=1))
    return Interval(value - half, value + half)


def _terms(corpus: _Corpus, counts: Ints) -> dict[str, float]:
    """The words that contribute most, among those that are this corpus' own, and how much each does."""
    shares = counts / max(1, len(corpus.ids))
    parts = shares * np.log(np.maximum(shares, FLOOR) / corpus.web)
    own = np.flatnonzero(shares >= OWN * np.where(corpus.web > FLOOR, corpus.web, 0.0))
    most = own[np.argsort(-parts[own], kind="stable")][:SHOWN]
    return {corpus.words[place]: round(float(parts[place]), 4) for place in most}


@functools.cache
def _web(code: str) -> Mapping[str, float]:
    """The web's words of a language and their shares, which sum to 1."""
    found = {word: share for word, share in wordfreq.get_frequency_dict(code).items() if WORD.fullmatch(word)}
    whole = math.fsum(found.values())
    return {word: share / whole for word, share in found.items()}


@functools.cache
def _bias(code: str, size: int, seed: int) -> float:
    """What so many words drawn from the web itself seem to diverge from it."""
    shares = np.array(list(_web(code).values()))
    counts = np.random.default_rng(seed).multinomial(size, shares, DRAWS)
    return float(np.mean([_kullback(row, shares) for row in counts]))
