"""Initial values of parameters. All draw from torch's global generator, so that ``torch.manual_seed`` repeats them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

ScalingStart = Literal["signs", "normal", "ones"]
"""How the members' scaling vectors start: random signs, standard normal values, or all 1."""


def uniform_(tensor: Tensor, fan_in: int) -> Tensor:
    """Fill with U(-1/√fan_in, 1/√fan_in), the start of torch's own linear layers."""
    bound = 1.0 / math.sqrt(fan_in)
    return nn.init.uniform_(tensor, -bound, bound)


def scaling_(tensor: Tensor, start: ScalingStart, sections: Sequence[int] | None = None) -> Tensor:
    """Fill the members' scaling vectors (K, D).

    Args:
        tensor: What is filled.
        start: How.
        sections: Widths that sum to D. The values of one section, such as the embedding of one column, share one draw, so that a
            member sees whole columns scaled and not their coordinates (arXiv 2410.24210, its code).
    """
    if start == "ones":
        return nn.init.ones_(tensor)
    widths = torch.tensor(list(sections) if sections is not None else [1] * tensor.shape[1])
    drawn = torch.randn(tensor.shape[0], len(widths))
    if start == "signs":
        drawn = torch.where(drawn < 0, -1.0, 1.0)
    with torch.no_grad():
        return tensor.copy_(drawn.repeat_interleave(widths, dim=1))


def neutral_rows_(embedding: nn.Embedding, rows: Sequence[int]) -> None:
    """Set rows to zero, so that ids which training never shows say nothing instead of something random."""
    with torch.no_grad():
        embedding.weight[list(rows)] = 0.0
