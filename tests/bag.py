"""An encoder of words alone, for tests: every word has a direction of its own, a text is the mean of its words.

It needs no model and loads in no time, and its neighbours can be told by reading.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resurvey.protocols import Kind
from resurvey.search.builder import Builder
from resurvey.search.index import Index, open_index
from resurvey.settings import Settings, defaults
from resurvey.types import Document, Floats
from resurvey.workspace import Artefacts

WORD = re.compile(r"\w+")


class Bag:
    """Hashed words in `dimensions` directions."""

    name = "bag"
    fingerprint = "bag-of-words-1"
    dimensions = 64
    max_tokens = 1_000

    def prompt(self, kind: Kind) -> str:
        """Nothing."""
        return ""

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Every word is a token."""
        return [[found.span() for found in WORD.finditer(text)] for text in texts]

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        """Unit vectors."""
        found = np.full((len(texts), self.dimensions), 1e-6, dtype=np.float32)
        for place, text in enumerate(texts):
            for word in WORD.findall(text.casefold()):
                rng = np.random.default_rng(zlib.crc32(word.encode("utf-8")))
                found[place] += rng.standard_normal(self.dimensions).astype(np.float32)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def settings(**changed: float | str) -> Settings:
    """Settings for tiny corpora."""
    return Settings({**defaults(), "depth": 20, "folds": 3, "passage_tokens": 128, "language": "english", **changed})


def builder(folder: Path, documents: Sequence[Document], **changed: float | str) -> Builder:
    """An index over documents, opened."""
    index: Index = open_index(folder / "index", documents, Bag(), settings(**changed))
    return Builder(index, Artefacts(folder / "artefacts"))
