"""A head for masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepwright.facts import Shape, TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Segmentation(Head):
    """A class for each pixel, by softmax over the vector of the pixel."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("mask",)
    reads: ClassVar[Shape] = "map"

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw holds a logit for each class and pixel, (B, classes, H, W).

        Raises:
            RecipeError: The head or the loss does not fit the output (E108).
        """
        from deepwright.blocks.heads import SegmentationHead, head_loss

        return SegmentationHead(head_loss(self, facts, loss, "cross_entropy"), len(facts.classes), facts.counts)

    def search(self, outputs: NDArray[Any], extras: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the likeliest class of each pixel, int16 (B, H, W).

        Args:
            outputs: (B, classes, H, W) probabilities.
            extras: Nothing.
        """
        del extras
        return np.asarray(outputs.argmax(1), np.int16)
