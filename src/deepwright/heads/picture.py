"""A head for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepwright.facts import Shape, TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Picture(Head):
    """The colours of each pixel, from the vector of the pixel: denoising, colouring, sharpening."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("image",)
    reads: ClassVar[Shape] = "map"

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw holds the standardised colours, (B, C, H, W).

        Raises:
            RecipeError: The head or the loss does not fit the output (E108).
        """
        from deepwright.blocks.heads import PictureHead, head_loss

        return PictureHead(head_loss(self, facts, loss, "charbonnier"), facts.channels, facts.center, facts.scale)

    def search(self, outputs: NDArray[Any], extras: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the colours as whole numbers in 0…255, uint8 (B, H, W, C).

        Args:
            outputs: (B, H, W, C) in 0…255.
            extras: Nothing.
        """
        del extras
        return np.asarray(np.rint(outputs), np.uint8)
