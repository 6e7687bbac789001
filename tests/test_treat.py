"""One conformance suite over the catalogue: a new treatment is tested by adding its row, not a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from resurvey.data.collection import Collection
from resurvey.data.standin import stand_ins
from resurvey.errors import ResurveyError
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import Index, open_index
from resurvey.settings import Settings
from resurvey.treat import crosstrain, ladder
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.catalog import CATALOG, EFFORTS, Row, available, row
from resurvey.treat.hybrid import hybrid
from resurvey.treat.memory import memory
from resurvey.treat.passages import passages
from resurvey.treat.ranker import ranker
from resurvey.treat.trial import Trial, judged_trial, standin_trial
from resurvey.types import Document, Json, Qrels, Query, Ranking, Run
from resurvey.workspace import Artefacts

Make = Callable[[], Trial]
TREATMENTS = pytest.mark.parametrize("treatment", CATALOG, ids=lambda found: found.name)
KINDS = pytest.mark.parametrize("kind", ["judged", "stand-in"])
ATTEMPTED = {"judged": {"passages", "center", "adapter", "hybrid", "identifiers", "rewrite", "ranker", "memory", "reranker", "cross-encoder"}, "stand-in": {"passages", "center", "hybrid", "identifiers", "reranker"}}  # fmt: skip
"""Where the fixture's corpus gives a treatment something to try, so that no test below passes by trying nothing.
`metadata` and `duplicates` find no wanted value and no twin in it: what is asked of all here they are asked in their own tests."""
TRIED = [found for found in CATALOG if found.name in ATTEMPTED["judged"]]


@pytest.fixture(scope="module")
def plain_settings(
    plain_settings: Settings, tmp_path_factory: pytest.TempPathFactory, model_folder: Path
) -> Iterator[Settings]:
    """With a reranker, which orders by lot, a depth, so that no speed is measured, and short training."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(crosstrain, "EPOCHS", 1)
    untrained = crosstrain.from_encoder(str(model_folder), tmp_path_factory.mktemp("reranker"), 7)
    yield Settings({**plain_settings.values, "reranker": str(untrained), "rerank_depth": 10})
    monkeypatch.undo()


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...], encoder: SentenceEncoder, plain_settings: Settings
) -> Builder:  # fmt: skip
    folder = tmp_path_factory.mktemp("treat")
    return Builder(open_index(folder / "index", documents, encoder, plain_settings), Artefacts(folder / "artefacts"))


def collected(documents: tuple[Document, ...], queries: tuple[Query, ...], qrels: Qrels) -> Collection:
    sides: dict[str, dict[str, Mapping[str, int]]] = {"train": {}, "dev": {}}
    for query, grades in qrels.items():
        sides["train" if int(query[1:]) % 10 < 7 else "dev"][query] = grades
    return Collection(documents, {q.id: q for q in queries}, sides, {}, "")


@pytest.fixture(scope="module")
def judged(
    whole: Builder, documents: tuple[Document, ...], queries: tuple[Query, ...], qrels: Qrels, plain_settings: Settings
) -> Callable[[Qrels], Trial]:
    """A trial of 42 training and 18 dev queries under any judgments."""
    return lambda given: judged_trial(collected(documents, queries, given), whole, plain_settings)


@pytest.fixture(scope="module")
def makers(
    whole: Builder,
    judged: Callable[[Qrels], Trial],
    tmp_path_factory: pytest.TempPathFactory,
    documents: tuple[Document, ...],
    encoder: SentenceEncoder,
    qrels: Qrels,
    plain_settings: Settings,
) -> dict[str, Make]:
    """A fresh trial of either kind."""
    made = stand_ins(documents, 40, 13)
    folder = tmp_path_factory.mktemp("standin")
    index = open_index(folder / "index", made.documents, encoder, plain_settings, whole.index.vectors.folder.parent)
    builder = Builder(index, whole.artefacts)
    wanted = {query.id: {document: 1} for query, document in zip(made.queries, made.wanted, strict=True)}
    return {
        "judged": partial(judged, qrels),
        "stand-in": partial(standin_trial, made.queries, wanted, made.groups, builder, plain_settings),
    }


