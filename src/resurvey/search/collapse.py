"""Near-duplicates collapsed: of every cluster the best-ranked document stays, its twins leave the ranking.

Which one stays is decided anew for every query, so nothing is lost: each can still be found, by
whatever finds it before its twins. Knows clusters; knows nothing about how they were found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from resurvey.protocols import Retriever
from resurvey.search.compose import Composable
from resurvey.search.trace import timed
from resurvey.types import Query, Ranking, Run, Stage

NAME = "collapsed"
Clusters = Sequence[Sequence[str]]


def dump_clusters(clusters: Clusters) -> bytes:
    """Clusters of document ids as an artefact."""
    return json.dumps([list(members) for members in clusters], ensure_ascii=False).encode("utf-8")


def load_clusters(data: bytes) -> tuple[tuple[str, ...], ...]:
    """What `dump_clusters` wrote."""
    return tuple(tuple(members) for members in json.loads(data))


class Collapsed(Composable):
    """What a retriever finds, one document of every cluster."""

    name = NAME

    def __init__(self, first: Retriever, clusters: Clusters) -> None:
        self.first = first
        self.cluster = numbered(clusters)
        self._members = [tuple(members) for members in clusters]

    @timed
    def search(self, queries: Sequence[Query]) -> Run:
        """The first retriever's documents without lower-ranked twins; never other ones instead."""
        return collapse(self.first.search(queries), self.cluster)

    def twins(self, document: str) -> tuple[str, ...]:
        """The documents that say the same as this one."""
        place = self.cluster.get(document)
        return () if place is None else tuple(d for d in self._members[place] if d != document)


def numbered(clusters: Clusters) -> dict[str, int]:
    """The cluster number of every clustered document."""
    return {document: place for place, members in enumerate(clusters) for document in members}


def collapse(run: Run, cluster: Mapping[str, int]) -> Run:
    """A finished run with the best-ranked member of every cluster only."""
    return Run(NAME, {query: collapsed(ranking, cluster) for query, ranking in run.rankings.items()})


def collapsed(ranking: Ranking, cluster: Mapping[str, int]) -> Ranking:
    """One ranking with the best-ranked member of every cluster only; ranks of this stage count what stayed."""
    seen: set[int] = set()
    kept: list[int] = []
    for place, document in enumerate(ranking.documents):
        number = cluster.get(document)
        if number is None or number not in seen:
            kept.append(place)
        if number is not None:
            seen.add(number)
    rows = np.array(kept, dtype=np.int64)
    scores = ranking.scores[rows]
    stages = {name: Stage(stage.ranks[rows], stage.scores[rows]) for name, stage in ranking.stages.items()}
    own = Stage(np.arange(1, len(rows) + 1, dtype=np.int64), scores)
    return Ranking([ranking.documents[place] for place in kept], scores, {**stages, NAME: own})
