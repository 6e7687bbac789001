"""The adapter as a treatment: what it learns where there is something to learn, and what is fitted on top of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from test_treat import collected, start

from resurvey.search import recipe
from resurvey.search.adapter import load_adapter
from resurvey.search.builder import Builder
from resurvey.search.compose import Then
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import open_index
from resurvey.search.ranker import FeatureRanker
from resurvey.settings import Settings
from resurvey.treat.adapter import adapter
from resurvey.treat.adapting import Lesson, adapter_of, confused, path
from resurvey.treat.attempt import Attempt, Nothing
from resurvey.treat.ranker import ranker
from resurvey.treat.trial import Trial, judged_trial
from resurvey.types import Document, Floats, Query, Run
from resurvey.workspace import Artefacts

Make = Callable[[int], Trial]


def units(rows: int, seed: int) -> Floats:
    found = np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def turned(count: int = 400) -> Lesson:
    """Queries that are their answers, turned: one linear map finds all of them, new ones too."""
    passages, turn = units(60, 1), np.linalg.qr(units(16, 2))[0].astype(np.float32)
    wanted = np.random.default_rng(3).integers(0, 60, count)
    queries = passages[wanted] @ turn + 0.3 * units(count, 4)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    relevant = csr_array((np.ones(count, dtype=np.float32), wanted, np.arange(count + 1)), shape=(count, 60))
    owners = np.arange(60)
    hard = confused(list(np.argsort(-(queries @ passages.T), axis=1)), owners, relevant, 5)
    return Lesson(queries, passages, wanted, np.arange(count + 1), hard, owners, relevant)


def found(lesson: Lesson, moved: Floats, places: range) -> float:
    asked = lesson.queries[places] + lesson.queries[places] @ moved
    return float(np.mean((asked @ lesson.passages.T).argmax(axis=1) == lesson.answers[places]))


def test_a_few_steps_learn_a_turn_that_held_out_queries_confirm() -> None:
    lesson, rest = turned(), range(300, 400)
    steps = path(lesson, np.arange(300), 8)
    assert len(steps) == 8
    assert found(lesson, np.zeros_like(steps[0]), rest) < 0.1
    assert found(lesson, steps[-1], rest) > 0.8
    assert np.linalg.norm(steps[0]) < np.linalg.norm(steps[-1])


def test_what_is_learned_depends_on_the_places_alone() -> None:
    lesson = turned()
    first = path(lesson, np.arange(300), 2)
    lesson.queries[300:] *= -1
    assert all(np.array_equal(a, b) for a, b in zip(first, path(lesson, np.arange(300), 2), strict=True))


def test_a_low_rank_is_the_nearest_map_of_that_rank() -> None:
    moved = path(turned(), np.arange(300), 4)[-1]
    whole, half = adapter_of(moved, 0), adapter_of(moved, 8)
    assert (whole.rank, half.rank) == (16, 8)
    assert np.array_equal(whole.down @ whole.up, moved)
    lost = np.linalg.norm(half.down @ half.up - moved)
    assert lost == pytest.approx(np.linalg.norm(np.linalg.svd(moved)[1][8:]), rel=1e-3)


def test_hard_passages_are_the_nearest_that_answer_something_else() -> None:
    relevant = csr_array(np.array([[0, 1, 0], [0, 0, 0]], dtype=np.float32))
    owners = np.array([0, 1, 1, 2])
    rows = [np.array([1, 3, 2, 0]), np.array([2, -1])]
    assert confused(rows, owners, relevant, 2).tolist() == [[3, 0], [2, -1]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder, plain_settings: Settings) -> Make:
    """Sixteen documents, asked for by names that the random encoder puts somewhere else."""
    from conftest import WORDS

    documents = tuple(Document(f"d{place}", f"{WORDS[place]} {WORDS[place]}") for place in range(16))
    folder = tmp_path_factory.mktemp("adapter")
    builder = Builder(open_index(folder / "index", documents, encoder, plain_settings), Artefacts(folder / "artefacts"))

    def made(count: int) -> Trial:
        texts = [f"{WORDS[20 + place % 16]} {WORDS[36 + place // 16]}" for place in range(count)]
        queries = tuple(Query(f"q{place}", text) for place, text in enumerate(texts))
        qrels = {query.id: {f"d{place % 16}": 1} for place, query in enumerate(queries)}
        return judged_trial(collected(documents, queries, qrels), builder, plain_settings)

    return made


def test_queries_learn_to_find_what_the_encoder_puts_elsewhere(make: Make) -> None:
    trial = make(160)
    state = start(trial)
    answer = adapter(trial, state)
    assert isinstance(answer, Attempt)
    assert trial.scores(answer.state.run, "").mean > trial.scores(state.run, "").mean + 0.2
    assert answer.state.root == answer.state.dense
    assert answer.detail["queries"] == 160
    assert recipe.describe(answer.state.root) == "dense over truncated, adapted"
    learned = load_adapter(trial.artefacts.get(answer.state.root["adapter"]))
    assert learned.rank == answer.detail["rank"]


def test_what_is_fitted_on_top_sees_the_out_of_fold_run(make: Make) -> None:
    trial = make(160)
    answer = adapter(trial, start(trial))
    assert isinstance(answer, Attempt)
    again = trial.run(answer.state.dense)
    assert all(again[q.id].documents == answer.state.run[q.id].documents for q in trial.queries)
    reworded = replace(trial, queries=tuple(replace(q, text=f"{q.text} ") for q in trial.queries), _runs={})
    assert (trial.scores(reworded.run(answer.state.dense), "").values == trial.scores(again, "").values).all()
    shallow = trial.run({**answer.state.dense, "depth": 4})
    assert all(shallow[q.id].documents == answer.state.run[q.id].documents[:4] for q in trial.queries)
    fitted = trial.builder.node(answer.state.dense).search(trial.queries)
    assert trial.scores(fitted, "").mean > trial.scores(answer.state.run, "").mean


def test_nothing_is_learned_twice_from_few_queries_or_beside_other_branches(make: Make) -> None:
    trial = make(160)
    answer = adapter(trial, start(trial))
    assert isinstance(answer, Attempt)
    assert isinstance(adapter(trial, answer.state), Nothing)
    assert isinstance(adapter(trial, start(trial, "identifiers")), Nothing)
    few = adapter(make(50), start(make(50)))
    assert few == Nothing("35 judged queries to train on, at least 40 are needed")


def test_where_no_step_gains_anything_there_is_nothing_to_gain(make: Make) -> None:
    trial = make(160)
    trial.qrels = {query.id: {"not in the corpus": 1} for query in trial.queries}
    answer = adapter(trial, start(trial))
    assert isinstance(answer, Nothing)
    assert "no step away from the encoder's own query vectors" in answer.reason


def test_stand_in_queries_move_nothing(make: Make) -> None:
    trial = make(160)
    trial.groups = ("title",) * 160
    answer = adapter(trial, start(trial))
    assert isinstance(answer, Nothing)
    assert "stand-in queries" in answer.reason


def test_an_artefact_is_what_a_new_builder_searches_with(make: Make) -> None:
    trial = make(160)
    answer = adapter(trial, start(trial))
    assert isinstance(answer, Attempt)
    asked = trial.queries[:5]
    fresh = Builder(trial.index, Artefacts(trial.artefacts.folder)).node(answer.state.root).search(asked)
    again = trial.builder.node(answer.state.root).search(asked)
    assert [list(fresh[q.id].documents) for q in asked] == [list(again[q.id].documents) for q in asked]


def test_trees_on_top_are_told_what_the_adapted_branch_found_out_of_fold(make: Make) -> None:
    trial = make(160)
    answer = adapter(trial, start(trial))
    assert isinstance(answer, Attempt)
    ranked = ranker(trial, answer.state)
    assert isinstance(ranked, Attempt)
    served = trial.builder.node(ranked.state.root)
    assert isinstance(served, Then)
    assert isinstance(served.second, FeatureRanker)
    evidence = served.second.evidence
    column = evidence.names.index("adapted score")
    query = trial.queries[3]
    pool = Run("pool", {query.id: trial.run(answer.state.dense)[query.id]})
    told = evidence.pairs([query], pool).rows[:, column]
    assert told == pytest.approx(answer.state.run[query.id].scores, abs=1e-4)
    assert np.isnan(evidence.pairs([query], trial.run(recipe.lexical(trial.depth))).rows[:, column]).all()
    assert "adapted score" not in trial.builder.evidence().names
    assert served.search(trial.queries[:2])
