"""The augmentation ``affine``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from deepwright.facts import ImageFacts
from deepwright.families import Augmentation, Draw

if TYPE_CHECKING:
    import torch


class Affine(Augmentation):
    """Rotating, shifting, scaling and shearing about the centre, with bilinear sampling."""

    degrees: float = Field(10.0, ge=0, le=180)
    """The largest rotation either way, in degrees."""
    shift: float = Field(0.05, ge=0, le=1)
    """The largest shift either way, as a fraction of the side."""
    scale: float = Field(0.1, ge=0, le=10)
    """The largest change of size: 0.1 draws between 1/1.1 and 1.1."""
    shear: float = Field(0.0, ge=0, lt=90)
    """The largest horizontal shear either way, in degrees."""
    edge: Literal["zero", "border", "reflect"] = "border"
    """What comes in from beyond the edge: black, the edge drawn out, or the mirrored picture."""
    p: float = Field(1.0, ge=0, le=1)
    """The probability that a picture is changed."""

    def build(self, facts: ImageFacts) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return ``augment(pictures, draw)`` on (B, C, H, W) float in 0…255."""
        return self._change(nearest=False)

    def build_along(self, facts: ImageFacts, *, classes: bool) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return the same change; of classes the nearest one is taken."""
        del facts
        return self._change(nearest=classes)

    def _change(self, *, nearest: bool) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        from deepwright.blocks import geometry

        if self.p == 0 or not (self.degrees or self.shift or self.scale or self.shear):
            return geometry.unchanged
        return partial(
            geometry.affine,
            degrees=self.degrees,
            shift=self.shift,
            scale=self.scale,
            shear=self.shear,
            edge=self.edge,
            p=self.p,
            nearest=nearest,
        )
