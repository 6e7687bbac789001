"""What several processes of one training do together: meet, agree on a number, average their gradients.

Alone, each of these does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any


def process() -> tuple[int, int]:
    """This process's rank and how many there are, as torchrun says."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def meet() -> None:
    """Wait for the others."""
    if process()[1] > 1:
        import torch

        torch.distributed.barrier()


def agree(value: float, device: Any) -> float:
    """The first process's number in all of them, so that they never part ways over a rounding."""
    if process()[1] == 1:
        return value
    import torch

    told = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.broadcast(told, src=0)
    return float(told.item())


def average(parameters: Iterable[Any]) -> None:
    """The mean of all processes' gradients in each of them."""
    world = process()[1]
    if world == 1:
        return
    import torch

    for parameter in parameters:
        grad = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        torch.distributed.all_reduce(grad)
        parameter.grad = grad / world