@pytest.fixture(scope="module")
def attempts(makers: dict[str, Make]) -> dict[tuple[str, str], tuple[Trial, State, Attempt | Nothing]]:
    """What every treatment answers from the untouched encoder."""
    return {(kind, treatment.name): tried(make(), treatment) for kind, make in makers.items() for treatment in CATALOG}


def tried(trial: Trial, treatment: Row) -> tuple[Trial, State, Attempt | Nothing]:
    state = start(trial, treatment.name)
    return trial, state, treatment.attempt(trial, state)


Attempts = dict[tuple[str, str], tuple[Trial, State, Attempt | Nothing]]


def start(trial: Trial, treatment: str = "") -> State:
    """Where the ladder stands when it comes to a treatment: identifiers join words that are searched."""
    nodes = recipe.untouched(trial.depth)
    root = nodes[recipe.RRF if treatment == "identifiers" else recipe.BASE]
    return State(root, trial.run(root), nodes[recipe.BASE], recipe.lexical(trial.depth))


def flat(run: Run) -> dict[str, list[tuple[str, float]]]:
    return {
        query: list(zip(ranking.documents, ranking.scores.tolist(), strict=True))
        for query, ranking in run.rankings.items()
    }


# the conformance suite


@KINDS
@TREATMENTS
def test_a_treatment_answers_an_attempt_or_nothing_with_a_reason(treatment: Row, kind: str, attempts: Attempts) -> None:
    answer = attempts[kind, treatment.name][2]
    assert isinstance(answer, Attempt) == (treatment.name in ATTEMPTED[kind])
    if isinstance(answer, Nothing):
        assert len(answer.reason) > 20


@KINDS
@TREATMENTS
def test_a_treatment_never_touches_its_state(
    treatment: Row, kind: str, attempts: Attempts, makers: dict[str, Make]
) -> None:
    trial, state, _ = attempts[kind, treatment.name]
    untouched = makers[kind]()
    expected = start(untouched, treatment.name)
    assert (state.root, state.dense, flat(state.run)) == (expected.root, expected.dense, flat(expected.run))
    assert (trial.queries, trial.qrels, trial.memory) == (untouched.queries, untouched.qrels, untouched.memory)
    assert trial.fold.tolist() == untouched.fold.tolist()


@KINDS
@TREATMENTS
def test_the_out_of_fold_run_covers_exactly_the_trials_queries(treatment: Row, kind: str, attempts: Attempts) -> None:
    trial, _, answer = attempts[kind, treatment.name]
    if isinstance(answer, Attempt):
        assert list(answer.state.run.rankings) == [query.id for query in trial.queries]
        known = set(trial.index.rows)
        for ranking in answer.state.run.rankings.values():
            assert ranking.documents
            assert len(set(ranking.documents)) == len(ranking.documents)
            assert set(ranking.documents) <= known


@KINDS
@TREATMENTS
def test_the_attempted_recipe_is_json_that_a_new_builder_can_search(
    treatment: Row, kind: str, attempts: Attempts
) -> None:
    trial, _, answer = attempts[kind, treatment.name]
    if isinstance(answer, Attempt):
        made = recipe.recipe(answer.state.root, trial.index.encoder)
        fresh = Builder(trial.index, Artefacts(trial.artefacts.folder))
        again = fresh.recipe(json.loads(json.dumps(made)))
        asked = (*trial.queries[:3], Query("new", "torque of the shaft coupling"), Query("odd", "§§ ∅"))
        assert list(again.search(asked).rankings) == [query.id for query in asked]
        assert flat(again.search(asked)) == flat(trial.builder.node(answer.state.root).search(asked))
        assert recipe.describe(answer.state.root)


@KINDS
@TREATMENTS
def test_a_treatment_is_deterministic(treatment: Row, kind: str, attempts: Attempts, makers: dict[str, Make]) -> None:
    _, _, first = attempts[kind, treatment.name]
    trial = makers[kind]()
    second = treatment.attempt(trial, start(trial, treatment.name))
    if isinstance(first, Attempt):
        assert isinstance(second, Attempt)
        assert second.state.root == first.state.root
        assert flat(second.state.run) == flat(first.state.run)
        assert second.detail == first.detail
    else:
        assert second == first


