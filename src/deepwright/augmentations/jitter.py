"""The augmentation ``jitter``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import SeriesFacts, Wire
from deepwright.families import Augmentation

if TYPE_CHECKING:
    from deepwright.blocks.varying import Change


class Jitter(Augmentation):
    """Noise on every place, as another sensor has it (Um et al. 2017, arXiv 1706.00527)."""

    accepts: ClassVar[Wire] = "series"

    sigma: float = Field(0.05, ge=0, le=10)
    """The deviation of the noise, in standard deviations of each channel."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a series is changed."""

    def build(self, facts: SeriesFacts) -> Change:
        """Return ``augment(series, lengths, draw)`` on (B, T, C) float, NaN where missing."""
        import torch

        from deepwright.blocks import varying

        if self.p == 0 or self.sigma == 0:
            return varying.unchanged
        return partial(varying.jitter, sigma=self.sigma * torch.tensor(facts.std), p=self.p)
