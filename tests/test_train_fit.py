"""Learning: the loss is what its formula says, gradients do not depend on memory, a killed training goes on."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from resurvey.errors import ResurveyError
from resurvey.search.encode import SentenceEncoder, load
from resurvey.train.batches import epoch
from resurvey.train.card import card, save
from resurvey.train.fit import fit, ndcg, shape
from resurvey.train.launch import spread
from resurvey.train.loss import contrast
from resurvey.train.merge import interpolate, weights
from resurvey.train.reader import Reader, backward
from resurvey.train.task import Dials, HeldOut, Lesson, Task
from resurvey.train.task import load as load_lesson
from resurvey.train.task import save as save_lesson
from resurvey.types import Document, Query

DIALS = Dials(rate=2e-3, anchors=6, shared=2, extras=2, passes=6, checks=6, patience=9, dimensions=(8,))


@pytest.fixture
def model(model_folder: Path) -> SentenceTransformer:
    return load(str(model_folder)).model


@pytest.fixture(scope="module")
def lesson(documents: tuple[Document, ...], queries: tuple[Query, ...]) -> Lesson:
    """Two queries of every document teach, the third is held out."""
    taught = [place for place in range(len(queries)) if place % 3 < 2]
    task = Task(
        tuple(queries[p].text for p in taught), tuple(d.full_text for d in documents),
        tuple((p // 3,) for p in taught), tuple((((p // 3) + 1) % 20, ((p // 3) + 2) % 20) for p in taught), tuple(range(20)),
    )  # fmt: skip
    held = HeldOut(
        tuple(q.text for q in queries[2::3]), task.passages, tuple(d.id for d in documents),
        tuple({d.id: 1} for d in documents),
    )  # fmt: skip
    return Lesson(task, DIALS, held)


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 0.0) -> bool:
    return all(torch.allclose(one[name].float(), other[name].float(), rtol=0, atol=tolerance) for name in one)


def test_with_one_answer_the_loss_is_cross_entropy() -> None:
    torch.manual_seed(0)
    queries, passages = torch.randn(4, 6), torch.randn(5, 6)
    answers = torch.zeros(4, 5, dtype=torch.bool)
    answers[range(4), [1, 0, 4, 2]] = True
    none = torch.zeros_like(answers)
    similar = torch.nn.functional.cosine_similarity(queries[:, None], passages[None], dim=2) / 0.1
    expected = torch.nn.functional.cross_entropy(similar, torch.tensor([1, 0, 4, 2]))
    assert contrast(queries, passages, answers, none, 0.1, [6]).item() == pytest.approx(expected.item(), rel=1e-5)
    short = contrast(queries[:, :3], passages[:, :3], answers, none, 0.1, [3])
    both = contrast(queries, passages, answers, none, 0.1, [6, 3])
    assert both.item() == pytest.approx((expected.item() + short.item()) / 2, rel=1e-5)


def test_what_is_ignored_counts_for_nothing_and_each_answer_counts_alone() -> None:
    query, passages = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    answers = torch.tensor([[True, True, False, False]])
    ignored = torch.tensor([[False, False, True, False]])
    found = contrast(query, passages, answers, ignored, 1.0, [2]).item()
    expected = sum(-math.log(math.exp(s) / (math.exp(s) + math.exp(0.0))) for s in (1.0, 0.8)) / 2
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_reader_reads_as_the_model_encodes(model: SentenceTransformer, lesson: Lesson) -> None:
    model.eval()
    texts = lesson.task.passages
    reader = Reader(model, texts, "", 512)
    with torch.inference_mode():
        places = np.array([5, 0, 19, 7, 7])
        found = reader.vectors(places).numpy()
    expected = model.encode([texts[p] for p in places])
    assert np.abs(found - expected).max() < 1e-5
    assert max(map(len, Reader(model, texts, "", 10).ids)) == 10


def test_gradients_are_the_same_however_little_may_be_held(model: SentenceTransformer, lesson: Lesson) -> None:
    asked, read = Reader(model, lesson.task.queries[:6], "", 32), Reader(model, lesson.task.passages[:6], "", 32)
    answers = torch.eye(6, dtype=torch.bool)
    model.eval()

    def gradients(held: int) -> tuple[float, list[torch.Tensor]]:
        model.zero_grad()
        loss = lambda q, p: contrast(q, p, answers, ~answers & False, 0.1, [16])  # noqa: E731
        value = backward((asked, np.arange(6)), (read, np.arange(6)), loss, held)
        return value, [p.grad.clone() for p in model.parameters() if p.grad is not None]

    (one, first), (two, second) = gradients(10**9), gradients(0)
    assert one == pytest.approx(two, rel=1e-5)
    for a, b in zip(first, second, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_training_finds_what_the_base_did_not(model: SentenceTransformer, lesson: Lesson, tmp_path: Path) -> None:
    before = ndcg(model, lesson)
    course = fit(model, lesson, tmp_path)
    assert course.log[0]["held out"] == pytest.approx(before)
    assert course.best["held out"] > before + 0.1
    best = load(str(course.model)).model
    assert ndcg(best, lesson) == pytest.approx(course.best["held out"], abs=1e-6)
    again = fit(best, lesson, tmp_path)  # finished: nothing is trained anew
    assert again.log == course.log


class KilledError(Exception):
    pass


@pytest.mark.parametrize("moment", [0.0, 0.5], ids=["after the first check", "half-way"])
def test_a_killed_training_goes_on_and_ends_alike(
    model_folder: Path, lesson: Lesson, tmp_path: Path, moment: float
) -> None:
    whole = fit(load(str(model_folder)).model, lesson, tmp_path / "whole")

    def killed(task: str, done: int, total: int) -> None:
        if task == "learning" and done == int(moment * total) + 1:
            raise KilledError

    with pytest.raises(KilledError):
        fit(load(str(model_folder)).model, lesson, tmp_path / "killed", killed)
    seen: list[int] = []
    resumed = fit(
        load(str(model_folder)).model, lesson, tmp_path / "killed", lambda task, done, _: seen.append(done) if task == "learning" else None
    )  # fmt: skip
    assert moment * whole.log[-1]["of"] <= seen[0] < whole.log[-1]["of"]
    kept = ("step", "loss", "held out")
    assert [[row[k] for k in kept] for row in resumed.log] == [[row[k] for k in kept] for row in whole.log]
    assert close(weights(load(str(resumed.model)).model), weights(load(str(whole.model)).model))
    other = replace(lesson, dials=replace(lesson.dials, seed=14))
    assert fit(load(str(model_folder)).model, other, tmp_path / "killed").log[1] != whole.log[1]


def test_it_stops_when_nothing_gets_better(model: SentenceTransformer, lesson: Lesson, tmp_path: Path) -> None:
    still = replace(lesson, dials=replace(lesson.dials, rate=1e-12, patience=2))
    course = fit(model, still, tmp_path)
    assert course.log[-1]["step"] < course.log[-1]["of"]
    assert course.best["step"] == 0
    part = replace(lesson, held_out=None, dials=replace(lesson.dials, stop=0.5))
    course = fit(model, part, tmp_path / "part")
    assert course.log[-1]["step"] == round(0.5 * course.log[-1]["of"])


def test_frozen_layers_stay_as_they_are(model: SentenceTransformer, lesson: Lesson, tmp_path: Path) -> None:
    before = weights(model)
    fit(model, replace(lesson, dials=replace(DIALS, layers=1, passes=1)), tmp_path)
    changed = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all("layer.1." in name or "pooler" in name for name in changed)


def test_several_processes_learn_together_as_torchrun_starts_them(
    model_folder: Path, lesson: Lesson, tmp_path: Path
) -> None:
    """Two processes see half of the batches each, and come to one model."""
    save_lesson(replace(lesson, dials=replace(DIALS, passes=3, patience=1)), tmp_path)
    course = spread(str(model_folder), tmp_path, 2)
    alone = sum(len(epoch(lesson.task, DIALS, number)) for number in range(3))
    assert course.log[-1]["of"] == -(-alone // 2)
    assert course.best["held out"] > course.log[0]["held out"]
    assert ndcg(load(str(course.model)).model, lesson) == pytest.approx(course.best["held out"], abs=1e-6)
    assert [row["step"] for row in course.log].count(0) == 1
    with pytest.raises(ResurveyError, match=r"2 processes ended with 1: .*no model"):
        spread(str(tmp_path / "no model"), tmp_path, 2)


def test_interpolated_weights_lie_between(model: SentenceTransformer, model_folder: Path) -> None:
    base = weights(model)
    trained = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in base.items()}
    for share in (0.0, 0.5, 1.0):
        interpolate(model, base, trained, share)
        for name, tensor in weights(model).items():
            if tensor.is_floating_point():
                assert torch.allclose(tensor, base[name] + share, atol=1e-6)


def test_a_lesson_round_trips_through_its_folder(lesson: Lesson, tmp_path: Path) -> None:
    named = replace(lesson, task=replace(lesson.task, sources=("judgment",) * 40), prompts=("ask: ", "read: "))
    save_lesson(named, tmp_path)
    found = load_lesson(tmp_path)
    assert found == named
    assert found.key == named.key
    save_lesson(replace(named, held_out=None), tmp_path / "bare")
    assert load_lesson(tmp_path / "bare").held_out is None
    assert len({named.key, replace(named, held_out=None).key, replace(named, dials=Dials(seed=2)).key}) == 3


def test_a_model_card_says_how_to_load_what_lies_beside_it(encoder: SentenceEncoder, tmp_path: Path) -> None:
    row = {"step": 3, "of": 4, "loss": 0.5, "held out": None, "seconds": 2.0}
    detail = {"queries": 1200, "passages": 5, "steps": 4, "best step": 3, "log": [row]}
    save(encoder.model, tmp_path / "m", card(detail, DIALS, "/somewhere/base", 0.75))
    text = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "1,200 queries" in text
    assert "75%" in text
    assert "/somewhere" not in text
    code = re.search(r"```python\n(.+?)```", text, re.DOTALL)
    assert code
    asked = code.group(1) + "\nimport json\nprint(json.dumps(model.encode(['pump']).shape))"
    done = subprocess.run(
        [sys.executable, "-c", asked.replace("this folder", str(tmp_path / "m"))], capture_output=True, text=True, check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == [1, encoder.dimensions]


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [shape(step, 20) for step in range(20)]
    assert rates[0] == 0.5
    assert max(rates) == 1.0
    assert rates[-1] == pytest.approx(1 / 18)
    assert rates[2:] == sorted(rates[2:], reverse=True)
