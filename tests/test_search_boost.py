"""Boosts move documents by what their fields say, by exactly so much, and never add or lose one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag import builder as built

from resurvey.search import recipe
from resurvey.search.boost import Boosts, by_asking, by_recency, by_value, freshness, standardised
from resurvey.search.fields import Fields
from resurvey.types import Document, Floats, Query, Ranking, Run

FACTS = (
    {"source": "WHO", "year": 2020, "updated": "2024-01-01"},
    {"source": "CDC", "year": 2021, "updated": "2023-01-01"},
    {"source": "UK", "year": 2022},
    {},
)
DOCUMENTS = tuple(Document(f"d{place}", f"masks and travel {place}", "", facts) for place, facts in enumerate(FACTS))


class Rows:
    """As much of an index as boosts look at."""

    def __init__(self) -> None:
        self.documents = DOCUMENTS
        self.rows = {document.id: place for place, document in enumerate(DOCUMENTS)}


def ranked(boosts: dict[str, list[object]], query: str = "masks", scores: tuple[float, ...] = (4, 3, 2, 1)) -> Ranking:
    values: Floats = np.array(scores, dtype=np.float32)
    run = Run("first", {"q": Ranking([d.id for d in DOCUMENTS], values)})
    made = Boosts(Rows(), Fields.of(DOCUMENTS), boosts)  # type: ignore[arg-type]
    return made.rerank([Query("q", query)], run)["q"]


def test_the_weight_of_a_value_is_added_to_the_standardised_score() -> None:
    found = ranked({"source": [by_value({"UK": 2.0, "WHO": -0.5})]})
    plain = standardised(np.array([4, 3, 2, 1], dtype=np.float32))
    assert list(found.documents) == ["d2", "d0", "d1", "d3"]
    assert found.scores.tolist() == pytest.approx([plain[2] + 2, plain[0] - 0.5, plain[1], plain[3]])
    assert found.stages["boosted"].ranks.tolist() == [1, 2, 3, 4]


def test_recent_documents_gain_by_their_age_before_the_newest() -> None:
    field = Fields.of(DOCUMENTS)["updated"]
    assert freshness(field, 365.0).tolist() == pytest.approx([1, 0.5, 0, 0])
    found = ranked({"updated": [by_recency(4.0, 365.0)]}, scores=(1, 2, 3, 4))
    assert list(found.documents) == ["d0", "d1", "d3", "d2"]


def test_what_a_query_asks_for_moves_only_what_meets_it() -> None:
    boosts: dict[str, list[object]] = {"year": [by_asking(3.0)]}
    assert list(ranked(boosts, "travel rules since 2021").documents) == ["d1", "d2", "d0", "d3"]
    assert list(ranked(boosts, "travel rules").documents) == ["d0", "d1", "d2", "d3"]


def test_equal_scores_keep_their_order_and_unknown_values_weigh_nothing() -> None:
    assert list(ranked({"source": [by_value({"nobody": 9.0})], "gone": [by_value({"x": 1.0})]}).documents) == ["d0", "d1", "d2", "d3"]  # fmt: skip
    assert list(ranked({}, scores=(1, 1, 1, 1)).documents) == ["d0", "d1", "d2", "d3"]


def test_a_boosted_recipe_is_built_and_described(tmp_path: Path) -> None:
    builder = built(tmp_path, DOCUMENTS)
    node = recipe.boosted(recipe.lexical(5), {"source": [by_value({"UK": 50.0})]})
    assert recipe.describe(node) == "(BM25) >> boosts of source"
    found = builder.node(node).search([Query("q", "masks and travel"), Query("none", "xyzzy")])
    assert next(iter(found["q"].documents)) == "d2"
    assert len(found["q"]) == 4
    assert len(found["none"]) == 0
