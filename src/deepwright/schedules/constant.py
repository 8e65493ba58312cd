"""The schedule ``constant``."""

from __future__ import annotations

from collections.abc import Sequence

from deepwright.families import Schedule


class Constant(Schedule):
    """The learning rate stays at its peak."""

    def factor(self, progress: float, scores: Sequence[float]) -> float:
        """Return 1."""
        return 1.0
