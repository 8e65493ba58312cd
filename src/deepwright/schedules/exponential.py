"""The schedule ``exponential``."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from deepwright.families import Schedule


class Exponential(Schedule):
    """The learning rate falls by the same factor in every step."""

    final: float = Field(0.01, gt=0, le=1)
    """What is left of the peak at the end."""

    def factor(self, progress: float, scores: Sequence[float]) -> float:
        """Return ``final ** progress``."""
        return float(self.final**progress)
