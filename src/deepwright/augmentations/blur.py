"""The augmentation ``blur``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.facts import ImageFacts
from deepwright.families import Augmentation, Draw

if TYPE_CHECKING:
    import torch


class Blur(Augmentation):
    """Blurring by a Gaussian, as a lens out of focus does."""

    sigma: float = Field(1.0, ge=0, le=20)
    """The largest standard deviation of the Gaussian, in pixels."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a picture is changed."""

    def build(self, facts: ImageFacts) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return ``augment(pictures, draw)`` on (B, C, H, W) float in 0…255."""
        from deepwright.blocks import geometry, photometry

        if self.p == 0 or self.sigma == 0:
            return geometry.unchanged
        return partial(photometry.blur, sigma=self.sigma, p=self.p)
