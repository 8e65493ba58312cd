"""The modules of the fusions: several vectors become one, members or not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.attention import QueryPooling
from deepwright.blocks.contract import FusionModule
from deepwright.blocks.dense import dense_stack
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.members import align_members


class ConcatFusion(FusionModule):
    """[(B, D_i)…] → (B, ΣD_i), then dense layers; a members axis passes through.

    Args:
        widths: The D_i.
        hidden: The widths of the dense layers, if any.
        act: Their activation function.
        dropout: Their dropout.
    """

    def __init__(
        self, widths: Sequence[int], hidden: Sequence[int] = (), act: ActivationName = "relu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.layers = dense_stack(sum(widths), hidden, act, dropout=dropout)
        self.width = hidden[-1] if hidden else sum(widths)

    def forward(self, vectors: list[Tensor]) -> Tensor:
        """Fuse."""
        fused: Tensor = self.layers(torch.cat(align_members(vectors), -1))
        return fused


_SHARP = 10.0
"""How much faster than other parameters a slope learns: cosines differ by a tenth where values differ by 1, around a half."""


class CompareFusion(FusionModule):
    """[(B, D), (B, D), (B, D_i)…] → (B, width): the first two compared, the others beside; members pass through.

    Args:
        widths: D, D and the D_i.
        hidden: The widths of the dense layers, if any.
        act: Their activation function.
        dropout: Their dropout.
        ordered: Whether u and v themselves are kept.
        cosine_only: Whether only their cosine is.
    """

    def __init__(
        self,
        widths: Sequence[int],
        hidden: Sequence[int] = (),
        act: ActivationName = "relu",
        dropout: float = 0.0,
        *,
        ordered: bool = False,
        cosine_only: bool = False,
    ) -> None:
        super().__init__()
        self.ordered, self.cosine_only = ordered, cosine_only
        if cosine_only:
            # From 0, so that the first step tells whether alike means more or less. An output layer that began with the wrong sign
            # would turn the vectors, until those that should differ are alike, before it comes to the right one.
            self.slope = nn.Parameter(torch.zeros(1))
        width = 1 + (0 if cosine_only else widths[0] * (4 if ordered else 2)) + sum(widths[2:])
        self.layers = dense_stack(width, hidden, act, dropout=dropout)
        self.width = hidden[-1] if hidden else width

    def forward(self, vectors: list[Tensor]) -> Tensor:
        """Fuse."""
        first, second, *others = align_members(vectors)
        # A text without a token has a vector of zeros, which is like nothing.
        lengths = (first.square().sum(-1, keepdim=True) * second.square().sum(-1, keepdim=True)).clamp_min(1e-12).sqrt()
        cosine = (first * second).sum(-1, keepdim=True) / lengths
        compared = [(cosine - 0.5) * (_SHARP * self.slope) if self.cosine_only else cosine]
        if not self.cosine_only:
            compared += [(first - second).abs(), first * second]
            compared += [first, second] if self.ordered else []
        fused: Tensor = self.layers(torch.cat([*compared, *others], -1))
        return fused


class AttentionFusion(FusionModule):
    """[(B, D_i)…] → (B, width): each vector projected, then their mean weighted by a learnt query; members pass through.

    Args:
        widths: The D_i.
        width: The width of the result.
        dropout: Dropout of the result.
    """

    def __init__(self, widths: Sequence[int], width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.project = nn.ModuleList(nn.Linear(w, width) for w in widths)
        self.pool = QueryPooling(width)
        self.dropout = Dropout(dropout)

    def forward(self, vectors: list[Tensor]) -> Tensor:
        """Fuse."""
        # Projected before they are given members, so that a vector without members is projected once.
        projected = [layer(vector) for layer, vector in zip(self.project, vectors, strict=True)]
        fused: Tensor = self.dropout(self.pool(torch.stack(align_members(projected), -2)))
        return fused