@KINDS
@TREATMENTS
def test_the_detail_of_an_attempt_is_plain_json(treatment: Row, kind: str, attempts: Attempts) -> None:
    answer = attempts[kind, treatment.name][2]
    if isinstance(answer, Attempt):
        assert json.loads(json.dumps(answer.detail, allow_nan=False)) == answer.detail


@KINDS
@TREATMENTS
def test_the_dense_branch_of_an_attempt_is_one_the_next_treatment_can_build_on(
    treatment: Row, kind: str, attempts: Attempts
) -> None:
    trial, _, answer = attempts[kind, treatment.name]
    if isinstance(answer, Attempt):
        assert answer.state.dense["stage"] == "dense"
        assert len(trial.run(answer.state.dense)) == len(trial.queries)


def turned(qrels: Qrels, chosen: Callable[[int], bool]) -> dict[str, Mapping[str, int]]:
    """Judgments in which the chosen queries want documents that they never wanted."""
    return {
        query: {f"d{(int(query[1:]) // 3 + 10) % 20}": 1} if chosen(int(query[1:])) else grades
        for query, grades in qrels.items()
    }


@pytest.mark.parametrize("treatment", TRIED, ids=lambda found: found.name)
def test_no_out_of_fold_ranking_depends_on_dev_judgments(
    treatment: Row, attempts: Attempts, judged: Callable[[Qrels], Trial], qrels: Qrels
) -> None:
    trial = judged(turned(qrels, lambda number: number % 10 >= 7))
    other = treatment.attempt(trial, start(trial, treatment.name))
    answer = attempts["judged", treatment.name][2]
    assert isinstance(answer, Attempt)
    assert isinstance(other, Attempt)
    assert flat(other.state.run) == flat(answer.state.run)


@pytest.mark.parametrize("fold", [0, 2])
@pytest.mark.parametrize("treatment", [r for r in TRIED if r.name != "memory"], ids=lambda found: found.name)
def test_no_out_of_fold_ranking_depends_on_judgments_of_its_own_fold(
    treatment: Row, fold: int, attempts: Attempts, judged: Callable[[Qrels], Trial], qrels: Qrels
) -> None:
    """The memory is left out: other queries of the fold may speak, only a query's own entry may not."""
    before, _, answer = attempts["judged", treatment.name]
    inside = {before.queries[place].id for place in np.flatnonzero(before.fold == fold)}
    trial = judged(turned(qrels, lambda number: f"q{number}" in inside))
    other = treatment.attempt(trial, start(trial, treatment.name))
    assert isinstance(answer, Attempt)
    assert isinstance(other, Attempt)
    first, second = flat(answer.state.run), flat(other.state.run)
    assert {query: second[query] for query in inside} == {query: first[query] for query in inside}


@TREATMENTS
def test_no_treatment_finds_anything_in_judgments_drawn_by_lot(
    treatment: Row, judged: Callable[[Qrels], Trial], qrels: Qrels
) -> None:
    """What sees a query's own judgment, by whatever way, finds all of it again here."""
    lots = np.random.default_rng(5).permutation(np.repeat(np.arange(20), 3))
    trial = judged({query: {f"d{lot}": 1} for query, lot in zip(qrels, lots, strict=True)})
    answer = treatment.attempt(trial, start(trial, treatment.name))
    if isinstance(answer, Attempt):
        assert trial.scores(answer.state.run, treatment.name).mean < 0.35  # a random order scores 0.23


@TREATMENTS
def test_every_row_has_a_sentence_and_an_effort_and_is_found_by_its_name(treatment: Row) -> None:
    assert treatment.sentence.endswith(".")
    assert treatment.effort in EFFORTS
    assert row(treatment.name) is treatment
    assert treatment in available("large")


def test_an_unknown_treatment_is_answered_with_those_there_are() -> None:
    names = ", ".join(found.name for found in CATALOG)
    with pytest.raises(ResurveyError, match=f"STEP: 'nonsense' is no treatment; there are {names}\nNext: resurvey"):
        row("nonsense")


