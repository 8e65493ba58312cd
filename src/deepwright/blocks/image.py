"""From pictures as they travel to maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEAST_STD = 1e-3
"""A channel that varies less than this (in 0…255) is constant, and is not divided by its noise."""


class ImageInput(nn.Module):
    """``{"image": (B, H, W, C)}``, ``uint8`` or float in 0…255, to standardised maps (B, C, H, W) in float.

    The axes are permuted without a copy, which is just PyTorch's channels-last layout; ``layout`` asks for the other one.

    Args:
        mean: The mean of each channel, in 0…255.
        std: The standard deviation of each channel, in 0…255; that of a constant channel is taken as 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.layout = torch.channels_last
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        safe = [value if value > LEAST_STD else 1.0 for value in std]
        self.register_buffer("std", torch.tensor(safe, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Standardise a batch."""
        pictures = inputs["image"].permute(0, 3, 1, 2).to(self.mean.dtype, memory_format=self.layout)
        return (pictures - self.mean) / self.std
