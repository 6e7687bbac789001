"""The reranking rungs: off the shelf where one is configured, trained where judgments teach one, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reranking import Planted, serving, shared_words
from test_treat import collected, start

from resurvey.decide.plan import decide
from resurvey.decide.rules import Facts
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import open_index
from resurvey.settings import Settings
from resurvey.treat import blending, crosstrain
from resurvey.treat.attempt import Attempt, Nothing
from resurvey.treat.blending import affordable
from resurvey.treat.crossencoder import School, cross_encoder, without_reranker
from resurvey.treat.crosstrain import Example, Held, train
from resurvey.treat.reranker import reranker
from resurvey.treat.trial import Trial, judged_trial
from resurvey.types import Diagnosis, Document, Finding, Query, Run
from resurvey.workspace import Artefacts

Make = Callable[..., Trial]


@pytest.fixture(scope="module")
def make(
    tmp_path_factory: pytest.TempPathFactory,
    documents: tuple[Document, ...],
    queries: tuple[Query, ...],
    qrels: dict[str, dict[str, int]],
    encoder: SentenceEncoder,
    plain_settings: Settings,
) -> Make:
    """A trial on the sixty queries under any settings."""
    folder = tmp_path_factory.mktemp("reranker")
    builder = Builder(open_index(folder / "index", documents, encoder, plain_settings), Artefacts(folder / "artefacts"))

    def made(**changed: str | int) -> Trial:
        settings = Settings({**plain_settings.values, "rerank_depth": 20, **changed})
        return judged_trial(collected(documents, queries, qrels), builder, settings)

    return made


def reason(answer: Attempt | Nothing) -> str:
    assert isinstance(answer, Nothing)
    return answer.reason


def test_nothing_is_reranked_where_no_reranker_is_configured(make: Make) -> None:
    trial = make()
    assert reason(reranker(trial, start(trial))).startswith("no reranker is configured")


def test_a_good_endpoint_gets_its_weight_and_the_recipe_that_names_it_searches(make: Make) -> None:
    with serving(shared_words) as served:
        trial = make(reranker=served.url)
        state = start(trial)
        answer = reranker(trial, state)
        assert isinstance(answer, Attempt)
        assert answer.detail["weight"] >= 0.5
        assert trial.scores(answer.state.run, "").mean > trial.scores(state.run, "").mean + 0.2
        node = answer.state.root
        assert (node["stage"], node["input"], node["depth"]) == ("reranked", state.root, 20)
        assert node["deadline_ms"] == 2 * trial.settings.integer("rerank_budget_ms")
        assert node["key_env"] == "RERANKER_API_KEY"
        found = trial.builder.node(node).search(trial.queries)
        assert trial.scores(found, "").mean > trial.scores(state.run, "").mean + 0.2
        again = reranker(trial, answer.state)
        assert reason(again) == "what was accepted is reranked already"


def test_an_endpoint_that_is_down_or_falls_out_is_nothing_to_build_on(make: Make) -> None:
    trial = make(reranker="http://127.0.0.1:9", rerank_depth=0)
    assert "does not answer" in reason(reranker(trial, start(trial)))
    count = [0]

    def sometimes(posted: dict[str, object]) -> tuple[int, object]:
        count[0] += 1
        return (500, {}) if count[0] == 7 else shared_words(posted)

    with serving(sometimes) as served:
        trial = make(reranker=served.url)
        assert "left 1 of 60 queries out" in reason(reranker(trial, start(trial)))


def test_a_reranker_that_misleads_gets_no_weight(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def contrary(posted: dict[str, object]) -> tuple[int, object]:
        status, body = shared_words(posted)
        return status, {"results": [{**row, "relevance_score": -row["relevance_score"]} for row in body["results"]]}

    monkeypatch.setattr(blending, "BLIND", 0.0)  # sixty queries alone do not outweigh it
    with serving(contrary) as served:
        trial = make(reranker=served.url)
        assert "give the reranker no weight" in reason(reranker(trial, start(trial)))


@pytest.mark.parametrize(("rate", "budget", "depth"), [(1000.0, 100, 20), (120.0, 100, 10), (40.0, 100, 0)])
def test_the_depth_is_what_the_latency_budget_allows(
    make: Make, monkeypatch: pytest.MonkeyPatch, rate: float, budget: int, depth: int
) -> None:
    monkeypatch.setattr(blending, "speed", lambda *_: rate)
    trial = make(rerank_depth=0, rerank_budget_ms=budget)
    allowed = affordable(trial, start(trial).run, Planted(lambda query, text: 0.0), lambda query, ids: list(ids))
    assert (allowed.depth, allowed.pairs_a_second) == (depth, rate)


def test_many_queries_are_looked_at_less_deeply(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blending, "speed", lambda *_: 1000.0)
    monkeypatch.setattr(blending, "MOST_SECONDS", 0.6)  # 600 pairs for 60 queries
    trial = make(rerank_depth=0)
    assert affordable(trial, start(trial).run, Planted(lambda q, t: 0.0), lambda q, ids: list(ids)).depth == 10


def test_speed_is_measured_on_real_pairs_after_a_warm_up(make: Make) -> None:
    trial, scorer = make(rerank_depth=0), Planted(lambda query, text: 0.0)
    assert affordable(trial, start(trial).run, scorer, lambda query, ids: list(ids)).pairs_a_second > 0
    first, second = scorer.asked[:2]
    assert first == second  # the first one warms up
    assert sum(len(texts) for _, texts, _ in scorer.asked[1:]) >= blending.SAMPLE


# trained


def test_a_cross_encoder_learns_which_of_two_texts_answers(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`valve` is answered by `steel`, whatever the rest; the tiny model begins from a random head."""
    monkeypatch.setattr(crosstrain, "WIDTH", 0.2)
    monkeypatch.setattr(crosstrain, "EPOCHS", 12)
    fillers = ["pump", "rotor", "seal", "gear", "hose", "belt", "oil", "tank"]
    lessons = [Example("valve", f"steel {word}", (f"copper {word}", f"{word} alloy")) for word in fillers * 3]
    asked = {f"q{n}": ("valve", {"no": f"copper {w}", "yes": f"steel {w}"}) for n, w in enumerate(("chain", "nut"))}
    held = Held(asked, {id: {"yes": 1} for id in asked}, "nDCG@1")
    begun = crosstrain.from_encoder(str(model_folder), tmp_path, 3)
    model, log = train(str(begun), lessons, held, seconds=60, seed=1)
    assert held.value(model) == max(value for _, _, value in log.rows) == 1.0
    assert log.rows[-1][1] < log.rows[1][1]
    again, _ = train(str(begun), lessons, held, seconds=60, seed=1)
    model.save_pretrained(str(tmp_path / "good"), create_model_card=False)
    upside_down = [Example(e.query, e.negatives[0], (e.positive,)) for e in lessons]
    spared, harm = train(str(tmp_path / "good"), upside_down, held, seconds=60, seed=1)
    assert min(value for _, _, value in harm.rows) < held.value(spared) == 1.0  # as it was before it was harmed
    pairs = [("valve", "steel chain"), ("oil", "copper nut")]
    assert model.predict(pairs, show_progress_bar=False).tolist() == again.predict(pairs, show_progress_bar=False).tolist()  # fmt: skip


