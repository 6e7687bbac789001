"""Vocabulary (R14, R15): codes and identifiers, and how far the words are from the web's.

The web's distribution is wordfreq's. Knows texts; knows nothing about vectors or judgments.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import wordfreq

from resurvey.diagnose.levels import finding
from resurvey.evaluate.compare import interval
from resurvey.search.analyse import tokens
from resurvey.search.language import ENGLISH, code_of
from resurvey.types import Doubles, Finding

MIXED = re.compile(r"(?=.*[^\W\d_])(?=.*\d)")
ARTICLE_TOKEN = re.compile(r"^[a-z0-9]+$")
FLOOR = 1e-9
"""Probability given to a word that wordfreq does not list (its rarest are near 1e-8)."""
WORD = re.compile(r"[^\W\d_]{2,}")
SHOWN = 12
OWN = 3
"""A word is named as this corpus' own when it is at least so many times as frequent as on the web."""
FAMILIES = {
    "statute": re.compile(r"\d+\s?u\.?s\.?c\.?\s?§+\s?\d+|§+\s?\d+", re.I),
    "ICD": re.compile(r"^[a-tv-z]\d\d(\.\d{1,4})?$"),
    "version": re.compile(r"^v?\d+\.\d+(\.\d+)+$|^v\d+(\.\d+)*$"),
    "technique or CVE": re.compile(r"^t\d{4}(\.\d{3})?$|^cve-\d{4}-\d+$"),
    "dotted name": re.compile(r"^[a-z_]\w*(\.[a-z_]\w*)+$"),
    "part number": re.compile(r"^(?=.*\d)(?=.*[a-z])[a-z0-9]+([-/][a-z0-9]+)+$|^(?=.*\d)(?=.*[a-z])[a-z0-9]{5,}$"),
}


def mixed_share(texts: Sequence[str]) -> tuple[Doubles, Doubles]:
    """Per text, the number of tokens with letters and digits, and the number of tokens."""
    found = [tokens(text) for text in texts]
    mixed = np.array([sum(bool(MIXED.match(token)) for token in row) for row in found], dtype=np.float64)
    return mixed, np.array([len(row) for row in found], dtype=np.float64)


def literal_finding(id: str, texts: Sequence[str], whose: str) -> Finding:
    """R14: the share, its interval over texts, the families, and the article's own figure beside."""
    mixed, sizes = mixed_share(texts)
    share = 100 * mixed.sum() / max(1.0, sizes.sum())
    weights = sizes / max(1e-9, sizes.mean())
    spread = interval(100 * (mixed / np.maximum(sizes, 1)) * weights) if len(texts) > 1 else None
    counts = Counter(token for text in texts for token in tokens(text) if MIXED.match(token) or "." in token)
    families = {
        name: sum(n for token, n in counts.items() if pattern.search(token)) for name, pattern in FAMILIES.items()
    }
    article = [t for text in texts for t in text.lower().split() if ARTICLE_TOKEN.match(t)]
    by_article = 100 * sum(bool(MIXED.match(t)) for t in article) / max(1, len(article))
    top = [token for token, _ in counts.most_common(200) if MIXED.match(token)][:SHOWN]
    reading = f"{share:.2f} % of the {whose}' tokens mix letters and digits" + (
        f", such as {', '.join(top[:4])}." if top else "."
    )
    return finding(
        id,
        share,
        spread,
        reading,
        examples=top,
        families={k: v for k, v in families.items() if v},
        article_filter=round(by_article, 3),
    )


def vocabulary_finding(texts: Sequence[str], language: str) -> Finding:
    """R15: Kullback-Leibler divergence of the corpus' words from wordfreq's, in nats."""
    counts = Counter(word for text in texts for word in WORD.findall(text.lower()))
    total = max(1, sum(counts.values()))
    code = code_of(language)
    if code not in wordfreq.available_languages():
        code = code_of(ENGLISH)
    terms = {
        word: n / total * math.log(n / total / max(wordfreq.word_frequency(word, code), FLOOR))
        for word, n in counts.items()
    }
    divergence = sum(terms.values())
    own = [word for word, n in counts.items() if n / total >= OWN * wordfreq.word_frequency(word, code)]
    top = sorted(own, key=lambda word: -terms[word])[:SHOWN]
    strange = sum(n for word, n in counts.items() if wordfreq.word_frequency(word, code) == 0) / total
    reading = f"{divergence:.2f} nats from web text; the words that contribute most are {', '.join(top[:5])}."
    return finding(
        "R15-vocabulary", divergence, None, reading, terms={word: round(terms[word], 4) for word in top},
        unknown_words=round(strange, 4), tokens=total, smoothing=f"words unknown to wordfreq get {FLOOR:g}",
    )  # fmt: skip
