"""What the assembler expects of the modules that parts build."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

RowLoss = Callable[[Tensor, Tensor], Tensor]
"""``loss(raw, target) -> (B,)``: one loss a row."""


class EncoderModule(nn.Module):
    """``forward({array: tensor}) -> (B, width)``, or ``(B, members, width)`` if ``members`` > 1."""

    width: int
    members: int = 1

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        raise NotImplementedError


class FusionModule(nn.Module):
    """``forward([(B, D_i)…]) -> (B, width)``; a members axis, if any, stands before the last."""

    width: int

    def forward(self, vectors: list[Tensor]) -> Tensor:
        """Fuse the vectors of all encoders."""
        raise NotImplementedError


class HeadModule(nn.Module):
    """What turns raw predictions into a loss and into what leaves the graph. The assembler makes the output layer.

    ``size`` is the width of the raw prediction (1 is squeezed away: raw is (B,) then). ``initial_bias`` (size,), if any, is where
    the bias of the output layer starts: at what the class shares alone predict, so that training need not find them first.
    """

    size: int
    loss: RowLoss
    initial_bias: Tensor | None = None

    def outputs(self, raw: Tensor) -> Tensor:
        """Return values (B,) in the target's own units, or probabilities (B, classes); members are averaged afterwards."""
        raise NotImplementedError
