"""Splits and folds keep near-duplicates on one side, place every judged query, and say what they cannot show."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.data.split import (
    ENOUGH_FOR_DEV,
    EVALUATION_QUERIES,
    clusters,
    documents_by,
    folds,
    positives,
    qrels_of,
    split,
    unseen,
)
from resurvey.types import Document, Judgment, Query, Scalar

SOME = tried(max_examples=50, deadline=None, derandomize=True, database=None)
Graded = dict[str, dict[str, int]]


def asked(*texts: str) -> list[Query]:
    return [Query(f"q{place}", text) for place, text in enumerate(texts)]


def distinct(count: int, each: int = 2) -> tuple[dict[str, Query], Graded]:
    """Queries of words of their own; every `each` of them want one document."""
    queries = {f"q{n}": Query(f"q{n}", f"topic{n} thing{n}") for n in range(count)}
    return queries, {query: {f"d{place // each}": 1} for place, query in enumerate(queries)}


def words(text: str) -> list[str]:
    return sorted(re.findall(r"\w+", text.lower()))


def test_qrels_keep_the_order_of_the_judgments() -> None:
    rows = [Judgment("b", "y", 1), Judgment("a", "x", 0), Judgment("b", "x", 4)]
    made = qrels_of(rows)
    assert made == {"b": {"y": 1, "x": 4}, "a": {"x": 0}}
    assert list(made) == ["b", "a"]


def test_positives_are_the_documents_graded_one_or_more() -> None:
    graded = {"a": {"x": 1, "y": 0, "z": 4}, "b": {"x": 0}}
    assert positives(graded) == {"a": frozenset({"x", "z"}), "b": frozenset()}


def test_unseen_are_the_queries_that_share_no_relevant_document_with_training() -> None:
    training = {"t": {"x": 1, "y": 0}, "u": {"w": 2}}
    tested = {
        "shares x": {"x": 1, "z": 1},
        "x irrelevant": {"x": 0, "z": 1},
        "y irrelevant in training": {"y": 1},
        "shares w": {"w": 4},
    }
    assert unseen(tested, training) == {"x irrelevant", "y irrelevant in training"}
    assert unseen(tested, {}) == set(tested)


def test_the_same_words_in_another_order_case_or_punctuation_are_one_cluster() -> None:
    found = clusters(asked("Replace the pump, seal!", "seal the pump; replace", "gasket torque", "GASKET  torque?"))
    assert found[0] == found[1] != found[2] == found[3]


def test_queries_that_share_only_some_words_are_apart() -> None:
    found = clusters(asked("pump leak", "pump noise", "valve leak", "!!!", "???"))
    assert len(set(found.tolist())) == 5


def test_near_duplicates_of_near_duplicates_share_a_cluster() -> None:
    long = [f"word{n}" for n in range(40)]
    chain = [" ".join(long[:37]), " ".join(long[1:38]), " ".join(long[2:39]), " ".join(long[3:40])]
    assert len(set(clusters(asked(*chain, "something else")).tolist())) == 2


def test_clusters_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = asked(*(f"topic{n % 5} thing{n % 5}" for n in range(17)))
    monkeypatch.setattr("resurvey.data.split.BLOCK", 4)
    found = clusters(queries)
    assert found.tolist() == [int(found[n % 5]) for n in range(17)]
    assert len(set(found.tolist())) == 5


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_queries_to_compare_are_clusters_of_their_own(count: int) -> None:
    assert clusters(asked(*["x"] * count)).tolist() == [0] * count


TEXTS = st.lists(
    st.lists(st.sampled_from(["pump", "Valve", "leak", "2-b", "ROTOR!", "é"]), min_size=1, max_size=4).map(" ".join)
    | st.text(min_size=1, max_size=8).filter(lambda text: bool(text.strip())),
    max_size=30,
)


@SOME
@given(TEXTS, st.integers(2, 6), st.integers(0, 3))
def test_folds_hold_every_query_and_keep_equal_ones_together(texts: list[str], count: int, seed: int) -> None:
    queries = asked(*texts)
    fold = folds(queries, count, seed)
    assert fold.shape == (len(queries),)
    assert np.isin(fold, np.arange(count)).all()
    sides: dict[tuple[str, ...], int] = {}
    for query, side in zip(queries, fold.tolist(), strict=True):
        if words(query.text):
            assert sides.setdefault(tuple(words(query.text)), side) == side
    assert np.array_equal(fold, folds(queries, count, seed))


def test_folds_even_out_and_change_with_the_seed() -> None:
    queries = list(distinct(23)[0].values())
    assert sorted(np.bincount(folds(queries, 5, 1)).tolist()) == [4, 4, 5, 5, 5]
    assert not np.array_equal(folds(queries, 5, 1), folds(queries, 5, 2))
    lumps = asked(*["pump leak"] * 6, *(f"topic{n}" for n in range(6)))
    assert np.bincount(folds(lumps, 2, 1)).tolist() == [6, 6]


@SOME
@given(TEXTS, st.integers(0, 3), st.data())
def test_a_split_places_every_judged_query_once(texts: list[str], seed: int, data: st.DataObject) -> None:
    queries = {query.id: query for query in asked(*texts)}
    grades = st.dictionaries(st.sampled_from("vwxyz"), st.integers(0, 2), min_size=1, max_size=3)
    graded = {query: data.draw(grades) for query in queries}
    divided = split(graded, queries, seed).qrels
    placed = [query for part in divided.values() for query in part]
    judged = [query for query, relevant in positives(graded).items() if relevant]
    assert sorted(placed) == sorted(judged)
    assert all(part[query] == graded[query] for part in divided.values() for query in part)
    side = {query: name for name, part in divided.items() for query in part}
    home: dict[tuple[str, ...], str] = {}
    for query in judged:
        if words(queries[query].text):
            assert home.setdefault(tuple(words(queries[query].text)), side[query]) == side[query]
    assert len(divided.get("test", {})) <= len(judged) // 2
    assert split(graded, queries, seed).qrels == divided


def test_few_judged_queries_are_halved_and_have_no_dev_side() -> None:
    queries, graded = distinct(101)
    made = split(graded, queries, 13)
    assert {name: len(part) for name, part in made.qrels.items()} == {"train": 51, "test": 50}
    fresh = len(unseen(made.qrels["test"], made.qrels["train"]))
    assert fresh >= 20
    assert made.statement == (
        "Split here by query, near-duplicate queries kept on one side: 51 train, 0 dev, 50 test "
        f"({fresh} of them with documents unseen in training). Too few labels for a dev side: selection is "
        "cross-fitted on the training side. A test side of 50 queries shows only large differences."
    )


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (ENOUGH_FOR_DEV - 1, {"train": 150, "test": 149}),
        (ENOUGH_FOR_DEV, {"train": 100, "dev": 50, "test": 150}),
        (1000, {"train": 600, "dev": 200, "test": 200}),
    ],
)
def test_labels_serve_evaluation_first_and_the_surplus_trains(count: int, sizes: dict[str, int]) -> None:
    queries, graded = distinct(count)
    made = split(graded, queries, 13)
    assert {name: len(part) for name, part in made.qrels.items()} == sizes
    assert ("shows only large differences" in made.statement) == (sizes["test"] < EVALUATION_QUERIES)


def test_another_seed_makes_another_split() -> None:
    queries, graded = distinct(100)
    assert set(split(graded, queries, 1).qrels["test"]) != set(split(graded, queries, 2).qrels["test"])


def test_some_test_queries_want_documents_that_training_knows_and_some_do_not() -> None:
    queries, graded = distinct(400, each=10)
    made = split(graded, queries, 13).qrels
    fresh = unseen(made["test"], made["train"])
    assert 0.4 * len(made["test"]) < len(fresh) < len(made["test"])


def test_queries_without_a_relevant_document_are_not_placed() -> None:
    made = split({"q0": {"d": 0}}, {"q0": Query("q0", "x")}, 13)
    assert made.qrels == {}
    assert "0 train, 0 dev, 0 test" in made.statement


def by_value(values: Mapping[str, Scalar]) -> dict[str, set[str]]:
    """The sides of one query a document, split by the value of the documents."""
    queries = {f"q{n}": Query(f"q{n}", f"topic{n}") for n in range(len(values))}
    graded = {query: {document: 1} for query, document in zip(queries, values, strict=True)}
    found = split(graded, queries, 13, values)
    assert "by the field you named" in found.statement
    return {name: {next(iter(grades)) for grades in part.values()} for name, part in found.qrels.items()}


@pytest.mark.parametrize("start", [1990, 0.5])
def test_a_split_by_numbers_tests_on_the_latest(start: float) -> None:
    values = {f"d{n}": start + (n * 7) % 10 for n in range(10)}
    found = by_value(values)
    assert min(values[d] for d in found["test"]) > max(values[d] for d in found["train"])
    assert len(found["test"]) == 5


def test_a_split_by_dates_tests_on_the_latest() -> None:
    values = {f"d{n}": f"20{n * 7 % 10:02d}-05-01" for n in range(10)}
    assert {values[d][:4] for d in by_value(values)["test"]} == {"2005", "2006", "2007", "2008", "2009"}


def test_a_split_by_group_tests_on_the_smallest_groups() -> None:
    values: dict[str, Scalar] = {f"d{n}": "abbccccccc"[n] for n in range(10)}
    found = by_value({**values, "d10": "e", "d11": "e"})
    assert {"d0", "d1", "d2", "d10", "d11"} <= found["test"]


def test_dates_among_numbers_are_groups_and_no_crash() -> None:
    assert by_value({"d0": 2001, "d1": "2001-05", "d2": 2001, "d3": 2001})["test"] >= {"d1"}


def test_documents_without_the_field_train() -> None:
    queries, graded = distinct(8)
    made = split(graded, queries, 13, {"d3": 5, "d2": 4}).qrels
    assert set(made["test"]) == {"q4", "q5", "q6", "q7"}
    assert set(made["train"]) == {"q0", "q1", "q2", "q3"}


def test_the_field_of_documents_is_read_where_they_have_it() -> None:
    documents = [Document("a", "x", "", {"year": 0}), Document("b", "x"), Document("c", "x", "", {"year": "1990"})]
    assert documents_by(documents, "year") == {"a": 0, "c": "1990"}


def test_groups_are_never_torn_even_when_the_first_is_too_large() -> None:
    values: dict[str, Scalar] = {f"d{n}": "abc"[0 if n < 25 else 1 if n < 60 else 2] for n in range(100)}
    found = by_value(values)
    for group in "abc":
        sides = {side for side, documents in found.items() for d in documents if values[d] == group}
        assert len(sides) == 1, (group, sides)
    lopsided = by_value({f"d{n}": "a" if n < 40 else "b" for n in range(90)})
    assert {"d0", "d39"} <= lopsided["test"]
    assert "d40" in lopsided["train"]
