"""Dropout that costs less than the layer it follows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 256


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014): in training, values become zero at random and the others are scaled up.

    On a CPU, torch draws one number for every value, which takes longer than a linear layer of width 256 (measured: 39 against
    19 ms for 8192 rows). Here one draw serves eight values, a byte each, which is five to ten times faster; the rate is rounded to
    1/256 and the scale is exact for the rounded rate. The draws come from torch's global generator.

    Args:
        rate: The fraction of values that become zero.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        # A rate above 0 must not round to 0, nor one below 1 to 1.
        self.threshold = min(max(round(rate * _LEVELS), 1), _LEVELS - 1) if rate > 0 else 0

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of a tensor of any shape."""
        if not self.training or self.rate == 0.0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.rate)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        draws = words.view(torch.uint8)[: x.numel()].view(x.shape).to(x.dtype)  # 0 … 255, exact in bfloat16 too
        return x * draws.ge_(self.threshold).mul_(_LEVELS / (_LEVELS - self.threshold))

    def extra_repr(self) -> str:
        """Return the rate."""
        return f"rate={self.rate}"