def test_a_trial_finds_what_the_built_recipe_finds(makers: dict[str, Make]) -> None:
    trial = makers["judged"]()
    lexical, dense = recipe.lexical(20), recipe.dense(20, transform="center")
    for node in (
        {**lexical, "depth": 7},
        {**dense, "depth": 12},
        recipe.fused([lexical, dense], 15, {"lexical": 0.3, "dense": 0.7}),
        recipe.fused([{**lexical, "depth": 8}, recipe.characters(20)], 20),
    ):
        assert flat(trial.run(node)) == flat(trial.builder.node(node).search(trial.queries))


# when there is nothing to gain


def reason(answer: Attempt | Nothing) -> str:
    assert isinstance(answer, Nothing)
    return answer.reason


@pytest.mark.parametrize("name", ["passages", "center"])
def test_the_dense_branch_is_not_changed_after_others_joined_it(name: str, makers: dict[str, Make]) -> None:
    trial = makers["judged"]()
    fused = recipe.untouched(trial.depth)[recipe.RRF]
    joined = replace(start(trial), root=fused, run=trial.run(fused))
    assert "decided before others join it" in reason(row(name).attempt(trial, joined))
    assert reason(hybrid(trial, joined)) == "lexical and dense are fused already"


def test_nothing_is_trained_on_stand_ins(makers: dict[str, Make]) -> None:
    trial = makers["stand-in"]()
    assert "trained on stand-in queries lose up to 60 points" in reason(ranker(trial, start(trial)))
    assert reason(memory(trial, start(trial))) == "there are no judged queries to remember"


def few(judged: Callable[[Qrels], Trial], qrels: Qrels, count: int) -> Trial:
    dev = [query for query in qrels if int(query[1:]) % 10 >= 7]
    train = [query for query in qrels if int(query[1:]) % 10 < 7][:count]
    return judged({query: qrels[query] for query in (*train, *dev)})


def test_nothing_is_trained_on_fewer_than_forty_judged_queries(judged: Callable[[Qrels], Trial], qrels: Qrels) -> None:
    trial = few(judged, qrels, 39)
    said = "39 judged queries to train on, at least 40 are needed"
    assert reason(ranker(trial, start(trial))) == reason(memory(trial, start(trial))) == said
    assert isinstance(ranker(few(judged, qrels, 40), start(trial)), Attempt)


def test_the_memory_needs_documents_that_are_asked_for_again(
    judged: Callable[[Qrels], Trial], documents: tuple[Document, ...], qrels: Qrels, makers: dict[str, Make]
) -> None:
    trial = makers["judged"]()
    alone = tuple((f"only {place}",) for place in range(len(trial.memory.texts)))
    trial.memory = replace(trial.memory, documents=alone)
    assert reason(memory(trial, start(trial))) == (
        "only 0 % of the judged queries share a document with another; memory needs 50 %"
    )


def test_trees_have_nothing_to_learn_where_no_relevant_document_is_a_candidate(
    judged: Callable[[Qrels], Trial], qrels: Qrels
) -> None:
    trial = judged(qrels)
    trial.qrels = {query.id: {"not in the corpus": 1} for query in trial.queries}
    assert "trees have nothing to learn from" in reason(ranker(trial, start(trial)))


def test_documents_that_fit_one_passage_need_no_passages(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings
) -> None:
    short = tuple(Document(f"d{place}", f"valve number {place}") for place in range(12))
    builder = Builder(open_index(tmp_path / "index", short, encoder, plain_settings), Artefacts(tmp_path / "a"))
    queries = tuple(Query(f"q{place}", f"valve {place}") for place in range(12))
    trial = standin_trial(queries, {q.id: {f"d{q.id[1:]}": 1} for q in queries}, ["title"] * 12, builder, plain_settings)  # fmt: skip
    assert reason(passages(trial, start(trial))) == "every document fits one passage of 32 tokens"


def branches(trial: Trial, *, dense_is_right: bool) -> Trial:
    """The trial with one branch that puts the wanted document first and one that puts it last, by even steps."""
    dense, lexical = start(trial).dense, recipe.lexical(trial.depth)
    everything = list(trial.index.rows)
    scores = np.linspace(2, 1, len(everything), dtype=np.float32)
    for node, right in ((dense, dense_is_right), (lexical, not dense_is_right)):
        rankings = {}
        for query in trial.queries:
            wanted = next(iter(trial.qrels[query.id]))
            others = [document for document in everything if document != wanted]
            rankings[query.id] = Ranking([wanted, *others] if right else [*others, wanted], scores)
        trial._runs[recipe.node_key(node)] = Run(str(node["stage"]), rankings)
    return trial


