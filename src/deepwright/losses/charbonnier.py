"""Charbonnier's loss."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class Charbonnier(Loss):
    """The absolute error, smooth at zero (Charbonnier et al. 1994): of pictures, it keeps edges sharper than the squared error."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("image", "number")

    epsilon: float = Field(1e-2, gt=0)
    """Below this distance, in units of the target's own scale, it is nearly squared."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return ``√(d² + ε²) - ε`` for a distance d."""
        from deepwright.blocks.losses import charbonnier

        return partial(charbonnier, epsilon=self.epsilon)
