"""Stand-in queries: known-item queries made from titles and first sentences (Azzopardi et al., 2007).

Where nobody judged anything, a document's own head stands in for a question about it, asked of a
corpus in which that document has lost its head. Such queries choose a fusion weight about as well
as judged ones (docs/decisions.md); their absolute scores mean nothing. Knows nothing about search.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from resurvey.types import Document, Query

DOCSTRING = re.compile(r"(\"\"\"|''')(.+?)(\1|\Z)", re.DOTALL)
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
CODE_PREFIX = re.compile(r"^[\w.\-/]*\d[\w.\-/]*\s+")
MARKUP = re.compile(r"<!--.*?(-->|\Z)|^\s*#+\s|[`*_\[\]]+", re.DOTALL)
"""What nobody types who looks for a page: comments, heading marks, emphasis."""
SHORT_WORD = 4
QUERY_WORDS, DOCUMENT_WORDS = 2, 5
KEYWORDS = (3, 6)
MIXED = "keywords"


@dataclass(frozen=True, slots=True)
class StandIns:
    """Queries, the document each wants, its generator, and the corpus with those documents' heads cut off."""

    queries: tuple[Query, ...]
    wanted: tuple[str, ...]
    groups: tuple[str, ...]
    documents: tuple[Document, ...]


def title_query(document: Document) -> tuple[str, Document] | None:
    """The last part of the title asks; the document keeps the parts before it and its text."""
    parts = document.title.split(" > ")
    asked = CODE_PREFIX.sub("", parts[-1]).strip()
    return _usable(asked, replace(document, title=" > ".join(parts[:-1])))


def head_query(document: Document) -> tuple[str, Document] | None:
    """The first sentence asks, of a docstring where the text is code; the document loses it."""
    docstring = DOCSTRING.search(document.text)
    if docstring:
        asked = SENTENCE.split(docstring.group(2).strip())[0]
        rest = document.text[: docstring.start()] + document.text[docstring.end() :]
    else:
        asked, *others = SENTENCE.split(document.text.strip(), maxsplit=1)
        rest = others[0] if others else ""
    return _usable(asked, replace(document, text=rest))


GENERATORS = {"title": title_query, "first sentence": head_query}


def _usable(asked: str, rest: Document) -> tuple[str, Document] | None:
    asked = MARKUP.sub(" ", asked).strip()
    if len(asked.split()) < QUERY_WORDS or len(rest.full_text.split()) < DOCUMENT_WORDS or not rest.text.strip():
        return None
    return asked, rest


def stand_ins(documents: Sequence[Document], count: int, seed: int) -> StandIns:
    """About `count` queries: each generator asks about documents of its own, in full and in keywords."""
    rng = np.random.default_rng(seed)
    altered: dict[str, Document] = {}
    rows: list[tuple[Query, str, str]] = []
    order = [documents[place] for place in rng.permutation(len(documents))]
    each = max(1, count // (2 * len(GENERATORS)))
    for name, generate in GENERATORS.items():
        made = 0
        for document in order:
            if made == each or len(altered) >= len(documents) - 1:
                break
            if document.id in altered or (found := generate(document)) is None:
                continue
            asked, altered[document.id] = found
            made += 1
            rows.append((Query(f"{name}:{document.id}", asked), document.id, name))
            rows.append(
                (Query(f"{name}, {MIXED}:{document.id}", keywords(asked, rng)), document.id, f"{name}, {MIXED}")
            )
    cut = tuple(altered.get(document.id, document) for document in documents)
    return StandIns(tuple(r[0] for r in rows), tuple(r[1] for r in rows), tuple(r[2] for r in rows), cut)


def keywords(asked: str, rng: np.random.Generator, counts: tuple[int, int] = KEYWORDS) -> str:
    """So many of the longer words (between both `counts`), in order: users type shorthand, not sentences."""
    words = [word for word in asked.split() if len(word) >= SHORT_WORD] or asked.split()
    count = min(len(words), int(rng.integers(counts[0], counts[1] + 1)))
    return " ".join(words[place] for place in sorted(rng.choice(len(words), count, replace=False)))
