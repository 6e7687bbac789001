"""Training a cross-encoder: one relevant document against hard negatives of the same query, by softmax.

The localised contrastive loss (Gao, Dai and Callan, ECIR 2021). A plain loop in torch: the library's trainer needs
two packages more (datasets, accelerate) for less than this. The best state on held-out queries is kept, the untrained
one included. Knows texts and grades; nothing about folds or recipes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resurvey.errors import ResurveyError
from resurvey.evaluate.measures import score_mapping
from resurvey.search.encode import locate
from resurvey.search.scorers import LocalScorer, load_cross_encoder
from resurvey.types import Json

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder

EPOCHS = 3
GROUPS = 8
"""Queries a step, each with its relevant document and its negatives."""
WIDTH = 0.0154
"""Learning rate times hidden size: 2e-5 at 768, the usual; narrower models bear and need more."""
LONGEST = 256
"""Most tokens of a pair: what passages of 128 tokens and a query need, with room; twice as many cost more than twice."""
CHECKS = 6
"""Looks at the held-out queries, spread evenly; after three without a better one it stops."""
WARM = 0.1
"""Share of the steps in which the rate rises."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query, a text that answers it, texts that were found for it and do not."""

    query: str
    positive: str
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """Queries by which the best state is chosen: id to (text, document id to text), with their judgments."""

    queries: Mapping[str, tuple[str, Mapping[str, str]]]
    qrels: Mapping[str, Mapping[str, int]]
    measure: str

    def value(self, model: CrossEncoder) -> float:
        """Mean of the measure when the model alone orders the candidates."""
        scorer = LocalScorer("in training", model)
        found = {}
        for id, (query, texts) in self.queries.items():
            scores = scorer.scores(query, list(texts.values()))
            found[id] = dict(zip(texts, scores.astype(float).tolist(), strict=True))
        return float(score_mapping("", found, self.qrels, [self.measure])[self.measure].mean) if found else 0.0


@dataclass(frozen=True, slots=True)
class Log:
    """What training did: (step, mean loss since the last look, held-out measure), the first before any step."""

    rows: tuple[tuple[int, float, float], ...]
    examples: int
    planned: int
    """Steps that the time allowed; at most EPOCHS over all examples."""

    def facts(self) -> Json:
        """As a verdict shows it; no seconds, so that equal training reads equal."""
        rows = [{"step": s, "loss": round(loss, 4), "held out": round(value, 4)} for s, loss, value in self.rows]
        return {"examples": self.examples, "steps": self.planned, "log": rows}


