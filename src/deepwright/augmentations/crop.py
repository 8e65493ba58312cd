"""The augmentation ``crop``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from deepwright.facts import ImageFacts
from deepwright.families import Augmentation, Draw

if TYPE_CHECKING:
    import torch


class Crop(Augmentation):
    """Cropping a padded picture at random, which shifts it by a few places (Krizhevsky 2012)."""

    shift: float = Field(0.08, ge=0, le=0.5)
    """The largest shift either way, as a fraction of the side: 2 pixels of 28."""
    edge: Literal["zero", "border", "reflect"] = "reflect"
    """What comes in from beyond the edge: black, the edge drawn out, or the mirrored picture."""
    p: float = Field(1.0, ge=0, le=1)
    """The probability that a picture is changed."""

    def build(self, facts: ImageFacts) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return ``augment(pictures, draw)`` on (B, C, H, W) float in 0…255."""
        from deepwright.blocks import geometry

        if self.p == 0 or self.shift == 0:
            return geometry.unchanged
        return partial(
            geometry.crop, rows=round(self.shift * facts.height), columns=round(self.shift * facts.width), edge=self.edge, p=self.p
        )

    def build_along(self, facts: ImageFacts, *, classes: bool) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return the same change: whole pixels change places."""
        del classes
        return self.build(facts)
