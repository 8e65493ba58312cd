"""A head for tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Multilabel(Head):
    """Any number of tags, each by a logit of its own."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("multilabel",)

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw holds a logit a tag.

        Raises:
            RecipeError: The head or the loss does not fit the output (E108).
        """
        from deepwright.blocks.heads import MultilabelHead, head_loss

        return MultilabelHead(head_loss(self, facts, loss, "binary_cross_entropy"), len(facts.classes), facts.counts, facts.rows)
