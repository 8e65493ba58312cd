"""The augmentation ``shift``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import SoundFacts, Wire
from deepwright.families import Augmentation

if TYPE_CHECKING:
    from deepwright.blocks.acoustics import Change


class Shift(Augmentation):
    """Silence before a sound, or a start cut off: recordings do not begin where words do."""

    accepts: ClassVar[Wire] = "sound"

    seconds: float = Field(0.1, ge=0, le=60)
    """The largest shift either way; no more than a third of a sound is cut off."""
    p: float = Field(1.0, ge=0, le=1)
    """The probability that a sound is changed."""

    def build(self, facts: SoundFacts) -> Change:
        """Return ``augment(sound, lengths, draw)`` on (B, T) float in ±32768."""
        from deepwright.blocks import acoustics

        samples = round(self.seconds * facts.rate)
        if self.p == 0 or samples == 0:
            return acoustics.unchanged
        return partial(acoustics.shift, samples=samples, p=self.p)
