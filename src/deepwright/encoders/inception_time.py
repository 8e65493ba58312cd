"""The encoder ``inception_time``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field

from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class InceptionTime(Encoder):
    """Convolutions of several lengths side by side, in modules with shortcuts (Ismail Fawaz et al. 2020, arXiv 1909.04939).

    The paper averages five such networks.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("series",)

    filters: int = Field(32, ge=1)
    """Filters of each convolution; a module has one more set of them than ``kernels``."""
    depth: int = Field(6, ge=1, le=30)
    """How many modules; around every three goes a shortcut."""
    kernels: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field((9, 19, 39), min_length=1)
    """The places of the convolutions of a module."""
    bottleneck: int = Field(32, ge=1)
    """Channels that the convolutions of a module see."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of the vector's values dropped in training."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the series of ``facts``.

        Raises:
            RecipeError: The input is not a series (E108).
        """
        from deepwright.blocks.sequences import SequencePipeline, SequencePool, SeriesInput
        from deepwright.blocks.series import InceptionBody
        from deepwright.blocks.shapes import expect

        entrance = SeriesInput(expect("inception_time", facts, facts.series, "series"))
        body = InceptionBody(entrance.width, self.filters, self.depth, self.kernels, self.bottleneck)
        return SequencePipeline(entrance, body, SequencePool("mean", body.width), body.width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network of three modules."""
        return cls(filters=3, depth=3, kernels=(3, 6), bottleneck=4)
