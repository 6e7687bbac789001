"""The contrast rung: what it teaches, who judges it, and that what follows is fitted on honest evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from classroom import Make, kin_of

from resurvey.data.split import folds
from resurvey.search import recipe
from resurvey.search.encode import SentenceEncoder, load
from resurvey.search.index import open_index
from resurvey.settings import Settings
from resurvey.train import fit
from resurvey.treat import school
from resurvey.treat.attempt import Attempt, Nothing
from resurvey.treat.contrast import contrast
from resurvey.treat.lesson import alike, held_out_of, kindred, parted, task_of
from resurvey.treat.ranker import ranker
from resurvey.treat.school import CHECKS, PASSES, affordable, dials_for
from resurvey.types import Document


def test_surplus_queries_teach_and_those_tried_on_judge(make: Make) -> None:
    trial, state = make(40)
    found = contrast(trial, state)
    assert isinstance(found, Attempt)
    assert found.detail["queries"] == len(parted(trial.surplus, 13)[0])
    assert not {q.id for q in trial.surplus} & {q.id for q in trial.queries}
    assert not trial.crossed
    assert trial.scores(found.state.run, "new").mean > trial.scores(state.run, "old").mean
    model = found.state.dense["model"]
    assert found.state.root == found.state.dense == {**state.dense, "model": model}
    kept = trial.artefacts.folder_of(model)
    assert load(str(kept)).fingerprint == trial.builder.in_space(model).encoder.fingerprint
    assert "adapted by Resurvey" in (kept / "README.md").read_text(encoding="utf-8")
    (done,) = (trial.artefacts.folder.parent / "training").iterdir()
    stale = done.with_name("0" * 16)
    stale.mkdir()
    before = (done / "log.json").stat().st_mtime_ns
    school.tidy(trial)
    again = contrast(trial, state)  # as after a kill: what was learned is found, not learned again
    assert isinstance(again, Attempt)
    assert again.state.dense == found.state.dense
    assert (done / "log.json").stat().st_mtime_ns == before
    assert not stale.exists()


def test_with_few_queries_each_half_is_judged_by_what_the_other_taught(make: Make) -> None:
    trial, state = make(1500)
    assert not trial.surplus
    found = contrast(trial, state)
    assert isinstance(found, Attempt)
    model = found.state.dense["model"]
    used = trial.crossed[model]
    assert {used[p] for p in range(len(trial.queries)) if trial.fold[p] < 0} == {model}
    halves = {used[p] for p in trial.training}
    assert len(halves) == 2
    assert model not in halves
    for half in halves:
        mine = [trial.queries[p] for p in trial.training if used[p] == half]
        alone = trial.builder.node({**found.state.dense, "model": half}).search(mine)
        for query in mine:
            assert found.state.run[query.id].documents == alone[query.id].documents
    assert "halves" in found.detail
    assert trial.builder.judges == halves, "only what is kept has to be as exact as what is served"


def test_what_the_training_found_at_both_ends_is_not_asked_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trial, state = make(40)
    asked = []
    monkeypatch.setattr(school, "ndcg", lambda *given: asked.append(given) or 0.5)
    found = contrast(trial, state)
    assert isinstance(found, Attempt)
    assert len(asked) == len(school.SHARES) - 1
    scores, log = found.detail["held out by share"], found.detail["log"]
    assert scores["0"] == log[0]["held out"]
    assert scores["1"] == max(row["held out"] for row in log)
    assert list(scores) == ["0", "0.25", "0.5", "0.75", "1"]


def test_a_ranker_on_top_reads_the_evidence_of_the_model_that_never_saw_the_query(make: Make) -> None:
    trial, state = make(1500)
    found = contrast(trial, state)
    assert isinstance(found, Attempt)
    model = found.state.dense["model"]
    asked: list[tuple[str, frozenset[str]]] = []
    evidence = trial.builder.evidence

    def watched(judged: str = "", model: str = "", *, adapted: bool = False) -> object:
        inner = evidence(judged, model, adapted=adapted)
        pairs = inner.pairs
        inner.pairs = lambda queries, run: (
            asked.append((model, frozenset(q.id for q in queries))),
            pairs(queries, run),
        )[1]  # type: ignore[method-assign,func-returns-value]
        return inner

    trial.builder.evidence = watched  # type: ignore[method-assign,assignment]
    ranked = ranker(trial, found.state)
    assert isinstance(ranked, Attempt)
    assert ranked.state.root["model"] == model
    for used, ids in asked:
        assert {trial.crossed[model][p] for p, q in enumerate(trial.queries) if q.id in ids} == {used}
    served = trial.builder.node(ranked.state.root).search(trial.queries[:3])
    assert all(len(served[q.id]) for q in trial.queries[:3])


def test_few_queries_are_passed_over_more_often_and_looked_at_less(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    trial, state = make(40)
    task, _ = task_of(trial, state, trial.surplus, kin_of(trial))
    held = held_out_of(trial, state, trial.surplus[:20])
    small = dials_for(trial, task, held, 1.0)
    assert (small.passes, small.dimensions) == (PASSES, ())
    wide = replace(held, passages=held.passages * 20)
    assert dials_for(trial, task, wide, 1.0).checks == CHECKS[0] <= small.checks < CHECKS[1]
    long = replace(task, passages=tuple("a word of the corpus " * 200 for _ in task.passages))
    dear = dials_for(trial, replace(long, queries=task.queries * 400, positives=task.positives * 400), held, 0.5)
    assert (dear.passes, dear.checks, dear.stop) == (1, CHECKS[1], 0.5)
    assert len(affordable(trial.queries * 4000, ["long " * 500], 13)) < 4000 * len(trial.queries)


def test_what_it_cannot_do_it_says(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trial, state = make(1500)
    fused = recipe.untouched(trial.depth)[recipe.RRF]
    for other, reason in (
        (replace(trial, groups=("title",) * len(trial.queries)), "no judged queries"),
        (trial, "before others join"),
    ):
        answer = contrast(other, replace(state, root=fused))
        assert isinstance(answer, Nothing)
        assert reason in answer.reason
    monkeypatch.setattr(school, "LEAST", 1000)
    answer = contrast(trial, state)
    assert isinstance(answer, Nothing)
    assert "120 judged queries" in answer.reason


def test_weights_that_help_nobody_are_not_kept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trial, state = make(40)
    for asks in (school, fit):
        monkeypatch.setattr(asks, "ndcg", lambda model, lesson: -1.0)
    answer = contrast(trial, state)
    assert isinstance(answer, Nothing)
    assert "however little" in answer.reason


def test_no_known_answer_nor_its_kin_is_a_negative(make: Make) -> None:
    trial, state = make(40)
    task, mined = task_of(trial, state, trial.surplus, kin_of(trial))
    assert mined.log["taken"] > 0
    for positives, negatives in zip(task.positives, task.negatives, strict=True):
        assert positives
        assert not {task.kin[p] for p in positives} & {task.kin[n] for n in negatives}
    texts = set(trial.index.cut.texts)
    assert set(task.passages) <= texts


def test_parts_of_one_document_and_documents_with_a_passage_alike_are_kin() -> None:
    owners, labels = np.array([0, 0, 1, 2, 2, 3]), np.array([5, 6, 7, 6, 8, 9])
    kin = kindred(owners, labels).tolist()
    assert kin[0] == kin[1] == kin[3] == kin[4]
    assert len({kin[0], kin[2], kin[5]}) == 3


def test_the_same_words_are_alike_unless_a_code_differs(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings
) -> None:
    """Long texts that differ in one thread size are two things; the same words in another case are one."""
    rest = "hex bolt of zinc plated steel with a flange head for pump housings and pipe clamps"
    texts = [f"{rest} 5/16-18", f"{rest} 5/16-24", f"{rest.upper()} 5/16-18", "an oil filter"]
    documents = [Document(str(place), text) for place, text in enumerate(texts)]
    index = open_index(
        tmp_path / "alike", documents, encoder, Settings({**plain_settings.values, "passage_tokens": 120})
    )
    labels = alike(index)[index.starts].tolist()
    assert labels[0] == labels[2]
    assert len({labels[0], labels[1], labels[3]}) == 3


def test_held_out_queries_have_their_answers_among_the_passages(make: Make) -> None:
    trial, state = make(40)
    taught, asked = parted(trial.surplus, 13)
    assert sorted(q.id for q in (*taught, *asked)) == sorted(q.id for q in trial.surplus)
    assert 10 <= len(asked) <= 20
    held = held_out_of(trial, state, asked)
    assert held.queries == tuple(q.text for q in asked)
    for query, grades in zip(asked, held.qrels, strict=True):
        assert grades == trial.qrels[query.id]
        assert set(grades) <= set(held.owners)


def test_no_ranking_rests_on_judgments_of_the_query_itself(make: Make) -> None:
    """Queries of one half get other answers: what is found for that half does not change."""
    trial, state = make(1500)
    half = folds([trial.queries[p] for p in trial.training], 2, 13)
    turned = {trial.queries[p].id for p in trial.training[half == 0]}
    qrels = {q: {f"d{(int(next(iter(g))[1:]) + 10) % 40}": 1} if q in turned else g for q, g in trial.qrels.items()}
    one, other = contrast(trial, state), contrast(replace(trial, qrels=qrels, crossed={}, _runs={}), state)
    assert isinstance(one, Attempt)
    assert isinstance(other, Attempt)
    for query in turned:
        assert one.state.run[query].documents == other.state.run[query].documents
