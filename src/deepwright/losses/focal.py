"""The focal loss (arXiv 1708.02002)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from deepwright.errors import RecipeError
from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class Focal(Loss):
    """Cross-entropy that counts well-predicted rows less (arXiv 1708.02002): ``-α (1 - p)^γ log p``.

    For rare classes; the probabilities come out less certain than they should be, so calibrate them if they matter.
    """

    kinds: ClassVar[tuple[TargetKind, ...]] = ("binary", "multiclass", "multilabel", "mask")

    gamma: float = Field(2.0, ge=0)
    """How much less: 0 is cross-entropy."""
    alpha: Share | list[Weight] | None = None
    """Balance: the weight of "yes" (and 1 - alpha of "no") for binary and multilabel, one weight a class for multiclass and
    masks."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return the loss of a row, averaged over its tags or its pixels.

        Raises:
            RecipeError: ``alpha`` has the wrong form for the output, or not one weight a class (E106).
        """
        wanted = len(facts.classes) if facts.kind in ("multiclass", "mask") else 0
        given = len(self.alpha) if isinstance(self.alpha, list) else 0
        if self.alpha is not None and given != wanted:
            raise RecipeError(
                "E106",
                f"alpha of the focal loss does not fit a {facts.kind} output",
                where=f"outputs.{facts.name}.loss.alpha",
                got=f"{given} weights" if given else "one number",
                expected=f"a list of {wanted} weights, one a class" if wanted else "one number in [0, 1], the weight of yes",
            )
        from deepwright.blocks.losses import focal

        return focal(facts.kind, self.gamma, self.alpha)
