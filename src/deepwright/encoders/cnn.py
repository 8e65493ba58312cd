"""The encoder ``cnn``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.normalization import MapNormalizationName
from deepwright.blocks.shapes import expect_image
from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule

MOST_PLACES = 32
"""The first map has at most so many places a side."""
LAST_MAP = 4
"""Stages are added until the map is at most this many places high and wide."""


class CNN(Encoder):
    """A compact residual network that trains fast on a CPU; the usual choice for pictures.

    What it costs hardly depends on the size of the pictures: the stem divides it so that the first map has at most 32 places a
    side, and where maps are large their channels are few.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("image",)
    any_size: ClassVar[bool] = True

    channels: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, min_length=1, max_length=8)
    """Channels of each stage; each stage after the first halves the map. By default as many stages as bring the map down to
    4 × 4, of ``width`` channels at 16 × 16, twice as many at half the size and about a third as many at twice the size."""
    width: int = Field(40, ge=2)
    """Channels at a map of 16 × 16, where ``channels`` is not given."""
    depth: int = Field(1, ge=0, le=8)
    """Residual convolutions in each stage but the last."""
    patch: Literal[1, 2, 4, 8, 16, 32] | None = None
    """By how much the stem divides the size of the pictures; by default chosen by that size."""
    norm: MapNormalizationName = "batch"
    """The normalisation after each convolution."""
    activation: ActivationName = "relu"
    """The activation."""
    init: Literal["he", "dirac"] = "he"
    """How convolutions start: at random (``he``, arXiv 1502.01852), or by handing on their input (``dirac``)."""
    bias_rate: float = Field(1.0, gt=0)
    """How many times as fast as the rest the biases of normalisations learn; for SGD (see ``airbench``)."""
    pool: Literal["avg", "max"] = "max"
    """How the last map becomes a vector."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout of the vector that leaves."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for pictures of ``facts.image``.

        Raises:
            RecipeError: The input is not a picture (E108).
        """
        from deepwright.blocks.convolution import scale_bias_rates
        from deepwright.blocks.image import ImageInput
        from deepwright.blocks.pipeline import Pipeline
        from deepwright.blocks.pooling import GlobalPool
        from deepwright.blocks.residual import compact_network

        image = expect_image("cnn", facts)
        side = max(image.height, image.width)
        patch = self.patch or _patch(side)
        widths = self.channels or _widths(-(-side // patch), self.width)
        shape = (image.channels, image.height, image.width)
        body = compact_network(shape, widths, patch=patch, depth=self.depth, norm=self.norm, act=self.activation, start=self.init)
        scale_bias_rates(body, self.bias_rate)
        return Pipeline(ImageInput(image.mean, image.std), body, GlobalPool(self.pool), widths[-1], self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a network of two stages."""
        return cls(channels=(8, 16))


def _patch(side: int) -> int:
    """Return by how much the stem divides pictures of ``side`` pixels."""
    patch = 1
    while side > MOST_PLACES * patch:
        patch *= 2
    return patch


def _widths(places: int, width: int) -> tuple[int, ...]:
    """Return the channels of the stages from a map of ``places`` a side down to :data:`LAST_MAP`."""
    large, stages = places > 16, 1
    while places > LAST_MAP:
        places, stages = (places + 1) // 2, stages + 1
    widths = [width * 2**stage for stage in range(stages - large)]
    # A multiple of 8: what fills the vectors of a processor costs no more than what leaves them half empty.
    return (-(-width // 24) * 8, *widths) if large else tuple(widths)
