"""The protocols: what an encoder, a retriever, a reranker must be able to do. No base classes.

Knows the nouns; knows nothing about who implements them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from resurvey.types import Floats, Query, Run

Kind: TypeAlias = Literal["query", "passage"]


class Tokenizer(Protocol):
    """Where a text may be cut: the part of an encoder that chunking needs."""

    @property
    def max_tokens(self) -> int:
        """The most tokens of one text that reach the vector, special tokens and prompt left out."""
        ...

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Character spans [start, end) of every token of every text, untruncated."""
        ...


class Encoder(Tokenizer, Protocol):
    """Text to unit-length float32 vectors of one fixed space."""

    @property
    def name(self) -> str:
        """What the user called it: a folder, a hub name, or `bundled`."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of its vectors."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that changes a vector; equal means interchangeable vectors."""
        ...

    def prompt(self, kind: Kind) -> str:
        """What the model wants before a query or before a passage; often nothing."""
        ...

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        """Unit vectors of shape (texts, dimensions); the prompt of `kind` is put before each text."""
        ...


class Retriever(Protocol):
    """Queries to a `Run`; compose with `a >> b`, where b reorders what a found."""

    @property
    def name(self) -> str:
        """The name its stage carries in explanations."""
        ...

    def search(self, queries: Sequence[Query]) -> Run:
        """Documents for every query; a query nothing matches has an empty ranking."""
        ...


class Reranker(Protocol):
    """Reorders the documents of a run; never adds any."""

    @property
    def name(self) -> str:
        """The name its stage carries in explanations."""
        ...

    def rerank(self, queries: Sequence[Query], run: Run) -> Run:
        """The same documents in another order."""
        ...
