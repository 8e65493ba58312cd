"""The layer ``dropout``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.blocks.shapes import Shape
from deepwright.families import Layer

if TYPE_CHECKING:
    from torch import nn


class Dropout(Layer):
    """Values set to zero at random in training, the others scaled up (Srivastava et al., JMLR 15, 2014); keeps the shape."""

    p: float = Field(0.5, ge=0, lt=1)
    """The probability that a value is dropped."""
    channels: bool = False
    """Whether a map loses whole channels instead of single values (arXiv 1411.4280)."""

    def build(self, shape: Shape) -> tuple[nn.Module, Shape]:
        """Build it for inputs of any ``shape``."""
        from torch import nn

        return (nn.Dropout2d(self.p) if self.channels and len(shape) == 3 else nn.Dropout(self.p)), shape
