"""The training loop: batches, steps, checks on held-out queries, the best weights kept, resumed where it was killed.

Several processes started by torchrun share the batches out among them and average their gradients. Knows nothing about
where its task came from.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resurvey.evaluate.measures import NDCG, score_mapping
from resurvey.train.batches import Batch, epoch
from resurvey.train.loss import contrast, margins
from resurvey.train.reader import Reader, backward
from resurvey.train.task import Course, Dials, HeldOut, Lesson
from resurvey.train.together import agree, average, meet, process
from resurvey.types import Json, Progress, silent
from resurvey.workspace import read_json, write_json, writing

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WARM = 0.1
"""Share of the steps in which the learning rate rises."""
LONGEST = 1.0
"""Gradients longer than this are cut to it."""
LOG, STATE = "log.json", "state.pt"


def fit(model: SentenceTransformer, lesson: Lesson, folder: Path, progress: Progress = silent) -> Course:
    """Train `model`; its best weights lie below `folder` afterwards, as sentence-transformers saves them.

    A training of the same lesson that was killed goes on from its last check.
    """
    course = Course(folder)
    done = folder / "done.json"
    if done.exists() and read_json(done)["key"] == lesson.key:
        course.log = read_json(folder / LOG)["rows"]
        return course
    run = _Training(model, lesson, course, progress)
    run.resume()
    meet()  # all have read where to go on before one of them writes
    run.go()
    if run.first:
        write_json(done, {"key": lesson.key})
        (folder / STATE).unlink(missing_ok=True)
    return course


class _Training:
    """One training under way."""

    def __init__(self, model: SentenceTransformer, lesson: Lesson, course: Course, progress: Progress) -> None:
        import torch

        self.model, self.lesson, self.course, self.progress = model, lesson, course, progress
        self.dials: Dials = lesson.dials
        query, passage = lesson.prompts
        self.asked = Reader(model, lesson.task.queries, query, self.dials.max_tokens)
        self.read = Reader(model, lesson.task.passages, passage, self.dials.max_tokens)
        self.plan = [batch for number in range(self.dials.passes) for batch in epoch(lesson.task, self.dials, number)]
        self.plan = [batch for batch in self.plan if len(batch.passages) > 1]
        self.rank, self.world = process()
        self.steps = -(-len(self.plan) // self.world)
        freeze(model, self.dials.layers)
        model.eval()  # no dropout: see reader.py
        learning = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(learning, lr=self.dials.rate, weight_decay=0.01)
        self.step, self.seconds, self.losses = 0, 0.0, list[float]()

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def go(self) -> None:
        """All steps, with checks between them."""
        every = max(1, -(-self.steps // max(1, self.dials.checks)))
        if not self.course.log:
            self._check()
        last = max(1, round(self.dials.stop * self.steps))
        while self.step < last and not self._given_up():
            started = time.monotonic()
            self._advance()
            self.seconds += time.monotonic() - started
            self.progress("learning", self.step, self.steps)
            if self.step % every == 0 or self.step == last:
                self._check()

    def _advance(self) -> None:
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = self.dials.rate * shape(self.step, self.steps)
        place = self.step * self.world + self.rank
        if place < len(self.plan):
            self.losses.append(self._backward(self.plan[place]))
        learning = self.optimizer.param_groups[0]["params"]
        average(learning)
        torch.nn.utils.clip_grad_norm_(learning, LONGEST)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1

    def _backward(self, batch: Batch) -> float:
        import torch

        device = self.model.device
        answers, ignored = (torch.from_numpy(m).to(device) for m in (batch.answers, batch.ignored))
        whole = int(self.model.get_embedding_dimension() or 0)
        dimensions = (whole, *(d for d in self.dials.dimensions if d < whole))

        taught = torch.from_numpy(batch.taught).to(device) if batch.taught is not None and self.dials.distil else None

        def loss(queries: Any, passages: Any) -> Any:
            value = contrast(queries, passages, answers, ignored, self.dials.temperature, dimensions)
            if taught is None:
                return value
            return value + self.dials.distil * margins(queries, passages, taught, self.dials.temperature)

        return backward((self.asked, batch.queries), (self.read, batch.passages), loss, self.dials.held)

    def _given_up(self) -> bool:
        """Whether the last checks brought nothing better."""
        scores = [row["held out"] for row in self.course.log]
        if not self.lesson.held_out or len(scores) <= self.dials.patience:
            return False
        return bool(max(scores[-self.dials.patience :]) <= max(scores[: -self.dials.patience]))

    def _check(self) -> None:
        """Ask the held-out queries; keep the weights if they are the best so far, and where to go on from."""
        self.progress("asking held-out queries", self.step, self.steps)
        found = agree(ndcg(self.model, self.lesson), self.model.device) if self.lesson.held_out else None
        mean = float(np.mean(self.losses)) if self.losses else None
        row: Json = {
            "step": self.step,
            "of": self.steps,
            "loss": mean,
            "held out": found,
            "seconds": round(self.seconds, 1),
        }
        self.course.log.append(row)
        self.losses = []
        if self.first:
            if self.course.best is row or found is None:
                _save(self.model, self.course.model)
            self._keep()

    def _keep(self) -> None:
        import torch

        state = {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step,
            "seconds": self.seconds,
        }  # fmt: skip
        with writing(self.course.folder / STATE) as file:
            torch.save(state, file)
        write_json(self.course.folder / LOG, {"key": self.lesson.key, "rows": self.course.log})

    def resume(self) -> None:
        """Go on where a training of the same lesson was killed."""
        import torch

        log, state = self.course.folder / LOG, self.course.folder / STATE
        if not (log.exists() and state.exists() and read_json(log)["key"] == self.lesson.key):
            return
        found = torch.load(state, map_location=self.model.device, weights_only=True)
        rows = [row for row in read_json(log)["rows"] if row["step"] <= found["step"]]
        if not rows or rows[-1]["step"] != found["step"]:
            return  # killed between the two: the weights of the best check are not known for sure
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.step, self.seconds, self.course.log = found["step"], found["seconds"], rows


def shape(step: int, steps: int) -> float:
    """Share of the highest learning rate: up in a line, down in a line."""
    warm = max(1, round(WARM * steps))
    return (step + 1) / warm if step < warm else max(0.0, (steps - step) / max(1, steps - warm))


def freeze(model: SentenceTransformer, layers: int) -> None:
    """Keep the token embeddings and the lowest layers as they are."""
    if not layers:
        return
    base: Any = model[0].auto_model
    blocks: Any = next((m for _, m in base.named_modules() if type(m).__name__ == "ModuleList"), [])
    for module in (base.embeddings, *list(blocks)[:layers]):
        for parameter in module.parameters():
            parameter.requires_grad = False


def ndcg(model: SentenceTransformer, lesson: Lesson) -> float:
    """NDCG@10 of the held-out queries over documents, each scoring as its best passage."""
    import torch

    held = lesson.held_out
    assert held is not None, "the caller has held something out"
    model.eval()
    with torch.inference_mode():
        sides = []
        for texts, prompt in zip((held.queries, held.passages), lesson.prompts, strict=True):
            reader = Reader(model, texts, prompt, lesson.dials.max_tokens)
            vectors = reader.vectors(np.arange(len(texts)))
            sides.append(torch.nn.functional.normalize(vectors, dim=1))
        similar = (sides[0] @ sides[1].T).cpu().numpy()
    return score_mapping("held out", dict(_runs(similar, held)), held.as_qrels(), [NDCG])[NDCG].mean


def _runs(similar: Any, held: HeldOut) -> Iterator[tuple[str, dict[str, float]]]:
    for place, scores in enumerate(similar):
        best: dict[str, float] = {}
        for passage in np.argsort(-scores, kind="stable"):
            best.setdefault(held.owners[passage], float(scores[passage]))
        yield str(place), best


def _save(model: SentenceTransformer, folder: Path) -> None:
    """The model as an ordinary folder; whole, or what was there before."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save(str(partial), create_model_card=False, safe_serialization=True)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
