"""The layer ``flatten``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deepwright.blocks.shapes import Shape
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class Flatten(Layer):
    """All values of a map side by side: (C, H, W) to (C·H·W,); a vector stays as it is."""

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for inputs of any ``shape``."""
        from torch import nn

        return nn.Flatten(), (math.prod(shape),)
