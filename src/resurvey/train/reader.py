"""Reading texts with gradients: token ids once, chunks of like length, vectors in the order asked.

Runs any sentence-transformers model, on the device it is on and without dropout (a third faster on a CPU, and a text
read twice is the same vector twice); activations are held up to a number of tokens, and
larger batches are read twice (GradCache; Gao et al., RepL4NLP 2021). Knows nothing about what is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from resurvey.search.engine import batches, padded
from resurvey.types import Ints

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

CHUNK = 2048
"""Tokens that are read at a time, padding included."""


class Reader:
    """Texts of one kind as token ids, read by places.

    Args:
        most: tokens that are read of a text, special tokens included; never more than the model reads.
    """

    def __init__(self, model: SentenceTransformer, texts: Sequence[str], prompt: str, most: int) -> None:
        self.model = model
        tokenizer: Any = model.tokenizer
        limit = min(most, int(model.max_seq_length or most))
        read = tokenizer([prompt + text.strip() for text in texts], truncation=True, max_length=limit, padding=False)
        self.ids: list[list[int]] = read["input_ids"]
        self.lengths = np.array([len(ids) for ids in self.ids], dtype=np.int64)
        self._pad = int(tokenizer.pad_token_id or 0)

    def chunks(self, places: Ints) -> list[tuple[Ints, dict[str, Tensor]]]:
        """Where among `places` each chunk's texts are, and what the model is given."""
        import torch

        found = []
        for order, length in batches(self.lengths[places], CHUNK):
            tokens, mask = padded(self.ids, places[order], length, self._pad)
            given = {"input_ids": torch.from_numpy(tokens), "attention_mask": torch.from_numpy(mask)}
            found.append((order, {name: tensor.to(self.model.device) for name, tensor in given.items()}))
        return found

    def vectors(self, places: Ints) -> Tensor:
        """(places, dimensions), with gradients where they are on."""
        import torch

        parts, orders = [], []
        for order, given in self.chunks(places):
            with precision(self.model.device):
                parts.append(self.model(given)["sentence_embedding"].float())
            orders.append(order)
        back = np.argsort(np.concatenate(orders))
        return torch.cat(parts)[torch.from_numpy(back).to(self.model.device)]


Loss = Callable[["Tensor", "Tensor"], "Tensor"]
"""From query and passage vectors to one number."""


def backward(asked: tuple[Reader, Ints], read: tuple[Reader, Ints], loss: Loss, held: int) -> float:
    """Add a batch's gradients to the model's; returns the loss.

    Args:
        held: tokens whose activations may be held; for more, all is read once without them, and again in chunks.
    """
    if sum(int(reader.lengths[places].sum()) for reader, places in (asked, read)) <= held:
        value = loss(asked[0].vectors(asked[1]), read[0].vectors(read[1]))
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())
    return _twice(asked, read, loss)


def _twice(asked: tuple[Reader, Ints], read: tuple[Reader, Ints], loss: Loss) -> float:
    import torch

    with torch.no_grad():
        whole = [reader.vectors(places) for reader, places in (asked, read)]
    for vectors in whole:
        vectors.requires_grad_()
    value = loss(*whole)
    value.backward()  # type: ignore[no-untyped-call]
    for (reader, places), vectors in zip((asked, read), whole, strict=True):
        assert vectors.grad is not None, "the loss rests on both sides"
        for order, given in reader.chunks(places):
            with precision(reader.model.device):
                again = reader.model(given)["sentence_embedding"].float()
            again.backward(vectors.grad[torch.from_numpy(order).to(reader.model.device)])
    return float(value.detach())


def precision(device: Any) -> AbstractContextManager[Any]:
    """bfloat16 on a GPU that has it; float32 on a CPU, where bfloat16 is several times slower."""
    import torch

    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