def test_hybrid_refuses_to_fuse_a_dense_branch_that_needs_no_help(makers: dict[str, Make]) -> None:
    trial = branches(makers["stand-in"](), dense_is_right=True)
    assert reason(hybrid(trial, start(trial))).startswith(
        "do not fuse: the queries want 0.97 of the weight on the dense branch; RRF scores "
    )


@pytest.mark.parametrize(("dense_is_right", "low", "high"), [(True, 0.8, 0.9), (False, 0.1, 0.25)])
def test_hybrid_leans_on_the_branch_that_is_right(
    dense_is_right: bool, low: float, high: float, makers: dict[str, Make]
) -> None:
    trial = branches(makers["judged"](), dense_is_right=dense_is_right)
    answer = hybrid(trial, start(trial))
    assert isinstance(answer, Attempt)
    weights = answer.state.root["rule"]["weights"]
    assert low <= weights["dense"] < high
    assert weights["dense"] + weights["lexical"] == pytest.approx(1)


def test_a_held_out_fold_has_no_say_in_how_it_is_centred(makers: dict[str, Make]) -> None:
    """Fold 0 alone would choose to centre; what the others choose is held against it."""
    trial = makers["judged"]()
    dense = start(trial).dense
    everything = list(trial.index.rows)
    scores = np.linspace(2, 1, len(everything), dtype=np.float32)
    for name in ("center", "standardise"):
        rankings = {}
        for place, query in enumerate(trial.queries):
            wanted = next(iter(trial.qrels[query.id]))
            right = (trial.fold[place] == 0) == (name == "center") or (
                trial.fold[place] != 0 and (place % 4 > 0 or trial.fold[place] < 0)
            )
            others = [document for document in everything if document != wanted]
            rankings[query.id] = Ranking([wanted, *others] if right else [*others, wanted], scores)
        trial._runs[recipe.node_key({**dense, "transform": name})] = Run(name, rankings)
    answer = row("center").attempt(trial, start(trial))
    assert isinstance(answer, Attempt)
    values = trial.scores(answer.state.run, "center").values
    assert values[trial.fold == 0].tolist() == [0.0] * int((trial.fold == 0).sum())
    assert answer.detail["means"]["center"] > answer.detail["means"]["standardise"]


# the ladder


def climbed(trial: Trial, *names: str) -> list[ladder.Rung]:
    return list(ladder.climb(trial, [row(name) for name in names]))


def rung(attempt: Callable[[Trial, State], Attempt | Nothing], blind: float = 0.0) -> Row:
    return Row("planted", attempt, "small", "order", blind, "Planted.")


def worsened(trial: Trial, state: State) -> Attempt:
    upside_down = {
        query: replace(ranking, documents=list(ranking.documents)[::-1])
        for query, ranking in state.run.rankings.items()
    }
    return Attempt(replace(state, root={**state.root, "planted": True}, run=Run("worse", upside_down)))


def unchanged(trial: Trial, state: State) -> Attempt:
    return Attempt(replace(state, root={**state.root, "planted": True}))


def improved(trial: Trial, state: State) -> Attempt:
    rankings = {}
    for query, ranking in state.run.rankings.items():
        wanted = next(iter(trial.qrels[query]))
        rankings[query] = replace(ranking, documents=[wanted, *(d for d in ranking.documents if d != wanted)])
    return Attempt(replace(state, run=Run("better", rankings)))


def test_a_rung_stays_only_when_it_gains_more_than_one_standard_error(makers: dict[str, Make]) -> None:
    trial = makers["judged"]()
    rungs = list(ladder.climb(trial, [rung(unchanged), rung(worsened), rung(improved)]))
    assert [found.kept for found in rungs] == [False, False, True]
    for found in rungs:
        assert found.comparison is not None
        assert found.kept == (found.comparison.difference > found.comparison.standard_error)


