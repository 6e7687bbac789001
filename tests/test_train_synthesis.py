"""Synthetic queries find their documents, look like real ones, and leave the evaluation's documents alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.data.standin import stand_ins
from resurvey.errors import ResurveyError
from resurvey.search.builder import Builder
from resurvey.search.recipe import dense, fused, lexical
from resurvey.train.examples import plain
from resurvey.train.roundtrip import KEPT, NOT_FOUND, TOO_EASY, verdicts
from resurvey.train.shape import distances, matched, rake, shape, shapes, vocabulary
from resurvey.train.synthesis import REASONS, SILENCES, Known, Order, synthesise
from resurvey.types import Document, Floats, Qrels, Query, Ranking, Run, Stage

SOME = tried(max_examples=50, deadline=None, derandomize=True, database=None)
NAN = float("nan")
ORDER = Order(count=30, each=5, top=5)


def everything(documents: Sequence[Document]) -> object:
    """A search that finds every document for every query: its order says nothing."""
    ids = [d.id for d in documents]
    scores: Floats = np.zeros(len(ids), dtype=np.float32)
    return lambda queries: Run("all", {q.id: Ranking(ids, scores) for q in queries})


def test_synthetic_queries_pass_the_search_and_are_all_accounted_for(
    documents: tuple[Document, ...], builder: Builder, queries: tuple[Query, ...], qrels: Qrels
) -> None:
    search = builder.node(fused([lexical(20), dense(20)], 20)).search
    judged = {query: grades for query, grades in qrels.items() if int(query[1:]) < 30}
    known = Known(tuple(q for q in queries if q.id in judged), judged)
    found = synthesise(documents, search, known, ORDER)
    assert 0 < len(found.examples) <= ORDER.count
    log = found.log
    dropped = {reason: sum(row.values()) for reason, row in log["dropped"].items()}
    assert tuple(dropped) == REASONS
    assert sum(log["made"].values()) == sum(dropped.values()) + sum(log["kept"].values())
    assert {name: n for name, n in log["kept"].items() if n} == found.examples.counts()
    run = search([Query(str(place), row.query) for place, row in enumerate(found.examples)])
    assert all(row.document in run[str(place)].documents[: ORDER.top] for place, row in enumerate(found.examples))
    assert len({plain(row.query) for row in found.examples}) == len(found.examples)
    assert synthesise(documents, search, known, ORDER) == found, "the same inputs and seed"
    assert json.loads(json.dumps(log)) == log


def test_what_stand_in_queries_ask_about_is_left_alone(documents: tuple[Document, ...]) -> None:
    made = stand_ins(documents, 20, 13)
    found = synthesise(documents, everything(documents), Known(kept_out=frozenset(made.wanted)), Order(200, 5, 20))
    asked = {row.document for row in found.examples}
    assert asked
    assert not asked & set(made.wanted)


def test_documents_without_a_judged_query_come_first(documents: tuple[Document, ...]) -> None:
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(15)}
    many = [Document(f"{d.id}-{copy}" if copy else d.id, d.text, d.title) for copy in range(30) for d in documents]
    texts = tuple(Query(f"q{n}", f"pump {n} seal") for n in range(15))
    found = synthesise(many, everything(many), Known(texts, qrels), Order(5, 3, len(many)))
    assert found.log["documents read"] < len(many)
    assert not {row.document for row in found.examples} & {f"d{n}" for n in range(15)}
    assert found.log["of them without a judged query"] == found.log["documents read"]


def test_a_query_that_was_really_asked_is_not_made_again(documents: tuple[Document, ...]) -> None:
    found = synthesise(documents, everything(documents), Known(), Order(500, 4, 20))
    again = Known(tuple(Query(f"q{n}", f" {row.query.upper()}? ") for n, row in enumerate(found.examples)))
    left = synthesise(documents, everything(documents), again, Order(500, 4, 20))
    assert sum(left.log["dropped"]["asked already"].values()) > 0
    assert not {plain(row.query) for row in left.examples} & {plain(q.text) for q in again.queries}


def test_a_language_model_is_shown_real_queries_and_its_own_pass_the_same_tests(
    documents: tuple[Document, ...], builder: Builder, queries: tuple[Query, ...], qrels: Qrels
) -> None:
    prompts: list[str] = []

    def complete(prompt: str) -> str:
        prompts.append(prompt)
        words = prompt.rsplit("Passage: ", 1)[1].split()
        return json.dumps([f"{words[0]} {words[1]} {words[2]} trouble", "berries of a far land"])

    search = builder.node(lexical(20)).search
    found = synthesise(documents, search, Known(queries, qrels), Order(60, 3, 5, prompts=7), complete=complete)
    assert len(prompts) == found.log["language model"]["prompts"] == 7
    shown = [line.removeprefix("Query: ") for line in prompts[0].splitlines() if line.startswith("Query: ")]
    assert len(shown) == 8
    assert set(shown) <= {query.text for query in queries}
    assert found.log["made"]["synthetic: llm"] == 14
    dropped = {reason: row.get("synthetic: llm", 0) for reason, row in found.log["dropped"].items()}
    assert dropped["not found"] == 1, "what no document answers"
    assert dropped["repeated"] >= 6
    passed = 14 - sum(dropped.values()) + dropped["out of the match"]
    assert passed > 0
    assert "berries of a far land" not in {row.query for row in found.examples}


@pytest.mark.parametrize("error", [ResurveyError("no endpoint"), TimeoutError("late"), ConnectionError("gone")])
def test_a_silent_language_model_is_left_alone(documents: tuple[Document, ...], error: Exception) -> None:
    def complete(prompt: str) -> str:
        raise error

    found = synthesise(documents, everything(documents), Known(), Order(40, 3, 20), complete=complete)
    assert found.log["language model"] == {"prompts": SILENCES, "prompts without a reply": SILENCES}
    assert len(found.examples) > 0


def test_without_real_queries_short_ones_are_drawn(documents: tuple[Document, ...]) -> None:
    found = synthesise(documents, everything(documents), Known(), Order(100, 10, 20))
    lengths = [len(row.query.split()) for row in found.examples]
    assert min(lengths) >= 2
    assert np.median(lengths) <= 5
    assert found.log["real queries"] == 0


@pytest.mark.parametrize("documents", [(), (Document("a", ""),), (Document("a", "x"), Document("b", "y", "z"))])
def test_a_corpus_that_offers_nothing_gives_no_examples(documents: tuple[Document, ...]) -> None:
    found = synthesise(documents, everything(documents), Known(), ORDER)
    assert len(found.examples) == 0
    assert sum(found.log["made"].values()) == sum(sum(row.values()) for row in found.log["dropped"].values())


@pytest.mark.parametrize(
    ("documents", "ranks", "overlap", "expected"),
    [
        (["d", "e"], {"lexical": [1, 2], "dense": [1, 2]}, 1.0, TOO_EASY),
        (["d", "e"], {"lexical": [1, 2], "dense": [2, 1]}, 1.0, KEPT),
        (["d", "e"], {"lexical": [1, 2], "dense": [1, 2]}, 0.8, KEPT),
        (["d", "e"], {}, 1.0, TOO_EASY),
        (["e", "d"], {"lexical": [2, 1], "dense": [1, 1]}, 1.0, KEPT),
        (["e", "f", "d"], {}, 0.5, NOT_FOUND),
        ([], {}, 0.5, NOT_FOUND),
    ],
)
def test_the_round_trip(documents: list[str], ranks: dict[str, list[int]], overlap: float, expected: str) -> None:
    zeros: Floats = np.zeros(len(documents), dtype=np.float32)
    stages = {name: Stage(np.array(found, dtype=np.int64), zeros) for name, found in ranks.items()}
    ranking = Ranking(documents, zeros, stages)

    def search(queries: Sequence[Query]) -> Run:
        return Run("r", {query.id: ranking for query in queries})

    assert verdicts(["a"] * 600, ["d"] * 600, [overlap] * 600, search, 2) == [expected] * 600
    assert verdicts(["a"], ["d"], [overlap], lambda _: Run("r", {}), 2) == [NOT_FOUND]


def test_the_shape_of_a_query_is_its_length_what_the_document_has_of_it_and_how_rare_its_words_are() -> None:
    known = vocabulary([Document(f"d{n}", "pump seal" if n else "pump rotor") for n in range(9)], "english")
    assert shape("the pumps and rotor", ["pump seal", "rotors"], known) == (4.0, 0.5, 0.5)
    length, overlap, rare = shape("pump", [], known)
    assert (length, rare) == (1.0, 0.0)
    assert np.isnan(overlap)
    assert np.isnan(shape("of the", ["of the"], known)[1:]).all()


def test_drawing_brings_the_shape_to_that_of_real_queries() -> None:
    rng = np.random.default_rng(3)
    found = shapes([tuple(row) for row in rng.uniform((1, 0.2, 0), (20, 1, 1), (4000, 3)).tolist()])
    real = shapes([tuple(row) for row in rng.uniform((2, 0.3, 0), (6, 0.7, 0.3), (200, 3)).tolist()])
    places = matched(found, real, 300, rng)
    before, after = distances(found, real), distances(found[places], real)
    assert min(before.values()) > 0.2
    assert max(after.values()) < 0.2
    assert 20 < len(places) <= 300, "fewer rather than others in their stead"
    assert len(set(places.tolist())) == len(places)


def test_a_quarter_is_drawn_even_where_nothing_is_alike() -> None:
    found = shapes([(20.0, 0.1, 0.5)] * 998 + [(3.0, 0.9, 0.0)] * 2)
    places = matched(found, shapes([(3.0, 0.9, 0.0)] * 30 + [(20.0, 0.1, 0.5)]), 400, np.random.default_rng(3))
    assert 99 <= len(places) <= 110
    assert {998, 999} <= set(places.tolist())


def test_eight_real_queries_are_enough_and_seven_say_nothing() -> None:
    rng = np.random.default_rng(3)
    found = shapes([(float(n % 20 + 1), NAN, NAN) for n in range(1000)])
    short = shapes([(3.0, NAN, NAN)] * 4 + [(5.0, NAN, NAN)] * 4)
    assert found[matched(found, short, 500, rng), 0].mean() < found[:, 0].mean() - 1
    assert (rake(found, short[:7]) == 1).all()


@SOME
@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.floats(0, 1) | st.just(NAN), st.floats(0, 1) | st.just(NAN)), max_size=40
    ),
    st.integers(1, 50),
)
def test_any_shapes_can_be_drawn_from(rows: list[tuple[int, float, float]], count: int) -> None:
    found = shapes([(float(a), b, c) for a, b, c in rows])
    places = matched(found, found, count, np.random.default_rng(0))
    assert len(places) <= min(count, len(rows))
    assert len(set(places.tolist())) == len(places)
    assert bool(len(places)) == bool(rows)
