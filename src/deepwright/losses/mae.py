"""The absolute error."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class MAE(Loss):
    """The absolute error, in units of the target's own scale: predicts the median, and is robust to outliers."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("number", "forecast", "image")

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return ``|raw - target|``."""
        from deepwright.blocks.losses import absolute_error

        return absolute_error
