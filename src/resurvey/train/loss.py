"""The loss: a query's answers against everything else in its batch (InfoNCE; van den Oord et al., 2018).

With several answers in a batch each must win against all that is no answer (Khosla et al., NeurIPS 2020); what may
be an answer that nobody judged is left out of the sum. The same is asked of the first dimensions alone
(Matryoshka). Knows nothing about texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FAR = -1e4
"""A similarity that counts for nothing, and whose gradient is a number where nothing else is there."""


def contrast(
    queries: Tensor, passages: Tensor, answers: Tensor, ignored: Tensor, temperature: float, dimensions: Sequence[int]
) -> Tensor:
    """Mean loss of the queries.

    Args:
        queries: (queries, d), any length.
        passages: (passages, d).
        answers: (queries, passages), true where a passage answers; at least one a row.
        ignored: (queries, passages), true where it counts for nothing.
        dimensions: how many of the first dimensions, one loss for each, averaged.
    """
    import torch

    losses = [_one(queries[:, :d], passages[:, :d], answers, ignored, temperature) for d in dimensions]
    return torch.stack(losses).mean()


def margins(queries: Tensor, passages: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """How far the margins between passages are from a teacher's: margin-MSE over all pairs of a query at once.

    The mean square over every two passages that the teacher scored for a query (Hofstätter et al. 2020,
    arXiv:2010.02666) is, but for a factor, that of both sides' distances from their means, which is what is computed.

    Args:
        queries: (queries, d), any length.
        passages: (passages, d).
        taught: (queries, passages), the teacher's scores in the unit of cosines over temperature; NaN for none.
    """
    from torch.nn.functional import normalize

    known = ~taught.isnan()
    known &= known.sum(dim=1, keepdim=True) > 1
    count = known.sum(dim=1, keepdim=True).clamp(min=1)
    similar = normalize(queries.float(), dim=1) @ normalize(passages.float(), dim=1).T / temperature
    own, other = (side.masked_fill(~known, 0.0) for side in (similar, taught))
    apart = (own - own.sum(dim=1, keepdim=True) / count) - (other - other.sum(dim=1, keepdim=True) / count)
    return apart.masked_fill(~known, 0.0).square().sum() / known.sum().clamp(min=1)


def _one(queries: Tensor, passages: Tensor, answers: Tensor, ignored: Tensor, temperature: float) -> Tensor:
    from torch.nn.functional import normalize

    similar = normalize(queries.float(), dim=1) @ normalize(passages.float(), dim=1).T / temperature
    others = similar.masked_fill(ignored | answers, FAR).logsumexp(dim=1, keepdim=True)
    each = similar.logaddexp(others) - similar  # -log of an answer's share against all that is no answer
    count = answers.sum(dim=1).clamp(min=1)
    return (each.masked_fill(~answers, 0.0).sum(dim=1) / count).mean()
