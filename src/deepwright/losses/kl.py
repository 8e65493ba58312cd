"""The Kullback-Leibler divergence from a target distribution."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class KL(Loss):
    """KL(target ‖ prediction): zero where the predicted distribution is the target's.

    A class index is a one-hot distribution, of which ``smoothing`` is spread evenly; float targets (B, classes) are distributions.
    Its gradient is that of cross-entropy; its value tells how far from the best possible a prediction is.
    """

    kinds: ClassVar[tuple[TargetKind, ...]] = ("multiclass",)

    smoothing: float = Field(0.0, ge=0, lt=1)
    """The fraction of every target that is spread evenly over the classes."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return ``Σ t (log t - log p)``."""
        from deepwright.blocks.losses import kl_divergence

        return partial(kl_divergence, smoothing=self.smoothing)
