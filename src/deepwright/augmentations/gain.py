"""The augmentation ``gain``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import SoundFacts, Wire
from deepwright.families import Augmentation

if TYPE_CHECKING:
    from deepwright.blocks.acoustics import Change


class Gain(Augmentation):
    """Making a sound louder or quieter, as another distance to the microphone does."""

    accepts: ClassVar[Wire] = "sound"

    decibels: float = Field(6.0, ge=0, le=60)
    """The largest change either way: 6 decibels double or halve the amplitude."""
    p: float = Field(1.0, ge=0, le=1)
    """The probability that a sound is changed."""

    def build(self, facts: SoundFacts) -> Change:
        """Return ``augment(sound, lengths, draw)`` on (B, T) float in ±32768."""
        from deepwright.blocks import acoustics

        if self.p == 0 or self.decibels == 0:
            return acoustics.unchanged
        return partial(acoustics.gain, decibels=self.decibels, p=self.p)
