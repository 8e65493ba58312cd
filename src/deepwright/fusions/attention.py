"""Fusion by attention: every row weighs its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.families import Fusion

if TYPE_CHECKING:
    from deepwright.blocks.contract import FusionModule


class Attention(Fusion):
    """A weighted mean of the encoders' vectors, projected to one width; a learnt query decides the weights of every row."""

    width: int = Field(128, ge=1)
    """The width that all vectors are projected to."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of the result's values dropped in training."""

    def build(self, widths: Sequence[int]) -> FusionModule:
        """Build the module."""
        from deepwright.blocks.fusion import AttentionFusion

        return AttentionFusion(widths, self.width, self.dropout)

    @classmethod
    def example(cls) -> Attention:
        """Return a narrow fusion."""
        return cls(width=8)