def test_the_next_rung_is_tried_on_what_was_kept_and_held_against_it(makers: dict[str, Make]) -> None:
    seen: list[str] = []

    def looking(trial: Trial, state: State) -> Nothing:
        seen.append(state.run.name)
        return Nothing("only looking")

    trial = makers["judged"]()
    rungs = list(ladder.climb(trial, [rung(improved), rung(looking), rung(worsened), rung(looking), rung(unchanged)]))
    assert seen == ["better", "better"]
    assert rungs[1].comparison is None
    assert rungs[1].reason == "only looking"
    assert rungs[-1].comparison is not None
    assert rungs[-1].comparison.baseline == "planted"
    assert rungs[-1].comparison.baseline_mean == 1.0


def test_stand_ins_ask_more_or_less_of_a_rung_as_its_row_says(makers: dict[str, Make]) -> None:
    trial = makers["stand-in"]()
    anyway, unlikely = list(ladder.climb(trial, [rung(worsened, -np.inf)])), list(ladder.climb(trial, [rung(improved, 1e6)]))  # fmt: skip
    assert anyway[0].kept
    assert "whatever stand-in queries show" in anyway[0].reason
    assert not unlikely[0].kept
    assert not next(ladder.climb(makers["judged"](), [rung(worsened, -np.inf)])).kept


def test_the_ladders_comparisons_are_corrected_as_one_family(makers: dict[str, Make]) -> None:
    trial = makers["judged"]()
    rungs = ladder.corrected(climbed(trial, "passages", "center", "hybrid"))
    found = [r.comparison for r in rungs if r.comparison]
    assert len(found) == 3
    smallest = min(found, key=lambda c: c.p)
    assert smallest.p_corrected == pytest.approx(min(1.0, 3 * smallest.p))
    assert all(c.p_corrected >= c.p for c in found)


def test_untouched_pipelines_and_the_users_run_are_scored_on_the_same_queries(makers: dict[str, Make]) -> None:
    trial = makers["judged"]()
    own: Json = {q.id: {next(iter(trial.qrels[q.id])): 1.0} for q in trial.queries[:15]}
    found = {b.name: b for b in ladder.baselines(trial, {"mine": own, "elsewhere": {"other": {"d1": 1.0}}})}
    assert list(found) == ["base", "bm25", "rrf", "mine"]
    assert found["mine"].root is None
    assert found["mine"].scores.mean == pytest.approx(15 / 60)  # queries the run lacks score 0
    assert {b.scores.queries for b in found.values()} == {tuple(q.id for q in trial.queries)}
    assert found["base"].root == {"stage": "dense", "view": "truncated", "transform": "none", "depth": 20}


def test_a_center_attempt_says_what_both_transforms_scored(attempts: Attempts) -> None:
    answer = attempts["judged", "center"][2]
    assert isinstance(answer, Attempt)
    assert set(answer.detail["means"]) == {"center", "standardise"}
    assert answer.state.root["transform"] == answer.detail["chosen"]
    assert answer.state.root == answer.state.dense


def test_what_the_final_trees_read_is_what_the_recipe_names(attempts: Attempts, whole: Builder) -> None:
    for name, remembers in (("ranker", False), ("memory", True)):
        answer = attempts["judged", name][2]
        assert isinstance(answer, Attempt)
        root = answer.state.root
        assert whole.artefacts.get(root["trees"])
        assert bool(root["judged"]) == remembers
        inputs = [node["stage"] for node in root["input"]["inputs"]]
        assert ("memory" in inputs) == remembers


def test_a_promoted_memory_holds_the_training_side_and_the_dev_side(
    attempts: Attempts, whole: Builder, queries: tuple[Query, ...]
) -> None:
    answer = attempts["judged", "memory"][2]
    assert isinstance(answer, Attempt)
    kept = json.loads(whole.artefacts.get(answer.state.root["judged"]))
    assert sorted(kept["texts"]) == sorted(query.text for query in queries)


def test_an_index_is_not_changed_by_trying(whole: Builder, attempts: Attempts) -> None:
    index: Index = whole.index
    assert np.allclose(np.linalg.norm(index.truncated, axis=1), 1, atol=1e-5)
    assert index.store.snapshot.number == 1
