"""The truncation audit (R02): what an encoder would cut off without a word, counted by its own tokenizer.

Knows texts and where a tokenizer would cut them; nothing about vectors, and nothing is embedded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from resurvey.protocols import Tokenizer

WORST = 5
"""Texts that are named."""
SHOWN = 80
"""Characters shown of what such a text would lose."""
BLOCK = 1024
"""Texts that are tokenised at a time."""
CODE = re.compile(
    r"[{};]\s*$|^\s*(?:def|class|import|from|return|function|func|fn|public|private|static|package|#include)\b"
    r"|^\s*(?:if|for|while|else|elif|try|except|switch|case)\b.*[:{(]\s*$|\w\(.*\)\s*;?\s*$|[=!]=|=>|->|::|\+=|\w+ = \S"
)
CODE_LINES = 0.5
"""Share of its lines that look like code, from which a text is code."""


@dataclass(frozen=True, slots=True)
class Lost:
    """One text that would be cut: its tokens, how many are beyond the limit, where in the text that begins."""

    id: str
    tokens: int
    lost: int
    begins: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What would be cut of one kind of texts."""

    texts: int
    limit: int
    over: int
    tokens: int
    lost: int
    longest: int
    worst: tuple[Lost, ...]


def audit(texts: Sequence[tuple[str, str]], tokenizer: Tokenizer) -> Audit:
    """Count tokens beyond the limit; special tokens and the prompt are already taken from it.

    Args:
        texts: ids and texts.
    """
    limit = tokenizer.max_tokens
    tokens, lost, over, longest = 0, 0, 0, 0
    worst: list[Lost] = []
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        for (id, text), spans in zip(block, tokenizer.offsets([text for _, text in block]), strict=True):
            tokens += len(spans)
            longest = max(longest, len(spans))
            if len(spans) > limit:
                over += 1
                lost += len(spans) - limit
                begins = " ".join(text[spans[limit][0] :].split())[:SHOWN]
                worst.append(Lost(id, len(spans), len(spans) - limit, begins))
        worst = sorted(worst, key=lambda found: -found.lost)[:WORST]
    return Audit(len(texts), limit, over, tokens, lost, longest, tuple(worst))


def is_code(text: str) -> bool:
    """Whether at least half of a text's lines look like a programming language's."""
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(lines) and sum(bool(CODE.search(line)) for line in lines) >= CODE_LINES * len(lines)


def code_share(texts: Iterable[str]) -> float:
    """Share of the texts that are code; 0 for none."""
    found = [is_code(text) for text in texts]
    return sum(found) / len(found) if found else 0.0
