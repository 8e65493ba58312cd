"""The augmentation ``hiss``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from deepwright.facts import SoundFacts, Wire
from deepwright.families import Augmentation

if TYPE_CHECKING:
    from deepwright.blocks.acoustics import Change


class Hiss(Augmentation):
    """Adding white noise, as a microphone does."""

    accepts: ClassVar[Wire] = "sound"

    quietest: float = Field(-40.0, ge=-120, le=0)
    """The quietest noise, in decibels in relation to the sound: at -40 its amplitude is a hundredth."""
    loudest: float = Field(-10.0, ge=-120, le=0)
    """The loudest noise, likewise."""
    p: float = Field(0.5, ge=0, le=1)
    """The probability that a sound is changed."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.quietest > self.loudest:
            raise ValueError(f"quietest ({self.quietest:g} dB) must be at most loudest ({self.loudest:g} dB)")
        return self

    def build(self, facts: SoundFacts) -> Change:
        """Return ``augment(sound, lengths, draw)`` on (B, T) float in ±32768."""
        from deepwright.blocks import acoustics

        if self.p == 0:
            return acoustics.unchanged
        return partial(acoustics.hiss, quietest=self.quietest, loudest=self.loudest, p=self.p)
