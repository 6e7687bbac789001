"""Further rounds: from the weights of the first, from synthetic queries beside judged ones, from pretrained weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classroom import Make, kin_of

from resurvey.search.encode import load
from resurvey.train.examples import JUDGMENT, Example, Examples
from resurvey.train.masked import Masking, can_guess, pretrain
from resurvey.treat import pretrain as pretraining
from resurvey.treat import school, synthetic
from resurvey.treat.attempt import Attempt, Nothing
from resurvey.treat.contrast import contrast
from resurvey.treat.lesson import task_of
from resurvey.treat.pretrain import pretrained
from resurvey.treat.remine import remine

TEXTS = [f"the {a} of the pump turns the {b} of the valve" for a in ("rotor", "seal") for b in ("gasket", "flange")] * 9


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From which weights every training began."""
    seen: list[str] = []
    learn = school.learn

    def watched(source: str, *given: Any) -> object:
        seen.append(source)
        return learn(source, *given)

    monkeypatch.setattr(school, "learn", watched)
    return seen


def test_a_second_round_goes_on_from_the_weights_that_learned_from_the_same_queries(
    make: Make, taught: list[str]
) -> None:
    trial, state = make(1500)
    answer = remine(trial, state)
    assert isinstance(answer, Nothing)
    assert "no first round" in answer.reason
    first = contrast(trial, state)
    assert isinstance(first, Attempt)
    model = first.state.dense["model"]
    judges = dict(zip((trial.queries[p].id for p in range(len(trial.queries))), trial.crossed[model], strict=True))
    taught.clear()
    mined: list[frozenset[str]] = []
    task = school.task_of

    def watched(trial: Any, state: Any, queries: Any, *rest: Any) -> object:
        mined.append(frozenset(q.id for q in queries))
        return task(trial, state, queries, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(school, "task_of", watched)
        second = remine(trial, first.state)
    assert len(taught) == len(mined)
    for source, queries in zip(taught[:2], mined[:2], strict=True):
        others = {judges[q.id] for q in (trial.queries[p] for p in trial.training) if q.id not in queries}
        assert source in {str(trial.artefacts.folder_of(other)) for other in others}
        own = {judges[q] for q in queries}
        assert source not in {str(trial.artefacts.folder_of(other)) for other in own}
    if isinstance(second, Attempt):
        assert taught[2] == str(trial.artefacts.folder_of(model))
        assert second.state.dense["model"] != model


def test_from_surplus_a_second_round_goes_on_from_the_first(make: Make, taught: list[str]) -> None:
    trial, state = make(40)
    first = contrast(trial, state)
    assert isinstance(first, Attempt)
    remine(trial, first.state)
    assert taught == [trial.index.encoder.name, str(trial.artefacts.folder_of(first.state.dense["model"]))]
    assert len(trial.trainings) == 2
    school.tidy(trial)
    assert len(list(school.folder_of(trial).iterdir())) == 2


def test_examples_teach_beside_judgments_and_hide_what_they_were_lifted_from(make: Make) -> None:
    trial, state = make(40)
    document = trial.index.documents[7]
    first = document.text.split()[0]
    rows = (
        Example("somewhere a thing", document.id, "synthetic: keywords"),
        Example(first, document.id, "synthetic: sentence", lifted=(0, len(first))),
        Example("of a document that is gone", "gone", "synthetic: title"),
    )
    alone, _ = task_of(trial, state, trial.surplus, kin_of(trial))
    task, _ = task_of(trial, state, trial.surplus, kin_of(trial), Examples(rows))
    assert task.queries[:-2] == alone.queries
    assert task.sources == (*(JUDGMENT,) * len(alone.queries), "synthetic: keywords", "synthetic: sentence")
    whole, hidden = (task.passages[task.positives[place][0]] for place in (-2, -1))
    assert whole == document.text
    assert hidden.split() == document.text.split()[1:]
    assert task.kin[task.positives[-1][0]] == task.kin[task.positives[-2][0]]


def test_synthetic_queries_are_made_from_the_corpus_and_their_table_is_kept(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, state = make(40)
    monkeypatch.setattr(synthetic, "FEWEST", 1000)
    answer = synthetic.synthetic(trial, state)
    assert isinstance(answer, Nothing)
    assert "synthetic queries passed" in answer.reason
    monkeypatch.setattr(synthetic, "FEWEST", 1)
    monkeypatch.setattr(synthetic, "synthesise", lambda *_, **__: made)
    rows = Examples(
        tuple(Example(d.text.split()[0] + " thing", d.id, "synthetic: title") for d in trial.index.documents)
    )
    made = synthetic_result(rows)
    found = synthetic.synthetic(trial, state)
    assert isinstance(found, Attempt)
    assert found.detail["examples"] == {JUDGMENT: found.detail["queries"] - len(rows), "synthetic: title": len(rows)}
    assert trial.artefacts.get(found.detail["examples table"]) == rows.dump()


def synthetic_result(rows: Examples) -> Any:
    from resurvey.train.synthesis import Synthesis

    return Synthesis(rows, {"kept": rows.counts()})


def test_guessing_hidden_words_gets_easier_and_is_done_once(model_folder: Path, tmp_path: Path) -> None:
    dials = Masking(rate=3e-3, head_rate=1e-2, passes=12, step=128)
    place, seen = pretrain(str(model_folder), TEXTS, tmp_path, dials)
    assert seen["loss at the end"] < 0.7 * seen["loss"]
    one, other = (load(str(folder)).model.state_dict() for folder in (model_folder, place))
    changed = {name for name in one if not np.array_equal(one[name].numpy(), other[name].numpy())}
    assert any("word_embeddings" in name for name in changed)
    assert one.keys() == other.keys()
    before = (place / "model.safetensors").stat().st_mtime_ns
    assert pretrain(str(model_folder), TEXTS, tmp_path, dials) == (place, seen)
    assert (place / "model.safetensors").stat().st_mtime_ns == before
    assert pretrain(str(model_folder), TEXTS, tmp_path / "again", dials)[1] == seen
    assert pretrain(str(model_folder), TEXTS, tmp_path, replace(dials, seed=1))[1] != seen
    few = pretrain(str(model_folder), TEXTS, tmp_path / "few", replace(dials, tokens=300, passes=1))[1]
    assert few["steps"] < seen["steps"] / 12


def test_while_the_head_learns_alone_the_encoder_stays(model_folder: Path, tmp_path: Path) -> None:
    place, _ = pretrain(str(model_folder), TEXTS, tmp_path, Masking(head=1.0, step=128))
    one, other = (load(str(folder)).model.state_dict() for folder in (model_folder, place))
    assert all(np.array_equal(one[name].numpy(), other[name].numpy()) for name in one)
    assert can_guess(str(model_folder))


def test_contrasts_are_learned_from_pretrained_weights(
    make: Make, taught: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, state = make(40)
    answer = pretrained(trial, state)
    assert isinstance(answer, Nothing)
    assert "40 passages" in answer.reason
    monkeypatch.setattr(pretraining, "FEWEST", 20)
    found = pretrained(trial, state)
    assert isinstance(found, Attempt)
    assert taught == [str(school.folder_of(trial) / "masked" / "model")]
    assert found.detail["pretraining"]["texts"] == 40
    assert trial.scores(found.state.run, "new").mean > trial.scores(state.run, "old").mean
