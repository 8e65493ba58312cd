"""The average ``lookahead``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.families import Average

if TYPE_CHECKING:
    from deepwright.blocks.averaging import Averager


class Lookahead(Average):
    """Lookahead (arXiv 1907.08610): every few steps slow weights move towards the trained ones, which start again from there.

    The defaults are those of the airbench speed runs (arXiv 2404.00498); the paper's are ``{decay: 0.5, power: 0}``.
    """

    every: int = Field(5, ge=1)
    """Steps between two moves of the slow weights."""
    decay: float = Field(0.774, ge=0, lt=1)
    """The share of themselves that slow weights keep in a move, at the end of training."""
    power: float = Field(3.0, ge=0)
    """That share rises from zero with progress to this power; 0: it is constant."""

    def build(self) -> Averager:
        """Build what keeps the slow weights."""
        from deepwright.blocks.averaging import SlowWeights

        return SlowWeights(self.every, self.decay, self.power)
