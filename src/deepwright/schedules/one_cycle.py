"""The schedule ``one_cycle``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from deepwright.families import Schedule


class OneCycle(Schedule):
    """The learning rate rises to its peak and falls to almost nothing (L. Smith, arXiv 1708.07120); for short trainings.

    The rise is its own warm-up: leave ``warmup`` at 0.
    """

    peak: float = Field(0.25, gt=0, lt=1)
    """The fraction of all steps after which the peak is reached."""
    start: float = Field(0.04, ge=0, le=1)
    """The fraction of the peak that it starts from."""
    final: float = Field(0.0, ge=0, le=1)
    """What is left of the peak at the end."""
    shape: Literal["cosine", "linear"] = "cosine"
    """The form of the rise and the fall."""

    def factor(self, progress: float, scores: Sequence[float]) -> float:
        """Return the multiplier at ``progress``."""
        if progress < self.peak:
            return self._between(self.start, 1.0, progress / self.peak)
        return self._between(1.0, self.final, (progress - self.peak) / (1 - self.peak))

    def _between(self, first: float, last: float, done: float) -> float:
        share = (1 - math.cos(math.pi * done)) / 2 if self.shape == "cosine" else done
        return first + (last - first) * share
