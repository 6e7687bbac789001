"""Boosts of fields: found where values, dates or what queries ask for tell relevant documents, nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from bag import builder as built
from bag import settings as plain
from test_treat import collected, flat, start

from resurvey.decide.plan import decide
from resurvey.decide.rules import Facts
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.fields import Fields
from resurvey.treat import ladder
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.catalog import row
from resurvey.treat.metadata import Bench, area, metadata
from resurvey.treat.trial import Trial, judged_trial
from resurvey.types import Diagnosis, Document, Qrels, Query, Scalar
from resurvey.workspace import Artefacts

TOPICS = ("valve pump", "rotor seal", "bearing flange", "gasket torque", "weld alloy", "relay fuse")
SOURCES = ("WHO", "CDC", "Acme", "Globex")
MAKE = Callable[..., Trial]


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Of each topic eight pages that differ in words that nobody asks for: two of every source, of eight years."""
    made = []
    for place, topic in enumerate(TOPICS):
        for copy in range(8):
            facts: dict[str, Scalar] = {
                "source": SOURCES[copy % 4],
                "updated": f"{2010 + (copy * 5 + place) % 8}-03-0{1 + place}",
                "batch": (copy + place) % 3,
                "only": f"name {place} {copy}",
            }
            made.append(Document(f"d{place}-{copy}", f"{topic} {topic} filler{copy} page{place * 8 + copy}", "", facts))
    return built(tmp_path_factory.mktemp("metadata"), made, depth=20)


