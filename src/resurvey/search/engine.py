"""Engines: how token ids become vectors on this machine, as fast as it can.

On a CPU the whole sentence-transformers model (transformer, pooling, whatever follows) is one OpenVINO
graph: batches by token budget, sorted by length so that little is padding, several in flight at once. A graph
is believed only when it gives the model's own vectors on probe texts. Knows nothing about texts.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resurvey.types import Floats, Ints

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUDGET = 1024
"""Tokens of a batch, padding included: enough to keep a core busy, small enough for its cache."""
STEP = 8
"""Lengths are rounded up to multiples of this: every new shape costs the graph a preparation."""
FEW = 4
"""So many texts or fewer are answered by all cores together; more are shared out among them."""
CLOSE = 1e-5
"""Largest difference from the model's own vectors at which a graph is believed."""
GRAPH = "graph.xml"
Ids = Sequence[Sequence[int]]


def batches(lengths: Ints, budget: int = BUDGET, step: int = STEP) -> list[tuple[Ints, int]]:
    """Places and padded length of every batch, longest first; no batch holds more than `budget` tokens.

    A single text longer than the budget is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    found: list[tuple[Ints, int]] = []
    start = 0
    while start < len(order):
        padded = -(-int(lengths[order[start]]) // step) * step
        size = max(1, budget // max(1, padded))
        found.append((order[start : start + size], padded))
        start += size
    return found


def padded(ids: Ids, places: Ints, length: int, pad: int) -> tuple[Ints, Ints]:
    """Token ids and attention mask of shape (places, length), padded on the right."""
    tokens = np.full((len(places), length), pad, dtype=np.int64)
    mask = np.zeros((len(places), length), dtype=np.int64)
    for row, place in enumerate(places):
        text = ids[place]
        tokens[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return tokens, mask


def openvino() -> Any:
    """OpenVINO, which would tell its makers of every use; it falls back to silence where that package cannot be had."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes an import fail
    import openvino as module

    return module


def convert(model: SentenceTransformer) -> Any:
    """The whole model as one OpenVINO graph from (input_ids, attention_mask) to vectors, of any shape."""
    import torch

    class Whole(torch.nn.Module):
        """From two arrays to the sentence vectors, whatever modules the model has."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]

    example = torch.ones((2, 16), dtype=torch.long)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer warns of every python value it reads; the probes decide
        return openvino().convert_model(Whole(), example_input={"input_ids": example, "attention_mask": example})


class Graph:
    """A compiled OpenVINO graph; compiled once for many texts and once for few, when first needed."""

    def __init__(self, source: Any, pad: int) -> None:
        self._source = source
        self._pad = pad
        self._queue: Any = None
        self._single: Any = None

    def vectors(self, ids: Ids) -> Floats:
        """Unit vectors of shape (texts, dimensions), in the order given.

        Args:
            ids: token ids of every text, special tokens included, truncated.
        """
        if len(ids) <= FEW:
            return self._now(ids)
        queue = self._many()
        lengths = np.array([len(text) for text in ids], dtype=np.int64)
        found: list[tuple[Ints, Floats]] = []
        queue.set_callback(lambda request, places: found.append((places, request.get_output_tensor(0).data.copy())))
        for places, length in batches(lengths):
            tokens, mask = padded(ids, places, length, self._pad)
            queue.start_async({"input_ids": tokens, "attention_mask": mask}, places)
        queue.wait_all()
        vectors = np.empty((len(ids), found[0][1].shape[1]), dtype=np.float32)
        for places, part in found:
            vectors[places] = part
        return unit(vectors)

    def _now(self, ids: Ids) -> Floats:
        if self._single is None:
            self._single = self._compiled("LATENCY")
        tokens, mask = padded(ids, np.arange(len(ids)), max(map(len, ids)), self._pad)
        return unit(np.array(self._single({"input_ids": tokens, "attention_mask": mask})[0], dtype=np.float32))

    def _many(self) -> Any:
        if self._queue is None:
            self._queue = openvino().AsyncInferQueue(self._compiled("THROUGHPUT"))
        return self._queue

    def _compiled(self, hint: str) -> Any:
        options = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
        return openvino().Core().compile_model(self._source, "CPU", options)


def unit(vectors: Floats) -> Floats:
    """The same directions at length 1; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def same(one: Floats, other: Floats) -> bool:
    """Whether two engines' vectors may stand for each other."""
    return one.shape == other.shape and bool(np.abs(one - other).max(initial=0.0) <= CLOSE)
