"""The layer ``conv2d``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.shapes import Padding, Pair, Shape, expect_map, slide_map
from deepwright.errors import RecipeError
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class Conv2d(Layer):
    """A convolution of a map: (C, H, W) to (``channels``, H', W')."""

    channels: int = Field(ge=1)
    """Filters, the channels of the output."""
    kernel: Pair = (3, 3)
    """The window: one number, or height and width."""
    stride: Pair = (1, 1)
    """The steps of the window."""
    padding: Padding = "valid"
    """``valid``: the map shrinks by the window; ``same``: its edges are padded with zeros."""
    groups: int = Field(1, ge=1)
    """Groups of channels that are convolved apart; must divide the channels in and out."""
    bias: bool = True
    """Whether each filter has a bias; with ``batch_norm`` it has that one's."""
    batch_norm: bool = False
    """Whether batch normalisation follows, before the activation."""
    activation: ActivationName = "none"
    """The activation that follows."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.channels % self.groups:
            raise ValueError(f"channels ({self.channels}) must be a multiple of groups ({self.groups})")
        return self

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for maps of ``shape``.

        Raises:
            RecipeError: ``shape`` is not a map, is too small, or its channels do not divide into the groups (E108).
        """
        from torch import nn

        from deepwright.blocks.activations import activation
        from deepwright.blocks.convolution import padded, strided
        from deepwright.blocks.normalization import map_normalization

        channels = expect_map("conv2d", shape)[0]
        if channels % self.groups:
            raise RecipeError(
                "E108",
                f"the {channels} channels that conv2d gets do not divide into {self.groups} groups",
                got=f"{channels} channels",
                expected=f"a multiple of {self.groups}",
                fix="change groups, or the channels of the layer before",
            )
        windows = slide_map("conv2d", shape, self.kernel, self.stride, self.padding)
        inside, modules = padded(windows)
        step, before = strided(self.kernel, self.stride)
        modules += before
        bias = self.bias and not self.batch_norm
        modules.append(nn.Conv2d(channels, self.channels, self.kernel, step, inside, groups=self.groups, bias=bias))
        if self.batch_norm:
            modules.append(map_normalization("batch", self.channels))
        if self.activation != "none":
            modules.append(activation(self.activation))
        return nn.Sequential(*modules), (self.channels, windows[0].size, windows[1].size)

    @classmethod
    def example(cls) -> Self:
        """Return four filters."""
        return cls(channels=4, activation="relu")
