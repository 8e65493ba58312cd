"""The schedule ``plateau``."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from deepwright.families import Schedule


class Plateau(Schedule):
    """The learning rate falls whenever the validation score has not become better for a while."""

    gamma: float = Field(0.3, gt=0, lt=1)
    """What it is multiplied by."""
    patience: int = Field(3, ge=0)
    """Evaluations without a better score that are borne before it falls."""
    threshold: float = Field(1e-4, ge=0)
    """By how much a score must beat the best one to be better."""
    final: float = Field(1e-3, ge=0, le=1)
    """What is left of the peak at least."""

    def factor(self, progress: float, scores: Sequence[float]) -> float:
        """Count through all ``scores``; a NaN is no better score."""
        best, waited, factor = float("-inf"), 0, 1.0
        for score in scores:
            if score > best + self.threshold:
                best, waited = score, 0
                continue
            waited += 1
            if waited > self.patience:
                factor, waited = factor * self.gamma, 0
        return max(self.final, factor)
