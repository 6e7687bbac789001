"""Collapse: of every cluster the best-ranked document stays, for each query its own; nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bag import builder as built
from hypothesis import given, settings
from hypothesis import strategies as st

from resurvey.search import recipe
from resurvey.search.collapse import Collapsed, collapsed, dump_clusters, load_clusters, numbered
from resurvey.types import Document, Query, Ranking, Stage

CLUSTERS = (("d0", "d1", "d2"), ("d5", "d7"))


def ranking(documents: list[str]) -> Ranking:
    scores = np.linspace(2, 1, len(documents), dtype=np.float32)
    ranks = np.arange(1, len(documents) + 1, dtype=np.int64)
    return Ranking(documents, scores, {"first": Stage(ranks, scores)})


@settings(max_examples=60, deadline=None)
@given(st.permutations([f"d{place}" for place in range(9)]), st.integers(0, 9))
def test_the_first_of_every_cluster_stays_and_only_twins_leave(order: list[str], count: int) -> None:
    before = ranking(order[:count])
    after = collapsed(before, numbered(CLUSTERS))
    kept = [d for p, d in enumerate(order[:count]) if not any(d in c and set(c) & set(order[:p]) for c in CLUSTERS)]
    assert list(after.documents) == kept
    scores = dict(zip(before.documents, before.scores.tolist(), strict=True))
    assert after.scores.tolist() == [scores[d] for d in kept]
    assert [hit.stages["first"][0] for hit in after] == [order.index(d) + 1 for d in kept]
    assert [hit.stages["collapsed"][0] for hit in after] == list(range(1, len(kept) + 1))


def test_clusters_are_an_artefact_and_the_recipe_names_it(tmp_path: Path) -> None:
    assert load_clusters(dump_clusters(CLUSTERS)) == CLUSTERS
    builder = built(tmp_path, [Document(f"d{place}", f"valve number p{place} pump") for place in range(9)])
    node = recipe.collapsed(recipe.lexical(9), builder.artefacts.put(dump_clusters(CLUSTERS)))
    assert recipe.describe(node) == "(BM25) >> near-duplicates collapsed"
    retriever = builder.node(node)
    assert isinstance(retriever, Collapsed)
    found = retriever.search([Query("one", "valve"), Query("other", "p1 valve")])
    assert len(found["one"]) == 6
    assert next(iter(found["other"].documents)) == "d1"
    assert not {"d0", "d2"} & set(found["other"].documents)
    assert retriever.twins("d1") == ("d0", "d2")
    assert retriever.twins("d4") == ()
