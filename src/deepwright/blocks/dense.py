"""Dense layers on vectors (B, D)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from deepwright.blocks.activations import ActivationName, activation
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.normalization import NormalizationName, normalization


class DenseBlock(nn.Module):
    """Linear → normalisation → activation → dropout, on the last axis.

    Args:
        inputs: The width that comes in.
        outputs: The width that goes out.
        act: The activation function.
        norm: The normalisation; only for (B, D) if it is ``batch``.
        dropout: The fraction of values dropped in training (Srivastava et al. 2014).
        residual: Whether the input is added to the output, where both are equally wide (arXiv 1512.03385).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        act: ActivationName = "relu",
        norm: NormalizationName = "none",
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        # A batch normalisation subtracts the mean, and with it any bias before it.
        self.linear = nn.Linear(inputs, outputs, bias=norm != "batch")
        self.norm = normalization(norm, outputs) if norm != "none" else None
        # The tensor before it is this block's own, and no gradient needs it.
        self.act = activation(act, inplace=True)
        self.dropout = Dropout(dropout) if dropout else None
        self.residual = residual and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, inputs) to (…, outputs)."""
        y: Tensor = self.linear(x)
        if self.norm is not None:
            y = self.norm(y)
        y = self.act(y)
        if self.dropout is not None:
            y = self.dropout(y)
        return x + y if self.residual else y


def dense_stack(
    width: int,
    hidden: Sequence[int],
    act: ActivationName = "relu",
    norm: NormalizationName = "none",
    dropout: float = 0.0,
    residual: bool = False,
) -> nn.Sequential:
    """Build one :class:`DenseBlock` for each width of ``hidden``; without any, the identity."""
    widths = [width, *hidden]
    return nn.Sequential(*(DenseBlock(a, b, act, norm, dropout, residual) for a, b in pairwise(widths)))
