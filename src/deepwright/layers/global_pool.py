"""The layer ``global_pool``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deepwright.blocks.shapes import Shape, expect_map
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class GlobalPool(Layer):
    """One value for each channel of a map: (C, H, W) to (C,)."""

    kind: Literal["avg", "max"] = "avg"
    """The mean or the maximum."""

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for maps of ``shape``.

        Raises:
            RecipeError: ``shape`` is not a map (E108).
        """
        from deepwright.blocks import pooling

        channels = expect_map("global_pool", shape)[0]
        return pooling.GlobalPool(self.kind), (channels,)
