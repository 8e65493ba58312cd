"""The Dice loss (arXiv 1606.04797)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    import torch

    from deepwright.blocks.contract import RowLoss


class Dice(Loss):
    """One minus the overlap of what is predicted and what is there (V-Net, arXiv 1606.04797): for small things on a large ground.

    It is the mean over the classes, and the cross-entropy is added, as nnU-Net does (arXiv 1809.10486).
    """

    kinds: ClassVar[tuple[TargetKind, ...]] = ("mask",)

    smooth: float = Field(1.0, gt=0)
    """Pixels added to both sides of the ratio, so that a class that is neither there nor predicted counts as right."""
    cross_entropy: float = Field(1.0, ge=0)
    """How much of the mean cross-entropy is added; 0: Dice alone, whose gradient is weak where nothing is right yet."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return the loss of a row's pixels."""
        from deepwright.blocks import losses

        entropy = losses.per_pixel(lambda raw, target: losses.cross_entropy(raw, target, 0.0))

        def both(raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            overlap = losses.dice(raw, target, self.smooth)
            return overlap + self.cross_entropy * entropy(raw, target) if self.cross_entropy else overlap

        return both
