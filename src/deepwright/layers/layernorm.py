"""The layer ``layernorm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepwright.blocks.shapes import Shape
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class LayerNorm(Layer):
    """Layer normalisation (Ba et al., arXiv 1607.06450) of all values of a row, whatever the batch; keeps the shape."""

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for maps or vectors of ``shape``."""
        from deepwright.blocks.normalization import map_normalization, normalization

        return (map_normalization if len(shape) == 3 else normalization)("layer", shape[0]), shape
