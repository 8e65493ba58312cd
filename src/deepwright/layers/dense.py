"""The layer ``dense``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.shapes import Shape, expect_vector
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class Dense(Layer):
    """A fully connected layer: (D,) to (``units``,)."""

    units: int = Field(ge=1)
    """The width of the output."""
    bias: bool = True
    """Whether each unit has a bias; with ``batch_norm`` it has that one's."""
    batch_norm: bool = False
    """Whether batch normalisation follows, before the activation."""
    activation: ActivationName = "none"
    """The activation that follows."""

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for vectors of ``shape``.

        Raises:
            RecipeError: ``shape`` is not a vector (E108).
        """
        from torch import nn

        from deepwright.blocks.activations import activation
        from deepwright.blocks.normalization import normalization

        modules: list[nn.Module] = [nn.Linear(expect_vector("dense", shape), self.units, self.bias and not self.batch_norm)]
        if self.batch_norm:
            modules.append(normalization("batch", self.units))
        if self.activation != "none":
            modules.append(activation(self.activation))
        return nn.Sequential(*modules), (self.units,)

    @classmethod
    def example(cls) -> Self:
        """Return four units."""
        return cls(units=4, activation="relu")

    @classmethod
    def example_shape(cls) -> Shape:
        """Return a vector."""
        return (8,)