def test_training_ends_with_its_time(model_folder: Path, tmp_path: Path) -> None:
    lessons = [Example("valve", "steel", ("copper",))] * 80
    held = Held({}, {}, "nDCG@10")
    begun = crosstrain.from_encoder(str(model_folder), tmp_path, 3)
    _, log = train(str(begun), lessons, held, seconds=0, seed=1)
    assert log.planned == 3 < crosstrain.EPOCHS * 10


def test_the_trained_model_is_an_ordinary_folder_and_replaces_an_accepted_reranker(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import CrossEncoder

    monkeypatch.setattr(crosstrain, "EPOCHS", 1)
    with serving(shared_words) as served:
        first = make(reranker=served.url)
        state = start(first)
        accepted = reranker(first, state)
        assert isinstance(accepted, Attempt)
        answer = cross_encoder(first, accepted.state)
    assert isinstance(answer, Attempt)
    assert answer.state.root["input"] == state.root  # nothing is stacked
    assert answer.detail["began from"] == "the encoder, with a fresh head"
    folder = first.artefacts.folder_of(answer.state.root["model"])
    assert CrossEncoder(str(folder)).predict([("a", "b")], show_progress_bar=False).shape == (1,)
    assert "/tmp" not in "".join(path.read_text() for path in folder.glob("*.json"))


def test_what_was_there_before_a_reranker_is_found_again(make: Make) -> None:
    with serving(shared_words) as served:
        trial = make(reranker=served.url)
        state = start(trial)
        answer = reranker(trial, state)
    assert isinstance(answer, Attempt)
    beneath = without_reranker(answer.state)
    assert beneath.root == state.root
    for query, ranking in state.run.rankings.items():
        assert list(beneath.run[query].documents) == list(ranking.documents)
        assert beneath.run[query].scores.tolist() == ranking.scores.tolist()
    assert without_reranker(state) is state


def test_no_lesson_takes_a_relevant_or_a_nearly_equal_document_for_a_negative(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make()
    school = School(trial, start(trial), "", 20)
    half, other = school.halves()
    assert sorted([*half.tolist(), *other.tolist()]) == trial.training.tolist()
    assert not {int(trial.fold[p]) for p in half} & {int(trial.fold[p]) for p in other}
    place = int(half[0])
    wanted = next(iter(trial.qrels[trial.queries[place].id]))
    found = school._negatives(place, [wanted])
    assert found
    assert wanted not in found
    assert len(found) == len(set(found)) <= 20
    first = found[0]
    monkeypatch.setattr(School, "_words", lambda self, document: frozenset("xy" if document == first else document))
    assert school._negatives(place, [wanted]) == found
    monkeypatch.setattr(School, "_words", lambda self, d: frozenset("xyz") if d in (first, wanted) else frozenset(d))
    assert school._negatives(place, [wanted]) == found[1:]


def test_nothing_is_trained_without_judgments_weights_or_candidates(make: Make) -> None:
    trial = make()
    state = start(trial)
    trial.groups = ("title",) * 60
    assert "stand-in queries" in reason(cross_encoder(trial, state))
    trial = make()
    trial.fold = np.where(np.arange(60) < 39, trial.fold, -1)
    assert "39 judged queries to train on" in reason(cross_encoder(trial, state))
    trial = make()
    empty = Run("dense", {query.id: state.run[query.id].top(0) for query in trial.queries})
    assert "no judged query has both" in reason(cross_encoder(trial, replace(state, run=empty)))


@pytest.mark.parametrize(
    ("configured", "judged", "ranking", "planned"),
    [(False, 50, 40.0, []), (True, 50, 40.0, ["reranker"]), (True, 50, 5.0, []), (True, 300, 40.0, ["reranker", "cross-encoder"])],
)  # fmt: skip
def test_reranking_is_planned_where_the_order_is_what_is_wrong(
    configured: bool, judged: int, ranking: float, planned: list[str]
) -> None:
    found = Finding("R18-ranking", "", ranking, "% of queries", None, "healthy", "")
    facts = Facts(Diagnosis((found,), "judgments"), 100, 100, 0, judged, 0.0, reranker=configured)
    steps = [step.treatment for step in decide(facts, "large", ["reranker", "cross-encoder"]).steps]
    assert steps == planned
