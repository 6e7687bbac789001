"""Continued pretraining: hidden words of the corpus are guessed from what stands around them (R53).

Masked language modelling (Devlin et al., NAACL 2019) on the passages, before an encoder learns what answers what
(Gururangan et al., ACL 2020). The guessing head is new, so it learns alone before the encoder moves with it.
Afterwards distances mean less than before: whoever pretrains must teach contrasts next.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from resurvey.search.encode import load
from resurvey.search.engine import batches, padded
from resurvey.train.fit import LONGEST, shape
from resurvey.train.reader import CHUNK, precision
from resurvey.types import Ints, Json, Progress, silent
from resurvey.workspace import digest, read_json, write_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Masking:
    """The dials of one pretraining."""

    rate: float = 5e-5
    """Highest learning rate of the encoder."""
    head_rate: float = 1e-3
    """The same of the new head while it learns alone."""
    hidden: float = 0.3
    """Share of the words that are hidden; Wettig et al. (EACL 2023) found more than the usual 0.15 better."""
    head: float = 0.2
    """Share of the steps in which the head learns alone."""
    passes: int = 1
    tokens: int = 600_000
    """Tokens that are read at most."""
    step: int = 8192
    """Tokens of a step."""
    max_tokens: int = 128
    """Tokens that are read of a passage."""
    seed: int = 13


def pretrain(
    source: str, texts: Sequence[str], folder: Path, dials: Masking | None = None, progress: Progress = silent
) -> tuple[Path, Json]:
    """Train the encoder of a name on texts; where it lies now, and what was seen.

    Returns:
        A sentence-transformers folder below `folder`, and the loss before and after; done once for the same inputs.
    """
    dials = dials or Masking()
    key = digest(source, repr(dials), *texts)
    place, done = folder / "model", folder / "done.json"
    if done.exists() and (found := read_json(done))["key"] == key:
        return place, found["detail"]
    model = load(source).model
    detail = _Pretraining(model, texts, dials, progress).go()
    shutil.rmtree(place, ignore_errors=True)
    model.save(str(place), create_model_card=False, safe_serialization=True)
    write_json(done, {"key": key, "detail": detail})
    return place, detail


class _Pretraining:
    """One pretraining under way."""

    def __init__(self, model: SentenceTransformer, texts: Sequence[str], dials: Masking, progress: Progress) -> None:
        self.dials, self.progress = dials, progress
        self.device = model.device
        tokenizer: Any = model.tokenizer
        self.body: Any = model[0].auto_model
        self.whole = _with_head(self.body, dials.seed).to(self.device)
        self.mask, self.special = int(tokenizer.mask_token_id), set(tokenizer.all_special_ids)
        limit = min(dials.max_tokens, int(model.max_seq_length or dials.max_tokens))
        read: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=limit, padding=False)["input_ids"]
        self.ids = [ids for ids in read if len(ids) > len(self.special & set(ids))]
        self.pad = int(tokenizer.pad_token_id or 0)
        self.rng = np.random.default_rng(dials.seed)

    def go(self) -> Json:
        """All steps."""
        import torch

        steps = self._steps()
        alone = round(self.dials.head * len(steps))
        own, every = set(self.body.parameters()), dict.fromkeys(self.whole.parameters())
        kept = [parameter for parameter in self.body.parameters() if parameter.requires_grad]
        head = [parameter for parameter in every if parameter not in own]
        optimizer = torch.optim.AdamW([{"params": kept, "lr": 0.0}, {"params": head, "lr": 0.0}], weight_decay=0.01)
        losses = []
        self.whole.eval()  # no dropout, as in contrastive learning: see reader.py
        for number, places in enumerate(steps):
            first = number < alone
            for parameter in kept:
                parameter.requires_grad_(not first)
            rate = self.dials.rate * shape(max(0, number - alone), max(1, len(steps) - alone))
            for group, value in zip(optimizer.param_groups, (0.0 if first else rate, self.dials.head_rate if first else rate), strict=True):  # fmt: skip
                group["lr"] = value
            losses.append(self._step(places))
            torch.nn.utils.clip_grad_norm_([*head, *(() if first else kept)], LONGEST)
            optimizer.step()
            optimizer.zero_grad()
            self.progress("guessing hidden words", number + 1, len(steps))
        some = max(1, len(losses) // 10)
        after = losses[alone : alone + some] or losses
        return {
            "texts": len(self.ids), "steps": len(steps), "loss": float(np.mean(after)),
            "loss at the end": float(np.mean(losses[-some:])),
        }  # fmt: skip

    def _steps(self) -> list[Ints]:
        """Places of the texts of every step: all of them `passes` times, as far as the tokens go."""
        lengths = np.array([len(ids) for ids in self.ids], dtype=np.int64)
        order = np.concatenate([self.rng.permutation(len(self.ids)) for _ in range(self.dials.passes)])
        read = np.cumsum(lengths[order])
        order = order[: max(1, int(np.searchsorted(read, self.dials.tokens, side="right")))]
        cuts = np.flatnonzero(np.diff(np.cumsum(lengths[order]) // self.dials.step)) + 1
        return [part for part in np.split(order, cuts) if len(part)]

    def _step(self, places: Ints) -> float:
        """The gradients of one step, and its mean loss over hidden words."""
        import torch

        lengths = np.array([len(self.ids[place]) for place in places], dtype=np.int64)
        parts = []
        for order, length in batches(lengths, CHUNK):
            tokens, attention = padded(self.ids, places[order], length, self.pad)
            asked, answers = self._hide(tokens)
            parts.append((asked, attention, answers))
        hidden = sum(int((answers >= 0).sum()) for _, _, answers in parts)
        total = 0.0
        for asked, attention, answers in parts:
            ids, seen, right = (torch.from_numpy(array).to(self.device) for array in (asked, attention, answers))
            with precision(self.device):
                guessed: Tensor = self.whole(input_ids=ids, attention_mask=seen).logits
            loss = torch.nn.functional.cross_entropy(
                guessed.float().flatten(0, 1), right.flatten(), ignore_index=-100, reduction="sum"
            ) / max(1, hidden)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _hide(self, tokens: Ints) -> tuple[Ints, Ints]:
        """Tokens with some hidden, and the right ones at those places (-100 elsewhere).

        Of those chosen eight in ten become the mask, one another token of the batch, one stays.
        """
        open_ = ~np.isin(tokens, list(self.special))
        chosen = open_ & (self.rng.random(tokens.shape) < self.dials.hidden)
        answers = np.where(chosen, tokens, -100)
        kind = self.rng.random(tokens.shape)
        others = self.rng.choice(tokens[open_], tokens.shape) if open_.any() else tokens
        asked = np.where(chosen & (kind < 0.8), self.mask, np.where(chosen & (kind >= 0.9), others, tokens))
        return asked, answers


def can_guess(source: str) -> bool:
    """Whether an encoder has a token that hides words, and an architecture whose head is known."""
    from transformers import AutoModelForMaskedLM

    model = load(source).model
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    known, tokenizer = AutoModelForMaskedLM._model_mapping.keys(), cast("Any", model.tokenizer)
    return config is not None and type(config) in known and tokenizer.mask_token_id is not None


def _with_head(body: Any, seed: int) -> Any:
    """The encoder under a new head that guesses words, its output tied to the word embeddings."""
    import torch
    from transformers import AutoModelForMaskedLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        whole: Any = AutoModelForMaskedLM.from_config(body.config)
    setattr(whole, whole.base_model_prefix, body)
    whole.tie_weights()
    return whole
