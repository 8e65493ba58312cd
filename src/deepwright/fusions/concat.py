"""Fusion by putting the vectors side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from deepwright.blocks.activations import ActivationName
from deepwright.families import Fusion

if TYPE_CHECKING:
    from deepwright.blocks.contract import FusionModule


class Concat(Fusion):
    """The vectors of all encoders side by side, and dense layers over them if wanted."""

    hidden: list[PositiveInt] = []
    """The widths of dense layers after the joining; none by default."""
    activation: ActivationName = "relu"
    """Their activation function."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of their values dropped in training."""

    def build(self, widths: Sequence[int]) -> FusionModule:
        """Build the module; ``width`` is that of the last layer, or the sum of ``widths``."""
        from deepwright.blocks.fusion import ConcatFusion

        return ConcatFusion(widths, self.hidden, self.activation, self.dropout)

    @classmethod
    def example(cls) -> Concat:
        """Return a fusion with one small layer."""
        return cls(hidden=[8])
