"""The layer ``activation``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.shapes import Shape
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class Activation(Layer):
    """An activation function on its own; keeps the shape."""

    name: ActivationName = "relu"
    """The function."""

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for inputs of any ``shape``."""
        from deepwright.blocks.activations import activation

        return activation(self.name), shape
