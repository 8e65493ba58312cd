"""The schedule ``step``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from deepwright.families import Schedule


class Step(Schedule):
    """The learning rate falls by a constant factor at each milestone."""

    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75, 0.9)
    """The fractions of all steps after which it falls."""
    gamma: float = Field(0.1, gt=0, le=1)
    """What it is multiplied by."""

    def factor(self, progress: float, scores: Sequence[float]) -> float:
        """Return ``gamma`` to the power of the milestones passed."""
        passed = sum(progress >= milestone for milestone in self.milestones)
        return float(self.gamma**passed)
