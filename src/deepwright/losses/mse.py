"""The squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class MSE(Loss):
    """The squared error, in units of the target's own scale: predicts the mean, and feels outliers strongly."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("number", "forecast", "image")

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return ``(raw - target)²``."""
        from deepwright.blocks.losses import squared_error

        return squared_error
