"""A head for ordered classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Ordinal(Head):
    """One of several ordered levels, by the logits of "above level k" (Frank & Hall 2001; arXiv 1901.07884)."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("ordinal",)

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw holds the classes - 1 logits of "above level k".

        Raises:
            RecipeError: The head or the loss does not fit the output (E108).
        """
        from deepwright.blocks.heads import OrdinalHead, head_loss

        return OrdinalHead(head_loss(self, facts, loss, "binary_cross_entropy"), len(facts.classes), facts.counts)
