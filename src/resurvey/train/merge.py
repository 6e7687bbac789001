"""Interpolated weights: part of the way from a base model to what training made of it.

Keeps most of what training won and gives back part of what it lost elsewhere (WiSE-FT, Wortsman et al., CVPR 2022;
LM-Cocktail, Xiao et al., 2023). Knows nothing about how far is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

Weights: TypeAlias = Mapping[str, "Tensor"]


def weights(model: SentenceTransformer) -> dict[str, Tensor]:
    """A copy of all weights, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def interpolate(model: SentenceTransformer, base: Weights, trained: Weights, share: float) -> None:
    """Give `model` the weights that lie `share` of the way from `base` (0) to `trained` (1)."""
    assert base.keys() == trained.keys(), "both are weights of one architecture"
    mixed = {
        name: (tensor + share * (trained[name] - tensor)) if tensor.is_floating_point() else trained[name]
        for name, tensor in base.items()
    }
    model.load_state_dict(mixed)
