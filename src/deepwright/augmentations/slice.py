"""The augmentation ``slice``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import SeriesFacts, Wire
from deepwright.families import Augmentation

if TYPE_CHECKING:
    from deepwright.blocks.varying import Change


class Slice(Augmentation):
    """A stretch of a series in the place of the whole (window slicing, Le Guennec et al. 2016)."""

    accepts: ClassVar[Wire] = "series"

    least: float = Field(0.9, gt=0, le=1)
    """The shortest stretch, as a share of the series."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a series is changed."""

    def build(self, facts: SeriesFacts) -> Change:
        """Return ``augment(series, lengths, draw)`` on (B, T, C) float, NaN where missing."""
        from deepwright.blocks import varying

        if self.p == 0 or self.least == 1:
            return varying.unchanged
        return partial(varying.sliced, least=self.least, p=self.p)
