"""The augmentation ``magnitude``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import SeriesFacts, Wire
from deepwright.families import Augmentation

if TYPE_CHECKING:
    from deepwright.blocks.varying import Change


class Magnitude(Augmentation):
    """Larger and smaller swings around the mean of each channel, each by its own factor (Um et al. 2017, arXiv 1706.00527)."""

    accepts: ClassVar[Wire] = "series"

    sigma: float = Field(0.1, ge=0, le=2)
    """The deviation of the factor, whose mean is 1."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a series is changed."""

    def build(self, facts: SeriesFacts) -> Change:
        """Return ``augment(series, lengths, draw)`` on (B, T, C) float, NaN where missing."""
        import torch

        from deepwright.blocks import varying

        if self.p == 0 or self.sigma == 0:
            return varying.unchanged
        return partial(varying.scaled, sigma=self.sigma, mean=torch.tensor(facts.mean), p=self.p)
