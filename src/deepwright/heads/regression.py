"""A head for numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Regression(Head):
    """A number in its own units."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("number",)

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw is the standardised value.

        Raises:
            RecipeError: The head or the loss does not fit the output (E108).
        """
        from deepwright.blocks.heads import RegressionHead, head_loss

        return RegressionHead(head_loss(self, facts, loss, "mse"), facts.center, facts.scale)
