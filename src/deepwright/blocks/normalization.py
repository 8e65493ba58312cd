"""Normalisation layers by name. Importing this file does not import torch, so that parts can use the names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

NormalizationName = Literal["none", "batch", "layer", "rms"]
"""The normalisations of vectors (B, D) that a recipe can name."""

MapNormalizationName = Literal["none", "batch", "layer", "group", "instance"]
"""The normalisations of maps (B, C, H, W) that a recipe can name."""


def normalization(name: NormalizationName, width: int) -> nn.Module:
    """Build the normalisation ``name`` of vectors (B, width); it keeps the shape.

    ``batch`` is arXiv 1502.03167, ``layer`` arXiv 1607.06450, ``rms`` arXiv 1910.07467.
    """
    from torch import nn

    from deepwright.blocks.norms import RMSNorm, VectorBatchNorm

    if name == "batch":
        return VectorBatchNorm(width)
    if name == "layer":
        return nn.LayerNorm(width)
    if name == "rms":
        return RMSNorm(width, eps=1e-6)
    return nn.Identity()


def map_normalization(name: MapNormalizationName, channels: int, groups: int = 32) -> nn.Module:
    """Build the normalisation ``name`` of maps (B, channels, H, W); it keeps the shape.

    ``layer`` normalises all values of one picture together, ``instance`` (arXiv 1607.08022) each channel alone, ``group``
    (arXiv 1803.08494) channels in ``groups``, which are lowered to a divisor of ``channels``.
    """
    from torch import nn

    from deepwright.blocks.norms import MapBatchNorm

    if name == "batch":
        return MapBatchNorm(channels)
    if name == "layer":
        return nn.GroupNorm(1, channels)
    if name == "group":
        return nn.GroupNorm(math.gcd(groups, channels), channels)
    if name == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.Identity()
