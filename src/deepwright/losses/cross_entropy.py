"""Cross-entropy over classes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deepwright.errors import RecipeError
from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class CrossEntropy(Loss):
    """The negative log probability of the true class. For a binary output, it is binary cross-entropy."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("multiclass", "binary", "mask")

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """The fraction of every target that is spread evenly over the classes (arXiv 1512.00567)."""
    weights: Literal["balanced"] | tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """Masks only: what a pixel of each class counts, in the order of the classes; ``balanced``: as much as pixels of its class are
    rare, 1 on average."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return ``-log p`` of the true class; a float target (B, classes) is a distribution.

        Raises:
            RecipeError: There are weights and no mask, or not one weight a class (E106).
        """
        from deepwright.blocks.losses import binary_cross_entropy, cross_entropy, per_pixel

        weights = self._weights(facts)
        if facts.kind == "mask":
            return per_pixel(partial(cross_entropy, smoothing=self.label_smoothing), weights)

        if facts.kind == "binary":
            return partial(binary_cross_entropy, kind=facts.kind, smoothing=self.label_smoothing)
        return partial(cross_entropy, smoothing=self.label_smoothing)

    def _weights(self, facts: TargetFacts) -> tuple[float, ...] | None:
        """Return what pixels of each class count."""
        if self.weights is None:
            return None
        if facts.kind == "mask" and self.weights == "balanced":
            total, classes = sum(facts.counts), len(facts.classes)
            return tuple(total / (classes * max(1, count)) for count in facts.counts)
        if facts.kind == "mask" and len(self.weights) == len(facts.classes):
            return tuple(float(weight) for weight in self.weights)
        raise RecipeError(
            "E106",
            f"the weights of classes do not fit a {facts.kind} output",
            where=f"outputs.{facts.name}.loss.weights",
            got=self.weights if isinstance(self.weights, str) else f"{len(self.weights)} weights",
            expected=f"{len(facts.classes)} weights, one a class" if facts.kind == "mask" else "an output of type mask",
            fix="" if facts.kind == "mask" else "training: {balance: weights}",
        )
