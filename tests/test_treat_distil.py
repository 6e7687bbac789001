"""Distillation: a teacher that knows better makes a better student, one that does not is refused; another encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from classroom import Make, kin_of

from resurvey.search.encode import load as load_encoder
from resurvey.settings import Settings
from resurvey.train.batches import epoch
from resurvey.train.loss import margins
from resurvey.train.task import Dials, Lesson, load, save
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.contrast import contrast
from resurvey.treat.distil import UNIT, asked, distil, open_teacher
from resurvey.treat.encoder import encoder as other_encoder
from resurvey.treat.lesson import task_of
from resurvey.treat.trial import Trial


def told(trial: Trial, **values: str | int) -> Trial:
    return replace(trial, settings=Settings({**trial.settings.values, **values}), _runs={}, crossed={})


@pytest.fixture
def taught(make: Make) -> tuple[Trial, State, str]:
    """A trial, where it stands, and a folder with an encoder that many judged queries taught."""
    trial, state = make(40)
    found = contrast(trial, state)
    assert isinstance(found, Attempt)
    return trial, state, str(trial.artefacts.folder_of(found.state.dense["model"]))


def test_the_loss_is_the_mean_square_of_margins_between_all_pairs() -> None:
    torch.manual_seed(1)
    queries, passages, said = torch.randn(3, 5), torch.randn(4, 5), torch.randn(3, 4)
    said[0, 2] = said[2, 0] = said[2, 1] = said[2, 3] = float("nan")
    similar = torch.nn.functional.cosine_similarity(queries[:, None], passages[None], dim=2) / 0.1
    total, count = 0.0, 0
    for row, known in ((0, [0, 1, 3]), (1, [0, 1, 2, 3])):  # one score alone has no margin
        own, other = similar[row, known], said[row, known]
        apart = (own[:, None] - own[None]) - (other[:, None] - other[None])
        total += float(apart.square().sum()) / (2 * len(known))
        count += len(known)
    assert margins(queries, passages, said, 0.1).item() == pytest.approx(total / count, rel=1e-4)
    assert margins(queries, passages, torch.full((3, 4), float("nan")), 0.1).item() == 0.0


def test_what_the_teacher_says_stands_in_the_batches_and_travels_with_the_lesson(
    taught: tuple[Trial, State, str], tmp_path: Path
) -> None:
    trial, state, folder = taught
    teacher = open_teacher(trial, f"encoder:{folder}")
    task = asked(task_of(trial, state, trial.surplus, kin_of(trial))[0], teacher, trial)
    apart = np.concatenate([
        (np.array(row[: len(p)])[:, None] - np.array(row[len(p) :])[None]).ravel()
        for row, p in zip(task.taught, task.positives, strict=True)
    ])  # fmt: skip
    assert np.sqrt(np.mean(apart**2)) == pytest.approx(UNIT)
    assert apart.mean() > 0
    for batch in epoch(task, Dials(anchors=8, extras=4), 0):
        assert batch.taught is not None
        for row, query in enumerate(batch.queries):
            known = dict(zip((*task.positives[query], *task.negatives[query]), task.taught[query], strict=True))
            for column, passage in enumerate(batch.passages):
                value = batch.taught[row, column]
                assert np.isnan(value) if passage not in known else value == pytest.approx(known[passage])
    lesson = Lesson(replace(task, sources=("judgment",) * len(task.queries)), Dials(distil=0.1))
    save(lesson, tmp_path)
    assert load(tmp_path) == lesson
    assert replace(task, taught=()).key != task.key


def test_where_judgments_are_half_wrong_a_better_teacher_makes_a_better_student(
    taught: tuple[Trial, State, str],
) -> None:
    """As with clicks: what teaches is noisy, what judges is not, and the teacher knows better."""
    trial, state, folder = taught
    rng, ids = np.random.default_rng(0), [document.id for document in trial.index.documents]
    wrong = {q.id: {ids[rng.integers(len(ids))]: 1} for q in trial.surplus if rng.random() < 0.5}
    noisy = replace(told(trial, teacher=f"encoder:{folder}"), qrels={**trial.qrels, **wrong})
    alone, found = contrast(noisy, state), distil(noisy, state)
    assert isinstance(alone, Attempt)
    assert isinstance(found, Attempt)
    untouched, without, helped = (noisy.scores(run, "").mean for run in (state.run, alone.state.run, found.state.run))
    assert untouched < without < helped - 0.05
    assert found.detail["teacher"] == f"encoder:{folder}"
    assert found.detail["teacher ahead"].startswith("+")


def test_a_teacher_that_knows_no_better_is_refused(taught: tuple[Trial, State, str]) -> None:
    trial, state, _ = taught
    answer = distil(told(trial, teacher=f"encoder:{trial.index.encoder.name}"), state)
    assert isinstance(answer, Nothing)
    assert "no better than the encoder" in answer.reason
    answer = distil(trial, state)
    assert isinstance(answer, Nothing)
    assert "no teacher is configured" in answer.reason
    silent = told(trial, teacher="http://127.0.0.1:9/v1/rerank")
    answer = distil(silent, state)
    assert isinstance(answer, Nothing)
    assert "does not answer" in answer.reason


def test_a_better_encoder_becomes_the_base_and_an_equal_one_does_not(taught: tuple[Trial, State, str]) -> None:
    trial, state, folder = taught
    named = told(trial, encoders=f"{trial.index.encoder.name}, {folder}")
    found = other_encoder(named, state)
    assert isinstance(found, Attempt)
    assert found.detail["chosen"] == folder
    tried: dict[str, Any] = found.detail["tried"]
    assert tried[trial.index.encoder.name]["points"] == 0.0
    assert tried[folder]["points"] > 5
    assert trial.builder.in_space(found.state.dense["model"]).encoder.fingerprint == load_encoder(folder).fingerprint
    assert named.scores(found.state.run, "").mean > named.scores(state.run, "").mean
    answer = other_encoder(told(trial, encoders=trial.index.encoder.name), state)
    assert isinstance(answer, Nothing)
    assert "+0.0 points" in answer.reason
    assert "the one that is there stays" in answer.reason
    for changed, reason in (
        (trial, "no other encoder is named"),
        (replace(named, groups=("title",) * len(named.queries)), "stand-in queries"),
    ):
        answer = other_encoder(changed, state)
        assert isinstance(answer, Nothing)
        assert reason in answer.reason
