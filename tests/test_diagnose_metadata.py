"""Metadata signals: a field that tells is found with what it prefers, one that does not is not, ids never are."""

from __future__ import annotations

import numpy as np
import pytest

from resurvey.diagnose.metadata import metadata_finding
from resurvey.search.fields import Fields
from resurvey.types import Document, Finding, Query, Ranking, Run, Scalar

COUNT = 60


def taken(rows: dict[str, list[Scalar]], *, known: bool = True, queries: int = COUNT, mixed: bool = False) -> Finding:
    """Query n finds documents 2n (relevant) and 2n + 1 (wrong), which carry these fields; the wrong one first, or in turn."""
    documents = [
        Document(f"d{place}", "text", "", {name: values[place] for name, values in rows.items()})
        for place in range(2 * COUNT)
    ]
    asked = [Query(f"q{n}", f"query number {n} about thing {n * 7}") for n in range(queries)]
    rankings = {}
    for n in range(queries):
        order = [f"d{2 * n + 1}", f"d{2 * n}"]
        rankings[f"q{n}"] = Ranking(order[:: -1 if mixed and n % 2 else 1], np.array([2, 1], dtype=np.float32))
    qrels = {f"q{n}": {f"d{2 * n}": 1} for n in range(queries)}
    places = {document.id: place for place, document in enumerate(documents)}
    return metadata_finding(Run("dense", rankings), asked, qrels, Fields.of(documents), places, seed=13, known=known)


def status(rng: np.random.Generator, right: float) -> list[Scalar]:
    """Relevant documents are current this often, wrong ones as often superseded."""
    return [
        str("current" if (rng.random() < right) == (place % 2 == 0) else "superseded") for place in range(2 * COUNT)
    ]


def test_a_planted_field_is_found_beside_noise_and_ids() -> None:
    rng = np.random.default_rng(1)
    found = taken({
        "status": status(rng, 0.95),
        "colour": [str(rng.choice(["red", "blue", "green"])) for _ in range(2 * COUNT)],
        "id": [f"id-{place}" for place in range(2 * COUNT)],
    })  # fmt: skip
    assert found.level == "confirmed"
    assert found.suggests == "metadata"
    assert "`status`" in found.reading
    assert "'current'" in found.reading
    told = {row["field"]: row for row in found.evidence["fields"]}
    assert set(told) == {"status", "colour"}
    assert told["status"]["auc"] > 0.85
    assert abs(told["colour"]["auc"] - 0.5) < 0.15


@pytest.mark.parametrize(("step", "says"), [(1, "newer"), (-1, "older")])
def test_a_date_tells_in_either_direction(step: int, says: str) -> None:
    dates: list[Scalar] = [
        f"{2015 + step * (5 if place % 2 == 0 else 0)}-0{1 + place % 9}-01" for place in range(2 * COUNT)
    ]
    found = taken({"date": dates})
    assert found.value == 1.0
    assert f"Relevant ones are {says}." in found.reading


def test_what_a_planted_field_brings_is_measured_as_a_boost_and_as_a_filter() -> None:
    found = taken({"status": status(np.random.default_rng(1), 1.0)})
    brought = {row["kind"]: row for row in found.evidence["effects"]}
    most = 100 * (1 - 1 / np.log2(3))  # every right document stands second
    assert brought["boost"]["points"] == pytest.approx(most)
    assert brought["filter"]["points"] == pytest.approx(most)
    assert brought["filter"]["values"] == ["superseded"]
    assert "As a boost it brings +36.9 points of NDCG@10 (+36.9 to +36.9)." in found.reading
    assert "Leaving out 'superseded' brings +36.9 points" in found.reading


def test_a_field_that_tells_nothing_brings_nothing_and_leaves_nothing_out() -> None:
    gains = []
    for seed in range(20):
        (boost,) = taken({"status": status(np.random.default_rng(seed), 0.5)}, mixed=True).evidence["effects"]
        assert boost["kind"] == "boost"
        gains.append(boost["low"] > 0)
    assert sum(gains) <= 1
    assert taken({"status": status(np.random.default_rng(1), 1.0)}, known=False).evidence["effects"] == []


def test_a_date_is_boosted_and_never_left_out() -> None:
    dates: list[Scalar] = [f"{2020 - 5 * (place % 2)}-0{1 + place % 9}-01" for place in range(2 * COUNT)]
    (boost,) = taken({"date": dates}).evidence["effects"]
    assert boost["kind"] == "boost"
    assert boost["low"] > 20


def test_what_tells_nothing_is_never_confirmed() -> None:
    levels = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows: dict[str, list[Scalar]] = {
            "size": [float(rng.normal()) for _ in range(2 * COUNT)],
            "status": status(rng, 0.5),
        }
        levels.append(taken(rows).level)
    assert "confirmed" not in levels


def test_a_planted_field_is_confirmed_in_most_draws() -> None:
    levels = [taken({"status": status(np.random.default_rng(seed), 0.97)}).level for seed in range(20)]
    assert levels.count("confirmed") >= 19


def test_without_fields_queries_or_judgments_nothing_is_claimed() -> None:
    assert (taken({}).value, taken({}).level) == (None, "unknown")
    assert "carry no fields" in taken({}).reading
    few = taken({"status": status(np.random.default_rng(1), 1.0)}, queries=5)
    assert (few.value, few.level) == (None, "unknown")
    assert taken({"status": status(np.random.default_rng(1), 1.0)}, known=False).level == "unknown"
