"""The schedule ``cosine``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field

from deepwright.families import Schedule


class Cosine(Schedule):
    """The learning rate falls along half a cosine, with restarts if ``cycles`` is more than 1 (SGDR, arXiv 1608.03983)."""

    final: float = Field(0.0, ge=0, le=1)
    """What is left of the peak at the end."""
    cycles: int = Field(1, ge=1)
    """How often it falls; each further cycle starts at the peak again."""

    def factor(self, progress: float, scores: Sequence[float]) -> float:
        """Return ``final + (1 - final) (1 + cos πt) / 2``, where t is the fraction of the cycle done."""
        done = progress * self.cycles
        within = done - min(math.floor(done), self.cycles - 1)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * within)) / 2
