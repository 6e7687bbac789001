"""Near-duplicate documents: found by MinHash, verified by what they really share.

MinHash (Broder 1997) over word triples proposes pairs; the exact Jaccard similarity of their triples decides.
Documents join the cluster of a leader and never of another member, so no chain of small differences links what differs
much. What tells documents apart whatever they share (identifiers, numbers) comes in as a key: only equal keys
ever join. Knows texts; knows nothing about what an identifier is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from datasketch import MinHash, MinHashLSH

from resurvey.types import Document, Progress, silent

LIKE = 0.8
"""Share of all word triples of two documents that both must have (Jaccard)."""
TRIPLE = 3
PERMUTATIONS = 128
SPARE = 0.1
"""How far below the wanted similarity pairs are still looked at: estimates of it vary by about 0.04."""
FEW = 100
"""Documents of one key up to which every pair is verified without being proposed."""
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Documents that say the same, in the corpus' order; `least` is the smallest similarity to the first."""

    documents: tuple[str, ...]
    least: float


def duplicates(
    documents: Sequence[Document],
    key: Callable[[Document], Hashable],
    *,
    like: float = LIKE,
    progress: Progress = silent,
) -> tuple[Cluster, ...]:
    """The clusters of near-duplicates with two members or more, by first member; no document is in two.

    Args:
        key: what must be equal for two documents to be one whatever words they share.
        like: least Jaccard similarity of word triples, from 0 (exclusive) to 1.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, document in enumerate(documents):
        groups.setdefault(key(document), []).append(place)
    found: list[tuple[int, Cluster]] = []
    for done, places in enumerate(group for group in groups.values() if len(group) > 1):
        progress("looking for near-duplicates", done, len(groups))
        found += _clusters(documents, places, like)
    return tuple(cluster for _, cluster in sorted(found, key=lambda pair: pair[0]))


def _clusters(documents: Sequence[Document], places: Sequence[int], like: float) -> Iterator[tuple[int, Cluster]]:
    """The clusters among documents of one key, each with the place of its leader."""
    leaders = _Leaders(like, estimate=len(places) > FEW)
    members: dict[int, list[int]] = {}
    least: dict[int, float] = {}
    for place in places:
        leader, similarity = leaders.nearest(shingles(documents[place].full_text), place)
        members.setdefault(leader, []).append(place)
        least[leader] = min(least.get(leader, 1.0), similarity)
    for leader, joined in members.items():
        if len(joined) > 1:
            yield leader, Cluster(tuple(documents[place].id for place in joined), least[leader])


def shingles(text: str) -> frozenset[bytes]:
    """Every three neighbouring words of a text, case and punctuation aside; a shorter text is one shingle."""
    words = WORD.findall(text.casefold())
    spans = (words[place : place + TRIPLE] for place in range(max(1, len(words) - TRIPLE + 1)))
    return frozenset(" ".join(span).encode("utf-8", "surrogatepass") for span in spans)


def jaccard(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    """Shared shingles over all shingles; two texts without any are alike."""
    return len(one & other) / max(1, len(one | other)) if one or other else 1.0


class _Leaders:
    """The first document of every cluster, findable by what it resembles; equal texts are known at once."""

    def __init__(self, like: float, *, estimate: bool) -> None:
        self.like = like
        self._near = MinHashLSH(max(0.1, like - SPARE), PERMUTATIONS, weights=(0.2, 0.8)) if estimate else None
        self._plain = MinHash(PERMUTATIONS, hashfunc=zlib.crc32)
        self._texts: dict[int, frozenset[bytes]] = {}
        self._joined: dict[frozenset[bytes], int] = {}

    def nearest(self, triples: frozenset[bytes], place: int) -> tuple[int, float]:
        """The leader a document joins, the most alike one, and how alike they are; itself where it joins none."""
        if triples not in self._joined:
            self._joined[triples] = self._leader(triples, place)
        leader = self._joined[triples]
        return leader, jaccard(triples, self._texts[leader])

    def _leader(self, triples: frozenset[bytes], place: int) -> int:
        proposed: Sequence[int] = list(self._texts)
        signature = self._plain.copy()
        if self._near is not None:
            signature.update_batch(list(triples))
            proposed = self._near.query(signature)
        alike, leader = max(((jaccard(triples, self._texts[p]), -p) for p in proposed), default=(0.0, 0))
        if alike >= self.like:
            return -leader
        self._texts[place] = triples
        if self._near is not None:
            self._near.insert(place, signature)
        return place
