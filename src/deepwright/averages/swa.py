"""The average ``swa``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from deepwright.families import Average

if TYPE_CHECKING:
    from deepwright.blocks.averaging import Averager


class SWA(Average):
    """Stochastic weight averaging (arXiv 1803.05407): the plain mean of weights along the last part of training.

    Its gain needs a learning rate that does not fall to zero: ``constant``, or ``cosine`` with ``final``.
    """

    start: float = Field(0.75, ge=0, lt=1)
    """The fraction of training after which averaging begins; before it, the weights are those of the last step."""
    every: int = Field(10, ge=1)
    """Steps between two weights that are averaged."""

    def build(self) -> Averager:
        """Build what keeps the average."""
        from deepwright.blocks.averaging import EqualAverage

        return EqualAverage(self.start, self.every)

    @classmethod
    def example(cls) -> Self:
        """Return an average that begins early."""
        return cls(start=0.25, every=2)