def trial_of(builder: Builder, wanted: Callable[[int, Document], bool], text: str = "") -> Trial:
    """120 queries, each for one topic; relevant are the topic's documents that `wanted` says."""
    queries, qrels = [], {}
    for place in range(120):
        topic = place % 6
        source = SOURCES[(place // 6) % 4]
        queries.append(Query(f"q{place}", f"{TOPICS[topic]} filler{place % 5} {text.format(source=source)}".strip()))
        mine = [d for d in builder.index.documents if d.id.startswith(f"d{topic}-") and wanted(place, d)]
        qrels[f"q{place}"] = {d.id: 1 for d in mine}
    return judged_trial(collected(builder.index.documents, tuple(queries), qrels), builder, plain(depth=20))


def of_who(place: int, document: Document) -> bool:
    """Three of four queries want what WHO says, the others whatever comes."""
    return document.metadata["source"] == ("WHO" if place % 4 else SOURCES[(place // 4) % 4])


def recent(place: int, document: Document) -> bool:
    return str(document.metadata["updated"]) >= "2016"


def asked(place: int, document: Document) -> bool:
    return document.metadata["source"] == SOURCES[(place // 6) % 4]


def attempted(trial: Trial) -> tuple[State, Attempt]:
    state = start(trial)
    answer = metadata(trial, state)
    assert isinstance(answer, Attempt), answer.reason
    return state, answer


def test_a_value_that_is_relevant_more_often_gets_weight(builder: Builder) -> None:
    trial = trial_of(builder, of_who)
    state, answer = attempted(trial)
    boosts = answer.state.root["fields"]
    assert list(boosts) == ["source"]
    weights = boosts["source"][0]["weights"]
    assert weights["WHO"] > 0.3 > max(weights[name] for name in SOURCES[1:])
    assert trial.scores(answer.state.run, "").mean > trial.scores(state.run, "").mean + 0.1
    assert answer.detail["AUC"]["source (value)"][0] > 0.5 > answer.detail["AUC"]["batch (value)"][0]
    assert next(iter(ladder.climb(trial, [row("metadata")]))).kept


def test_recent_documents_get_weight_where_they_are_wanted(builder: Builder) -> None:
    trial = trial_of(builder, recent)
    state, answer = attempted(trial)
    boost = answer.state.root["fields"]["updated"][0]
    assert boost["kind"] == "recency"
    assert boost["weight"] > 0
    assert trial.scores(answer.state.run, "").mean > trial.scores(state.run, "").mean + 0.1


def test_what_a_query_asks_for_gets_weight(builder: Builder) -> None:
    trial = trial_of(builder, asked, "says {source}")
    state, answer = attempted(trial)
    kinds = [boost["kind"] for boost in answer.state.root["fields"]["source"]]
    assert "asked" in kinds
    assert trial.scores(answer.state.run, "").mean > trial.scores(state.run, "").mean + 0.1


def test_the_recipe_searches_as_it_was_fitted(builder: Builder) -> None:
    trial = trial_of(builder, of_who)
    state, answer = attempted(trial)
    fresh = Builder(trial.index, Artefacts(trial.artefacts.folder))
    made = json.loads(json.dumps(recipe.recipe(answer.state.root, trial.index.encoder)))
    bench = Bench(trial, state.run, Fields.of(trial.index.documents))
    expected = bench.predict(answer.state.root["fields"], np.arange(len(trial.queries)))
    assert flat(fresh.recipe(made).search(trial.queries)) == flat(expected)
    assert "boosts of source" in recipe.describe(answer.state.root)
    assert json.loads(json.dumps(answer.detail, allow_nan=False)) == answer.detail
    again = metadata(trial_of(builder, of_who), start(trial_of(builder, of_who)))
    assert isinstance(again, Attempt)
    assert again.state.root == answer.state.root
    assert flat(again.state.run) == flat(answer.state.run)


@pytest.mark.parametrize("fold", [-1, 0, 2])
def test_no_ranking_depends_on_judgments_of_its_own_fold(fold: int, builder: Builder) -> None:
    """The queries of one fold come to want what CDC says: their own rankings stay as they were."""
    trial = trial_of(builder, of_who)
    _, answer = attempted(trial)
    inside = {int(trial.queries[p].id[1:]) for p in np.flatnonzero(trial.fold == fold)}

    def turned(place: int, document: Document) -> bool:
        return document.metadata["source"] == "CDC" if place in inside else of_who(place, document)

    _, other = attempted(trial_of(builder, turned))
    first, second = flat(answer.state.run), flat(other.state.run)
    held = [f"q{place}" for place in inside]
    assert {q: second[q] for q in held} == {q: first[q] for q in held}
    if fold >= 0:
        assert second != first


def test_nothing_is_found_where_nothing_separates(builder: Builder) -> None:
    rng = np.random.default_rng(3)
    lots = rng.integers(0, 8, 120)
    trial = trial_of(builder, lambda place, document: document.id.endswith(f"-{lots[place]}"))
    answer = metadata(trial, start(trial))
    if isinstance(answer, Attempt):
        assert abs(trial.scores(answer.state.run, "").mean - trial.scores(start(trial).run, "").mean) < 0.03
    else:
        assert "no field tells relevant documents from others" in answer.reason


def nothing(answer: Attempt | Nothing) -> str:
    assert isinstance(answer, Nothing)
    return answer.reason


def test_nothing_is_tried_without_fields_judgments_or_shared_values(
    builder: Builder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trial = trial_of(builder, of_who)
    trial.groups = ("title",) * 120
    assert "stand-in queries are drawn from all documents alike" in nothing(metadata(trial, start(trial)))
    few = trial_of(builder, of_who)
    few.fold = np.where(np.arange(120) < 30, few.fold, -1)
    assert nothing(metadata(few, start(few))) == "30 judged queries to learn boosts from, at least 40 are needed"
    for facts, said in (({}, "the documents carry no fields"), ({"only": "{}"}, "none of 1 fields has 2 to 50 values")):
        texts = [f"{TOPICS[place % 6]} page{place}" for place in range(24)]
        rows = [{name: value.format(place) for name, value in facts.items()} for place in range(24)]
        made = [Document(f"d{p % 6}-{p}", text, "", row) for p, (text, row) in enumerate(zip(texts, rows, strict=True))]
        bare = trial_of(built(tmp_path_factory.mktemp("bare"), made), lambda place, document: True)
        assert nothing(metadata(bare, start(bare))).startswith(said)


def test_the_area_counts_ties_half_and_knows_when_it_knows_nothing() -> None:
    relevant = np.array([True, False, False])
    assert area(np.array([2.0, 1.0, 0.0]), relevant) == 1.0
    assert area(np.array([1.0, 1.0, 0.0]), relevant) == 0.75
    assert area(np.array([1.0, 1.0, 1.0]), relevant) is None
    assert area(np.array([2.0, 1.0]), np.array([False, False])) is None


@pytest.mark.parametrize(("fields", "judged", "planned"), [(0, 60, False), (3, 60, True), (3, 39, False)])
def test_boosts_are_planned_where_documents_carry_fields(fields: int, judged: int, planned: bool) -> None:
    facts = Facts(Diagnosis((), "judgments"), 100, 100, 0, judged, fields=fields)
    steps = [step.treatment for step in decide(facts, "small", ["ranker", "metadata", "duplicates"]).steps]
    assert ("metadata" in steps) == planned
    assert ("duplicates" in steps) == (judged >= 40)
    assert steps == sorted(steps, key=["ranker", "metadata", "duplicates"].index)


def test_qrels_are_read_as_they_are(builder: Builder) -> None:
    """A judged document that was not retrieved counts for nothing, a grade of 0 is not relevant."""
    trial = trial_of(builder, of_who)
    qrels: Qrels = {q: {**grades, "nowhere": 1} for q, grades in trial.qrels.items()}
    trial.qrels = qrels
    bench = Bench(trial, start(trial).run, Fields.of(trial.index.documents))
    assert sum(int(found.sum()) for found in bench.grades) == sum(
        d in set(start(trial).run[q].documents) for q, grades in qrels.items() for d in grades
    )
