"""Pooling of maps (B, C, H, W)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from deepwright.blocks.convolution import padded
from deepwright.blocks.shapes import Window

PoolName = Literal["avg", "max"]
"""The mean or the maximum."""


class GlobalPool(nn.Module):
    """(B, C, H, W) to (B, C): the mean or the maximum of each channel.

    Args:
        kind: ``avg`` or ``max``.
    """

    def __init__(self, kind: PoolName = "avg") -> None:
        super().__init__()
        self.kind = kind

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        return maps.mean((2, 3)) if self.kind == "avg" else maps.amax((2, 3))


class ScaledMaximum(nn.Module):
    """(B, C, H, W) to (B, C): the maximum of each channel times ``scale``.

    Args:
        scale: What it is multiplied by.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, maps: Tensor) -> Tensor:
        """Pool."""
        return maps.amax((2, 3)) * self.scale


class AveragePool(nn.Module):
    """The mean of each window; places that were padded do not count.

    Args:
        shape: (H, W) of the input, which fixes how many places of a window at the edge count.
        kernel: The window's height and width.
        stride: Its steps.
        windows: How it slides, see :func:`deepwright.blocks.shapes.slide_map`.
    """

    share: Tensor

    def __init__(
        self, shape: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], windows: tuple[Window, Window]
    ) -> None:
        super().__init__()
        rows, columns = windows
        edges = (columns.before, columns.after, rows.before, rows.after)
        self.pool = nn.Sequential(*([nn.ZeroPad2d(edges)] if any(edges) else []), nn.AvgPool2d(kernel, stride))
        share = 1 / self.pool(torch.ones(1, 1, *shape)) if any(edges) else torch.ones(1, 1, 1, 1)
        self.register_buffer("share", share, persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Pool (B, C, H, W)."""
        pooled: Tensor = self.pool(maps) * self.share
        return pooled


def max_pool(kernel: tuple[int, int], stride: tuple[int, int], windows: tuple[Window, Window]) -> nn.Sequential:
    """Build the maximum of each window, see :func:`deepwright.blocks.shapes.slide_map`."""
    inside, before = padded(windows, float("-inf"))
    return nn.Sequential(*before, nn.MaxPool2d(kernel, stride, inside))
