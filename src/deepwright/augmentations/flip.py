"""The augmentation ``flip``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from deepwright.facts import ImageFacts
from deepwright.families import Augmentation, Draw

if TYPE_CHECKING:
    import torch


class Flip(Augmentation):
    """Mirroring at random; not for digits, letters or anything that has a left and a right."""

    axis: Literal["horizontal", "vertical"] = "horizontal"
    """``horizontal`` swaps left and right, ``vertical`` up and down."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a picture is changed."""
    alternate: bool = False
    """Whether chance decides in the first epoch only, and each picture is mirrored in every other epoch from then on: epochs that
    follow each other show both forms of every picture (arXiv 2404.00498). It leaves ``p`` at 0.5."""

    @model_validator(mode="after")
    def _alternate_is_even(self) -> Self:
        if self.alternate and self.p != 0.5:
            raise ValueError("alternate mirrors half of the pictures in every epoch; leave p out, or alternate")
        return self

    def build(self, facts: ImageFacts) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return ``augment(pictures, draw)`` on (B, C, H, W) float in 0…255."""
        from deepwright.blocks import geometry

        if self.p == 0:
            return geometry.unchanged
        if self.alternate:
            return partial(geometry.alternating_flip, axis=self.axis)
        return partial(geometry.flip, axis=self.axis, p=self.p)

    def build_along(self, facts: ImageFacts, *, classes: bool) -> Callable[[torch.Tensor, Draw], torch.Tensor]:
        """Return the same change: whole pixels change places."""
        del classes
        return self.build(facts)
