"""The augmentation ``time_warp``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import SeriesFacts, Wire
from deepwright.families import Augmentation

if TYPE_CHECKING:
    from deepwright.blocks.varying import Change


class TimeWarp(Augmentation):
    """Running through a series now faster, now slower, its ends where they were (Um et al. 2017, arXiv 1706.00527)."""

    accepts: ClassVar[Wire] = "series"

    amount: float = Field(0.2, ge=0, le=4)
    """The largest change of speed either way: 0.2 draws between 1/1.2 and 1.2 times as fast."""
    knots: int = Field(5, ge=2, le=100)
    """The points between which the speed changes."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a series is changed."""

    def build(self, facts: SeriesFacts) -> Change:
        """Return ``augment(series, lengths, draw)`` on (B, T, C) float, NaN where missing."""
        from deepwright.blocks import varying

        if self.p == 0 or self.amount == 0:
            return varying.unchanged
        return partial(varying.warped, amount=self.amount, knots=self.knots, p=self.p)
