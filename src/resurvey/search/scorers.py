"""Scorers: a query and texts to one relevance score a text. A cross-encoder on this machine, or an endpoint.

A local one is a sentence-transformers `CrossEncoder` (safetensors only, no code that a model brings), an endpoint
speaks `/v1/rerank` as Jina, Cohere, vLLM and text-embeddings-inference do. Knows nothing about runs or recipes.
torch is imported when a model is loaded, not before.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from resurvey.errors import Problem, ResurveyError
from resurvey.search.encode import locate, source_digest
from resurvey.types import Floats
from resurvey.workspace import Artefacts, digest

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

BATCH = 16
"""Pairs between two looks at the clock: what a deadline can be missed by."""
HEADS = ("ForSequenceClassification", "ForCausalLM")
"""How architectures end that score a pair."""
NEXT = "set `reranker` in resurvey.toml to a CrossEncoder folder, a hub name, or the URL of a /v1/rerank endpoint"


class UnansweredError(Exception):
    """No scores: late, down, or not what was asked. The text is the reason, for people."""


class Scorer(Protocol):
    """Relevance of texts to a query."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def cut_short(self) -> int | None:
        """Pairs scored so far that the model could not read whole; None: it does not say."""
        ...

    def scores(self, query: str, texts: Sequence[str], seconds: float | None = None) -> Floats:
        """One raw score a text, higher is more relevant; comparable within one query.

        Raises:
            UnansweredError: when they are not there after `seconds` (None: as long as it takes), or never.
        """
        ...


def is_endpoint(name: str) -> bool:
    """Whether a reranker's name is a URL."""
    return name.startswith(("http://", "https://"))


def fingerprint(name: str) -> str:
    """Hex digest of what a name stands for, without loading it: of a folder's files, of a hub name or a URL.

    Raises:
        ResurveyError: when the name looks like a folder and is none.
    """
    return digest("endpoint", name) if is_endpoint(name) else source_digest(name)


def open_scorer(name: str, artefacts: Artefacts, *, key_env: str = "") -> Scorer:
    """The scorer of a name: a URL, an artefact (`sha256:…`), a folder or a hub name.

    Args:
        key_env: the environment variable that holds the endpoint's key; where it is unset, none is sent.

    Raises:
        ResurveyError: when it cannot be loaded, or gives more than one score a pair.
    """
    if is_endpoint(name):
        from resurvey.search.rerank_endpoint import Endpoint

        return Endpoint(name, os.environ.get(key_env, "") if key_env else "")
    place = str(artefacts.folder_of(name)) if name.startswith("sha256:") else locate(name)
    return LocalScorer(name, load_cross_encoder(place))


def load_cross_encoder(place: str, *, training: bool = False) -> CrossEncoder:
    """A `CrossEncoder` in float32; in bfloat16 on a GPU that has it, unless it is to be trained.

    Raises:
        ResurveyError: when it cannot be loaded, with the loader's reason, has no trained head (an encoder would get
            a random one), or gives more than one score a pair.
    """
    import torch
    from sentence_transformers import CrossEncoder
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        facts = {"use_safetensors": True, "dtype": "float32"}
        model: CrossEncoder = CrossEncoder(
            place, trust_remote_code=False, model_kwargs=facts, activation_fn=torch.nn.Identity()
        )
    except Exception as error:  # a folder can be damaged in more ways than one can name
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ResurveyError([Problem(place, f"cannot be loaded as a reranker: {reason}")], NEXT) from error
    made_for = getattr(getattr(model.model, "config", None), "architectures", None) or [""]
    if not made_for[0].endswith(HEADS):
        raise ResurveyError([Problem(place, f"is a {made_for[0] or 'model'} without a head that scores pairs")], NEXT)
    if model.num_labels != 1:
        raise ResurveyError([Problem(place, f"gives {model.num_labels} scores a pair, a reranker gives one")], NEXT)
    if not training and model.device.type == "cuda" and torch.cuda.is_bf16_supported():
        model.bfloat16()
    return model


class LocalScorer:
    """A cross-encoder on this machine; a deadline is looked at between batches of BATCH pairs.

    One query is scored at a time: tokenizers are not made for several threads, and all cores work already.
    """

    def __init__(self, name: str, model: CrossEncoder, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.model = model
        self.cut_short = 0
        self._clock = clock
        self._busy = threading.Lock()
        self._tokenizer: Any = model.tokenizer
        self.limit = self._limit()

    def scores(self, query: str, texts: Sequence[str], seconds: float | None = None) -> Floats:
        """Logits; texts of like length are computed together."""
        until = None if seconds is None else self._clock() + seconds
        if not self._busy.acquire(timeout=-1 if seconds is None else seconds):
            raise UnansweredError(f"late: others were being scored for {1000 * (seconds or 0):.0f} ms")
        try:
            return self._scores(query, texts, until, seconds)
        finally:
            self._busy.release()

    def _scores(self, query: str, texts: Sequence[str], until: float | None, seconds: float | None) -> Floats:
        lengths = self.lengths(query, texts)
        found = np.zeros(len(texts), dtype=np.float32)
        order = np.argsort(-lengths, kind="stable")
        size = BATCH if self.model.device.type == "cpu" else max(BATCH, len(texts))
        for start in range(0, len(order), size):
            places = order[start : start + size]
            if until is not None and self._clock() > until:
                raise UnansweredError(f"late: {start} of {len(texts)} pairs scored in {1000 * (seconds or 0):.0f} ms")
            pairs = [(query, texts[place]) for place in places]
            found[places] = self.model.predict(pairs, batch_size=size, show_progress_bar=False)
        if until is not None and self._clock() > until:
            raise UnansweredError(f"late: {len(texts)} pairs took more than {1000 * (seconds or 0):.0f} ms")
        self.cut_short += int((lengths > self.limit).sum())
        return found

    def lengths(self, query: str, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Tokens of every pair with its special tokens, nothing cut off."""
        if not texts:
            return np.zeros(0, dtype=np.int64)
        read = self._tokenizer([query] * len(texts), list(texts), truncation=False, verbose=False)
        return np.array([len(row) for row in read["input_ids"]], dtype=np.int64)

    def _limit(self) -> int:
        """Tokens of one pair that the model reads: the least of all limits."""
        positions = getattr(getattr(self.model.model, "config", None), "max_position_embeddings", None)
        limits = (self.model.max_seq_length, self._tokenizer.model_max_length, positions)
        return min(int(limit) for limit in limits if limit and int(limit) > 0)
