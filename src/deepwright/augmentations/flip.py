"""The augmentation ``flip``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from deepwright.families import Augmentation, ImageFacts

if TYPE_CHECKING:
    import torch


class Flip(Augmentation):
    """Mirroring at random; not for digits, letters or anything that has a left and a right."""

    axis: Literal["horizontal", "vertical"] = "horizontal"
    """``horizontal`` swaps left and right, ``vertical`` up and down."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a picture is changed."""

    def build(self, facts: ImageFacts) -> Callable[[torch.Tensor, torch.Generator], torch.Tensor]:
        """Return ``augment(pictures, generator)`` on (B, C, H, W) float in 0…255."""
        from deepwright.blocks import geometry

        if self.p == 0:
            return geometry.unchanged
        return partial(geometry.flip, axis=self.axis, p=self.p)
