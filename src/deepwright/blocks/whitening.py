"""A first convolution that makes the values of a picture's patches uncorrelated (arXiv 2404.00498, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.image import LEAST_STD

EPSILON = 5e-4
"""What is added to the variance of each direction before its root divides: directions of less are noise."""


class Whitening(nn.Module):
    """Standardised maps (B, C, H, W) to (B, 8C, H - 1, W - 1): every direction of 2 × 2 patches at unit variance, and its negative.

    The filters are the eigenvectors of the patches' covariance over the roots of their eigenvalues. They stay as they are; only
    the bias is learnt. With the negatives, the activation that follows loses nothing.

    Args:
        channels: C.
        std: The deviation that each channel was divided by.
        covariance: Of the patches before that division, (4C, 4C) in the order (C, 2, 2); none is taken as no correlation.
    """

    weight: Tensor

    def __init__(self, channels: int, std: Sequence[float], covariance: Sequence[Sequence[float]]) -> None:
        super().__init__()
        scale = torch.tensor([value if value > LEAST_STD else 1.0 for value in std], dtype=torch.float64).repeat_interleave(4)
        known = torch.tensor(covariance, dtype=torch.float64) if covariance else torch.diag(scale**2)
        values, vectors = torch.linalg.eigh(known / torch.outer(scale, scale))
        filters = (vectors / (values.clamp_min(0) + EPSILON).sqrt()).T.reshape(-1, channels, 2, 2)
        self.register_buffer("weight", torch.cat([filters, -filters]).float())
        self.bias = nn.Parameter(torch.zeros(len(self.weight)))

    def forward(self, maps: Tensor) -> Tensor:
        """Whiten."""
        return F.conv2d(maps, self.weight, self.bias)
