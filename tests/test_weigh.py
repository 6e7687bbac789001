"""The fusion weight goes to the branch that is right, and stays blind where little is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from resurvey.evaluate.measures import score
from resurvey.search.fuse import Convex, fuse
from resurvey.treat.weigh import BLIND, GRID, HALFWAY, TRUST, WeightTable, nearest, weight_table
from resurvey.types import Ranking, Run

MEASURE = "nDCG@10"
DOCUMENTS = 12
SEED = 13


def run(name: str, orders: Sequence[Sequence[int]]) -> Run:
    """Rankings of documents by number; scores fall at another pace for every name, so that fusion meets no ties."""
    scores = np.linspace(3, 1, DOCUMENTS, dtype=np.float32) ** len(name)
    rankings = {f"q{q}": Ranking([f"d{d}" for d in order], scores[: len(order)]) for q, order in enumerate(orders)}
    return Run(name, rankings)


def orders(queries: int, *, perfect: bool) -> list[list[int]]:
    """Orders of the documents at random; the wanted one (number q) first, or in the lower half."""
    rng = np.random.default_rng(3)
    made = []
    for query in range(queries):
        others = [d for d in rng.permutation(DOCUMENTS).tolist() if d != query % DOCUMENTS]
        place = 0 if perfect else int(rng.integers(DOCUMENTS // 2, DOCUMENTS))
        made.append([*others[:place], query % DOCUMENTS, *others[place:]])
    return made


def wanted(queries: int) -> dict[str, dict[str, int]]:
    return {f"q{q}": {f"d{q % DOCUMENTS}": 1} for q in range(queries)}


def table(queries: int, *, second_is_right: bool) -> WeightTable:
    right, wrong = orders(queries, perfect=True), orders(queries, perfect=False)
    first, second = (wrong, right) if second_is_right else (right, wrong)
    return weight_table(run("lexical", first), run("dense", second), wanted(queries), MEASURE)


@pytest.mark.parametrize("second_is_right", [True, False])
def test_the_ends_of_the_grid_score_each_branch_alone(second_is_right: bool) -> None:
    values = table(60, second_is_right=second_is_right).values
    assert values.shape == (60, len(GRID))
    right, wrong = (-1, 0) if second_is_right else (0, -1)
    assert values[:, right].tolist() == [1.0] * 60
    assert values[:, wrong].max() < 0.4


@pytest.mark.parametrize("column", [0, 5, 10, 17, 20])
def test_every_column_is_what_convex_fusion_at_that_weight_scores(column: int) -> None:
    first, second = run("lexical", orders(20, perfect=False)), run("dense", orders(20, perfect=True))
    weight = float(GRID[column])
    fused = fuse([first, second], Convex({"lexical": 1 - weight, "dense": weight}), DOCUMENTS)
    expected = score(fused, wanted(20), [MEASURE])[MEASURE].values
    found = weight_table(first, second, wanted(20), MEASURE).values[:, column]
    assert np.allclose(found, expected, atol=1e-6)


def test_weight_goes_to_the_branch_that_is_perfect() -> None:
    places = np.arange(400)
    to_second = table(400, second_is_right=True).judged_weight(places, SEED, BLIND)
    to_first = table(400, second_is_right=False).judged_weight(places, SEED, BLIND)
    assert to_second >= 0.7
    assert to_first <= 0.3


def test_only_the_places_asked_about_count() -> None:
    values = np.zeros((100, len(GRID)))
    values[:50, 0] = values[50:, -1] = 1.0
    found = WeightTable(values)
    assert found.mean_best(np.arange(50), SEED) == 0.0
    assert found.mean_best(np.arange(50, 100), SEED) == 1.0


def test_equal_weights_share_the_choice() -> None:
    assert WeightTable(np.ones((30, len(GRID)))).mean_best(np.arange(30), SEED) == pytest.approx(0.5)


def test_without_judged_places_the_weight_is_the_blind_one() -> None:
    nowhere = np.zeros(0, dtype=np.int64)
    assert table(10, second_is_right=True).judged_weight(nowhere, SEED, BLIND) == BLIND
    assert table(10, second_is_right=True).standin_weight(nowhere, [], SEED, BLIND) == BLIND


def test_few_queries_move_the_weight_less_than_many() -> None:
    values = np.zeros((1000, len(GRID)))
    values[:, -1] = 1.0
    weights = [WeightTable(values).judged_weight(np.arange(n), SEED, BLIND) for n in (1, 5, HALFWAY, 100, 1000)]
    assert weights == sorted(weights)
    assert weights[0] == BLIND  # one query moves it by less than half a step
    assert weights[2] == nearest((1 + BLIND) / 2)
    assert weights[-1] == 1.0


def test_stand_ins_never_move_the_weight_all_the_way() -> None:
    values = np.zeros((1000, len(GRID)))
    values[:, 0] = 1.0
    found = WeightTable(values).standin_weight(np.arange(1000), ["title"] * 1000, SEED, BLIND)
    assert found == nearest(BLIND * (1 - TRUST)) > 0.0


def test_every_generator_has_one_vote_however_many_queries_it_made() -> None:
    values = np.zeros((100, len(GRID)))
    values[:90, 0] = values[90:, -1] = 1.0
    groups = ["title"] * 90 + ["first sentence"] * 10
    found = WeightTable(values).standin_weight(np.arange(100), groups, SEED, BLIND)
    assert found == nearest(BLIND + TRUST * (0.5 - BLIND))
    only = WeightTable(values).standin_weight(np.arange(90, 100), groups, SEED, BLIND)
    assert only == nearest(BLIND + TRUST * (1.0 - BLIND))


def test_a_query_that_neither_branch_answers_scores_zero_at_every_weight() -> None:
    first, second = run("lexical", [[0, 1], []]), run("dense", [[0, 1], []])
    values = weight_table(first, second, {"q0": {"d0": 1}, "q1": {"d1": 1}}, MEASURE).values
    assert values[0].tolist() == [1.0] * len(GRID)
    assert not values[1].any()


@pytest.mark.parametrize(("weight", "expected"), [(-0.2, 0.0), (0.12, 0.1), (0.13, 0.15), (0.55, 0.55), (1.4, 1.0)])
def test_nearest_is_on_the_grid(weight: float, expected: float) -> None:
    assert nearest(weight) == expected
