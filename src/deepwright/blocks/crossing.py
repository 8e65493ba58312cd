"""Two sequences read as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import FusionModule
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.sequences import SequencePool
from deepwright.blocks.sequencing import PoolName
from deepwright.blocks.transformer import TransformerBody


class CrossFusion(FusionModule):
    """Two sequences and further vectors (B, D_i) to (B, width): layers of self-attention over the places of both.

    Args:
        widths: The widths of the states of both sequences, and the D_i.
        width: The width of a place's vector.
        depth: How many layers.
        heads: The heads of each.
        hidden: The inner width of the feed-forward layers.
        layer_dropout: Dropout of the layers.
        pool: How the places become a vector.
        dropout: Dropout of that.
    """

    def __init__(
        self,
        widths: Sequence[int],
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        layer_dropout: float,
        pool: PoolName,
        dropout: float,
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Linear(each, width) for each in widths[:2])  # whose biases tell which is which
        self.separator = nn.Parameter(torch.randn(width) * width**-0.5)
        self.body = TransformerBody(width, width, depth, heads, hidden, layer_dropout)
        self.pool = SequencePool(pool, width)
        self.dropout = Dropout(dropout)
        self.width = width + sum(widths[2:])

    def forward(self, vectors: list[Any]) -> Tensor:
        """Fuse: the first two are states (B, T, D) and a mask (B, T) each."""
        (first, one), (second, other), *others = vectors
        joined, mask = side_by_side(self.project[0](first), one, self.separator, self.project[1](second), other)
        fused: Tensor = self.dropout(self.pool(self.body(joined, mask), mask))
        return torch.cat([fused, *others], -1)


def side_by_side(first: Tensor, one: Tensor, separator: Tensor, second: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of each row's first sequence, the separator and those of its second, without a gap, and the mask.

    Args:
        first: (B, T, D).
        one: Its mask (B, T).
        separator: (D,).
        second: (B, U, D).
        other: Its mask (B, U).
    """
    begins, ends = one.sum(1, keepdim=True), other.sum(1, keepdim=True)
    between = separator.to(first.dtype).expand(first.shape[0], 1, -1)
    every = torch.cat([first, between, second], 1)
    place = torch.arange(every.shape[1], device=first.device)
    # Where a row's first sequence is shorter than the longest, what follows moves up to its end.
    index = torch.where(place < begins, place, (place - begins + first.shape[1]).clamp_max(every.shape[1] - 1))
    return every.gather(1, index.unsqueeze(-1).expand(-1, -1, every.shape[2])), place <= begins + ends
