"""The encoder ``rocket``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Rocket(Encoder):
    """Fixed convolutions by the thousand, and at what share of places each is high (MiniRocket, arXiv 2012.08791).

    Nothing but the linear layer that follows is learnt, so that few series are enough: from some dozen to some ten thousand.
    Of several channels a convolution sees a random few.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("series",)
    fixed: ClassVar[bool] = True

    features: int = Field(9996, ge=84, le=100_000)
    """About how many shares; a multiple of 84, the number of kernels."""
    seed: int = Field(0, ge=0)
    """The seed of the choice of channels, and of the training series that tell what is high."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the convolutions for the series of ``facts``.

        Raises:
            RecipeError: The input is not a series (E108).
        """
        from deepwright.blocks.rocket import RocketEncoder
        from deepwright.blocks.sequences import SeriesInput
        from deepwright.blocks.shapes import expect

        series = expect("rocket", facts, facts.series, "series")
        return RocketEncoder(SeriesInput(series), series, self.features, self.seed)

    @classmethod
    def example(cls) -> Self:
        """Return a small one."""
        return cls(features=168)
