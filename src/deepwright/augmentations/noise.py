"""The augmentation ``noise``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.facts import ImageFacts
from deepwright.families import Augmentation, Draw

if TYPE_CHECKING:
    import torch


class Noise(Augmentation):
    """Adding Gaussian noise, as a sensor in the dark does."""

    amount: float = Field(0.05, ge=0, le=1)
    """The largest standard deviation, as a fraction of the range from black to white."""
    p: float = Field(1.0, ge=0, le=1)
    """The probability that a picture is changed."""

    def build(self, facts: ImageFacts) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return ``augment(pictures, draw)`` on (B, C, H, W) float in 0…255."""
        from deepwright.blocks import geometry, photometry

        if self.p == 0 or self.amount == 0:
            return geometry.unchanged
        return partial(photometry.noise, amount=self.amount, p=self.p)
