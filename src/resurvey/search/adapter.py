"""The query-side adapter (R93): a linear map of query vectors over frozen document vectors; nothing is re-indexed.

A query vector q becomes q + (q · down) · up, unit length again. With nothing learned it is the identity.
Knows nothing about how it was fitted.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from resurvey.types import Floats


@dataclass(frozen=True, slots=True)
class Adapter:
    """What is added to a query vector: `down` (dimensions, rank), then `up` (rank, dimensions)."""

    down: Floats
    up: Floats

    @property
    def dimensions(self) -> int:
        """Length of the vectors it maps."""
        return len(self.down)

    @property
    def rank(self) -> int:
        """Directions in which it moves queries."""
        return len(self.up)

    def moved(self, vectors: Floats) -> Floats:
        """Query vectors (queries, dimensions), mapped, unit length again."""
        found = vectors + (vectors @ self.down) @ self.up
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(lengths, 1e-12), dtype=np.float32)

    def dump(self) -> bytes:
        """As an artefact; the same numbers give the same bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, down=self.down, up=self.up)
        return buffer.getvalue()


def load_adapter(data: bytes) -> Adapter:
    """What `dump` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Adapter(file["down"], file["up"])
