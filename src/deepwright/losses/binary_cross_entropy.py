"""Cross-entropy of yes/no decisions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class BinaryCrossEntropy(Loss):
    """The negative log probability of every yes/no decision: the class, each tag, or "above this level" of an ordinal output.

    Averaged over a row's decisions.
    """

    kinds: ClassVar[tuple[TargetKind, ...]] = ("binary", "multilabel", "ordinal")

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """How far targets move from 0 and 1 towards 1/2 (arXiv 1512.00567)."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return the mean over a row's decisions of ``-log p``."""
        from deepwright.blocks.losses import binary_cross_entropy

        return partial(binary_cross_entropy, kind=facts.kind, smoothing=self.label_smoothing)
