"""A head for two classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Binary(Head):
    """One of two classes, by one logit."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("binary",)

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw is the logit of the second class.

        Raises:
            RecipeError: The head or the loss does not fit the output (E108).
        """
        from deepwright.blocks.heads import BinaryHead, head_loss

        return BinaryHead(head_loss(self, facts, loss, "binary_cross_entropy"), facts.counts)
