"""The augmentation ``color``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.facts import ImageFacts
from deepwright.families import Augmentation, Draw

if TYPE_CHECKING:
    import torch


class Color(Augmentation):
    """Changing saturation and hue of colour pictures; grey pictures pass unchanged."""

    saturation: float = Field(0.3, ge=0, le=1)
    """The largest change either way of the factor 1; at 1 the palest picture is grey."""
    hue: float = Field(0.02, ge=0, le=0.5)
    """The largest turn of the hues either way, as a fraction of the circle."""
    p: float = Field(1.0, ge=0, le=1)
    """The probability that a picture is changed."""

    def build(self, facts: ImageFacts) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return ``augment(pictures, draw)`` on (B, C, H, W) float in 0…255."""
        from deepwright.blocks import geometry, photometry

        if self.p == 0 or facts.channels != 3 or not (self.saturation or self.hue):
            return geometry.unchanged
        return partial(photometry.color, saturation=self.saturation, hue=self.hue, p=self.p)
