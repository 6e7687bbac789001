"""Codes (R14): how much of a corpus and of its queries is codes, numbers with letters and names, and of which kinds.

Knows texts; knows nothing about vectors or judgments.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resurvey.diagnose.levels import finding
from resurvey.evaluate.compare import interval
from resurvey.search.analyse import tokens
from resurvey.types import Doubles, Finding, Json

MIXED = re.compile(r"(?=.*[^\W\d_])(?=.*\d)")
ARTICLE_TOKEN = re.compile(r"^[a-z0-9]+$")
SHOWN = 12
LOOKED_AT = 2000
"""Texts in which families are looked for."""
NAMED = 3
"""Examples shown of a family."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of codes, and how it is written."""

    name: str
    pattern: re.Pattern[str]


FAMILIES = (
    Family("statute", re.compile(r"\b\d+ ?(?:U\.?S\.?C\.?|C\.?F\.?R\.?) ?§{0,2} ?\d[\w.\-]*|§{1,2} ?\d[\w.\-]*")),
    Family("diagnosis (ICD)", re.compile(r"\b[A-TV-Z]\d\d\.\d{1,4}\b")),
    Family("ticker", re.compile(r"(?<!\w)\$[A-Z]{2,5}\b(?![/_])|\b(?:NYSE|NASDAQ|Nasdaq|LSE|AMEX) ?: ?[A-Z.]{1,6}\b")),
    Family("CVE, CWE or technique", re.compile(r"\b(?:CVE-\d{4}-\d{4,}|CWE-\d+|TA?\d{4}(?:\.\d{3})?)\b")),
    Family("version", re.compile(r"\bv\d+(?:\.\d+)*\b|\b\d+\.\d+\.\d+(?:[-+.]\w+)*\b")),
    Family(
        "function or variable name",
        re.compile(r"\b(?=\w*[a-z])[a-zA-Z]\w*_\w+\b|\b[a-z]{2,}(?:[A-Z][a-z0-9]+)+\b|\b[a-zA-Z_]\w*(?:\.[a-zA-Z_]\w*)*\(\)"),
    ),
    Family(
        "quantity with a unit",
        re.compile(r"\b\d+(?:[.,]\d+)? ?(?:[mkµn]?[glmWVAs]|[kMGT]?i?B|[kMG]?Hz|kg|[cm]m|mmol|dB|psi|rpm|°[CF]|oz|lbs?|ft)\b"),
    ),
    Family(
        "part or stock number",
        re.compile(r"(?<![\w./-])(?=[A-Z\d/-]*(?:[A-Z]\d|\d[A-Z]|\d{3}))(?=[A-Z\d/-]*[A-Z])[A-Z\d]+(?:[-/][A-Z\d]+)+(?![\w/-])|\b(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z\d]{6,}\b"),
    ),
)  # fmt: skip
"""The first family that claims a place in a text has it."""


def mixed_share(texts: Sequence[str]) -> tuple[Doubles, Doubles, Counter[str]]:
    """Per text, the number of tokens with letters and digits, and the number of tokens; and those tokens, counted."""
    seen: Counter[str] = Counter()
    mixed, sizes = np.zeros(len(texts)), np.zeros(len(texts))
    for place, text in enumerate(texts):
        row = tokens(text)
        found = [token for token in row if MIXED.match(token)]
        seen.update(found)
        mixed[place], sizes[place] = len(found), len(row)
    return mixed, sizes, seen


def families(texts: Sequence[str]) -> Json:
    """Families of codes that are there: how often each occurs, in how many texts, and its commonest members.

    Of many texts `LOOKED_AT`, evenly spread, are looked at.
    """
    texts = texts[:: max(1, len(texts) // LOOKED_AT)][:LOOKED_AT]
    members = {family.name: Counter[str]() for family in FAMILIES}
    within = Counter[str]()
    for text in texts:
        left = text
        for family in FAMILIES:
            found = [match.group().strip() for match in family.pattern.finditer(left)]
            if found:
                members[family.name].update(found)
                within[family.name] += 1
                left = family.pattern.sub(" ", left)
    return {
        name: {
            "occurrences": sum(counts.values()),
            "texts": within[name],
            "examples": [example for example, _ in counts.most_common(NAMED)],
        }
        for name, counts in members.items()
        if counts
    }


def literal_finding(id: str, texts: Sequence[str], whose: str) -> Finding:
    """R14: the share, its interval over texts, the families, and the article's own figure beside.

    The article's filter drops every token with punctuation inside, `F33.1` among them; what it would report is shown.
    """
    mixed, sizes, counts = mixed_share(texts)
    share = 100 * mixed.sum() / max(1.0, sizes.sum())
    weights = sizes / max(1e-9, sizes.mean())
    spread = interval(100 * (mixed / np.maximum(sizes, 1)) * weights) if len(texts) > 1 else None
    article = [t for text in texts for t in text.lower().split() if ARTICLE_TOKEN.match(t)]
    by_article = 100 * sum(bool(MIXED.match(t)) for t in article) / max(1, len(article))
    top = [token for token, _ in counts.most_common(SHOWN)]
    kinds = families(texts)
    reading = f"{share:.2f} % of the {whose}' tokens mix letters and digits" + (
        f", such as {', '.join(top[:4])}." if top else "."
    )
    if kinds:
        looked, most = min(len(texts), LOOKED_AT), sorted(kinds, key=lambda name: -kinds[name]["texts"])[:2]
        named = (
            f"{name} ({kinds[name]['examples'][0]}) in {100 * kinds[name]['texts'] / looked:.0f} %" for name in most
        )
        reading += f" Families: {', '.join(named)} of the texts."
    return finding(
        id, share, spread, reading, queries=len(texts), of="queries" if whose == "queries" else "documents", examples=top, families=kinds,
        article_filter=round(by_article, 3),
    )  # fmt: skip
