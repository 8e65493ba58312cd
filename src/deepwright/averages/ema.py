"""The average ``ema``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.families import Average

if TYPE_CHECKING:
    from deepwright.blocks.averaging import Averager


class EMA(Average):
    """An exponential moving average of the weights after every step (Polyak & Juditsky 1992 in its usual form)."""

    decay: float = Field(0.999, ge=0, lt=1)
    """The share of the average that a step keeps; it remembers about 1 / (1 - decay) steps."""
    warmup: bool = True
    """Whether the decay is at most (1 + t) / (10 + t) after t steps, so that the first weights are forgotten soon."""

    def build(self) -> Averager:
        """Build what keeps the average."""
        from deepwright.blocks.averaging import ExponentialAverage

        return ExponentialAverage(self.decay, warmup=self.warmup)
