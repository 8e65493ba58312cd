"""The layer ``batchnorm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepwright.blocks.shapes import Shape
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class BatchNorm(Layer):
    """Batch normalisation (Ioffe & Szegedy, arXiv 1502.03167) of each channel or unit; keeps the shape."""

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for maps or vectors of ``shape``."""
        from deepwright.blocks.normalization import map_normalization, normalization

        return (map_normalization if len(shape) == 3 else normalization)("batch", shape[0]), shape