def from_encoder(name: str, folder: Path, seed: int) -> Path:
    """The transformer of a sentence-transformers encoder with a fresh head of one label, saved below `folder`.

    Raises:
        ResurveyError: when the encoder has no weights here, or its architecture takes no such head.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = locate(name)
    try:
        encoder = SentenceTransformer(
            place, trust_remote_code=False, model_kwargs={"use_safetensors": True}, device="cpu"
        )
        tokenizer: Any = encoder.tokenizer
        core: Any = encoder[0].auto_model
        core.save_pretrained(folder / "core")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            headed = AutoModelForSequenceClassification.from_pretrained(folder / "core", num_labels=1, dtype="float32")
        positions = int(getattr(headed.config, "max_position_embeddings", LONGEST))
        tokenizer.model_max_length = min(LONGEST, positions)
        headed.save_pretrained(folder / "start")
        tokenizer.save_pretrained(folder / "start")
    except Exception as error:  # architectures refuse in more ways than one can name
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ResurveyError(f"{name} cannot be made a cross-encoder: {reason}") from error
    return folder / "start"


def train(
    start: str, examples: Sequence[Example], held: Held, *, seconds: float, seed: int
) -> tuple[CrossEncoder, Log]:
    """A cross-encoder trained from the folder or hub name `start`, as it was at its best on held-out queries.

    Args:
        seconds: what it may take; the steps are planned by the first ones' speed, so the rate falls to its end.
        seed: of order and dropout; equal seeds give equal weights on one machine.
    """
    import torch

    model = load_cross_encoder(start, training=True)
    model.max_seq_length = min(int(model.max_seq_length or LONGEST), LONGEST)
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        log = _Training(model, examples, held, seconds, seed).run()
    model.eval()
    return model, log


class _Training:
    """One run over the examples."""

    def __init__(self, model: CrossEncoder, examples: Sequence[Example], held: Held, seconds: float, seed: int) -> None:
        import torch

        self.model, self.examples, self.held = model, examples, held
        core: Any = model.model
        self.core = core
        self.ends = time.monotonic() + seconds
        self.rng = np.random.default_rng(seed)
        self.rate = WIDTH / float(getattr(self.core.config, "hidden_size", 768))
        self.optimizer = torch.optim.AdamW(self.core.parameters(), lr=self.rate, weight_decay=0.01)
        self.planned = EPOCHS * -(-len(examples) // GROUPS)

    def run(self) -> Log:
        """Train, look, keep the best."""
        rows = [(0, float("nan"), self.held.value(self.model))]
        best, kept = rows[0][2], self._state()
        losses: list[float] = []
        started, late = time.monotonic(), 0
        for step, batch in enumerate(self._batches()):
            losses.append(self._step(batch, step))
            if step == 2:
                self._plan(started)
            if step + 1 in self._looks() or step + 1 == self.planned:
                rows.append((step + 1, float(np.mean(losses)), self.held.value(self.model)))
                losses, late = [], late + 1
                if rows[-1][2] > best:
                    best, kept, late = rows[-1][2], self._state(), 0
            if step + 1 >= self.planned or late == CHECKS // 2:
                break
        self.core.load_state_dict(kept)
        rows[0] = (0, rows[1][1] if len(rows) > 1 else 0.0, rows[0][2])  # a number: JSON knows no NaN
        return Log(tuple(rows), len(self.examples), self.planned)

    def _plan(self, started: float) -> None:
        """Fewer steps, where three of them say that all would take too long."""
        each = (time.monotonic() - started) / 3
        self.planned = max(3, min(self.planned, 3 + int((self.ends - time.monotonic()) / each)))

    def _looks(self) -> set[int]:
        return {round(self.planned * place / CHECKS) for place in range(1, CHECKS + 1)}

    def _batches(self) -> Any:
        while True:
            order = self.rng.permutation(len(self.examples))
            for start in range(0, len(order), GROUPS):
                yield [self.examples[place] for place in order[start : start + GROUPS]]

    def _step(self, batch: Sequence[Example], step: int) -> float:
        import torch

        warm = max(1.0, WARM * self.planned)
        share = min((step + 1) / warm, max(0.0, (self.planned - step) / max(1.0, self.planned - warm)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * share
        self.core.train()
        loss = self._loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.core.parameters(), 1.0)
        self.optimizer.step()
        self.core.eval()
        return float(loss.detach())

    def _loss(self, batch: Sequence[Example]) -> torch.Tensor:
        """Cross entropy of the relevant text among its query's; absent negatives weigh nothing."""
        import torch

        device = self.model.device
        sizes = [1 + len(example.negatives) for example in batch]
        pairs = [(e.query, text) for e in batch for text in (e.positive, *e.negatives)]
        tokenizer: Any = self.model.tokenizer
        read = tokenizer(
            [query for query, _ in pairs], [text for _, text in pairs],
            padding=True, truncation="longest_first", max_length=self.model.max_seq_length, return_tensors="pt",
        ).to(device)  # fmt: skip
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = self.core(**read).logits[:, 0].float()
        table = torch.full((len(batch), max(sizes)), float("-inf"), device=device)
        rows = torch.repeat_interleave(torch.arange(len(batch)), torch.tensor(sizes))
        columns = torch.cat([torch.arange(size) for size in sizes])
        table[rows.to(device), columns.to(device)] = logits
        return torch.nn.functional.cross_entropy(table, torch.zeros(len(batch), dtype=torch.long, device=device))

    def _state(self) -> dict[str, torch.Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.core.state_dict().items()}
