"""The augmentation ``erase``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.facts import ImageFacts
from deepwright.families import Augmentation, Draw

if TYPE_CHECKING:
    import torch


class Erase(Augmentation):
    """Covering a rectangle at random by the mean colour (Cutout, arXiv 1708.04552; Random Erasing, arXiv 1708.04896)."""

    size: float = Field(0.4, ge=0, le=1)
    """The largest side of the rectangle, as a fraction of the picture's; the smallest is half of it."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a picture is changed."""

    def build(self, facts: ImageFacts) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return ``augment(pictures, draw)`` on (B, C, H, W) float in 0…255."""
        from deepwright.blocks import geometry

        if self.p == 0 or self.size == 0:
            return geometry.unchanged
        return partial(geometry.erase, size=self.size, fill=facts.mean, p=self.p)
