"""The augmentation ``speed``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import SoundFacts, Wire
from deepwright.families import Augmentation

if TYPE_CHECKING:
    from deepwright.blocks.acoustics import Change


class Speed(Augmentation):
    """Playing a sound faster or slower, its pitch changing with it (Ko et al. 2015): other voices, much for little data."""

    accepts: ClassVar[Wire] = "sound"

    amount: float = Field(0.1, ge=0, le=1)
    """The largest change either way: 0.1 draws between 1/1.1 and 1.1 times as fast."""
    p: float = Field(1.0, ge=0, le=1)
    """The probability that a sound is changed."""

    def build(self, facts: SoundFacts) -> Change:
        """Return ``augment(sound, lengths, draw)`` on (B, T) float in ±32768."""
        from deepwright.blocks import acoustics

        if self.p == 0 or self.amount == 0:
            return acoustics.unchanged
        return partial(acoustics.speed, amount=self.amount, p=self.p)
