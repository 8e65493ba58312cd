"""The layer ``avgpool2d``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepwright.blocks.shapes import Padding, Pair, Shape, slide_map
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class AvgPool2d(Layer):
    """The mean of each window of a map: (C, H, W) to (C, H', W')."""

    size: Pair = (2, 2)
    """The window: one number, or height and width."""
    stride: Pair | None = None
    """The steps of the window; by default its size."""
    padding: Padding = "valid"
    """``valid``: a rest that does not fill a window is left out; ``same``: the edges are padded, and padding never counts."""

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for maps of ``shape``.

        Raises:
            RecipeError: ``shape`` is not a map, or is too small (E108).
        """
        from deepwright.blocks.pooling import AveragePool

        stride = self.stride or self.size
        windows = slide_map("avgpool2d", shape, self.size, stride, self.padding)
        return AveragePool((shape[1], shape[2]), self.size, stride, windows), (shape[0], windows[0].size, windows[1].size)
