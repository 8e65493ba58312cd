"""A head for several classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Multiclass(Head):
    """One of several classes, by softmax."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("multiclass",)

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw holds a logit a class.

        Raises:
            RecipeError: The head or the loss does not fit the output (E108).
        """
        from deepwright.blocks.heads import MulticlassHead, head_loss

        return MulticlassHead(head_loss(self, facts, loss, "cross_entropy"), len(facts.classes), facts.counts)
