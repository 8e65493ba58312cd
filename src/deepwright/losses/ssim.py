"""Structural similarity as a loss."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    import torch

    from deepwright.blocks.contract import RowLoss


class SSIM(Loss):
    """One minus the structural similarity of two pictures (Wang et al. 2004), plus the absolute error (arXiv 1511.08861)."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("image",)

    absolute: float = Field(0.2, ge=0)
    """How much of the absolute error is added, in units of the target's own scale: similarity alone minds shades little."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return the loss of a picture."""
        from deepwright.blocks import losses

        unlike = partial(losses.dissimilarity, center=facts.center, scale=facts.scale)

        def both(raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return unlike(raw, target) + self.absolute * losses.absolute_error(raw, target)

        return both
