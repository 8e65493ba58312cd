"""Cross-entropy over classes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.families import Loss, TargetFacts, TargetKind

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class CrossEntropy(Loss):
    """The negative log probability of the true class. For a binary output, it is binary cross-entropy."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("multiclass", "binary")

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """The fraction of every target that is spread evenly over the classes (arXiv 1512.00567)."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return ``-log p`` of the true class; a float target (B, classes) is a distribution."""
        from deepwright.blocks.losses import binary_cross_entropy, cross_entropy

        if facts.kind == "binary":
            return partial(binary_cross_entropy, kind=facts.kind, smoothing=self.label_smoothing)
        return partial(cross_entropy, smoothing=self.label_smoothing)
