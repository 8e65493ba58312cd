"""The encoder ``unet``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.normalization import MapNormalizationName
from deepwright.blocks.shapes import expect_image
from deepwright.errors import RecipeError
from deepwright.facts import Facts, Shape, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule

LEAST_PLACES = 4
"""By default the size is halved as long as so many places a side are left."""


class UNet(Encoder):
    """The U-Net (arXiv 1505.04597): a vector for each pixel of a picture, for masks and for pictures made of pictures.

    The picture is halved stage by stage, and brought back to size with what each stage saw. Convolutions keep the size here, so
    that any height and width will do. Beside the pixels' vectors there is one of the whole picture, the mean of the smallest map,
    so that one network can tell the class of a picture, too.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("image",)
    produces: ClassVar[tuple[Shape, ...]] = ("vector", "map")
    any_size: ClassVar[bool] = True

    width: int = Field(32, ge=1)
    """Channels at full size; each halving doubles them. The paper has 64."""
    depth: int | None = Field(None, ge=1, le=8)
    """How often the size is halved; by default up to 4 times, as long as 4 places a side are left. The paper has 4."""
    up: Literal["bilinear", "transposed"] = "bilinear"
    """How maps are brought back to size: by ``bilinear`` interpolation and a convolution, or by a ``transposed`` convolution."""
    norm: MapNormalizationName = "batch"
    """The normalisation after each convolution."""
    activation: ActivationName = "relu"
    """The activation."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of the channels of the smallest map dropped in training."""
    picture: bool = True
    """Whether a pixel's vector ends with the colours of the pixel itself, so that an output can keep what it need not change."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for pictures of ``facts.image``.

        Raises:
            RecipeError: The input is not a picture (E108), or too small to be halved so often (E106).
        """
        from deepwright.blocks.image import ImageInput
        from deepwright.blocks.unet import UNetModule

        image = expect_image("unet", facts)
        side = min(image.height, image.width)
        depth = self.depth or _depth(side)
        if side <= 1 << (depth - 1):
            raise RecipeError(
                "E106",
                f"pictures of {image.height} × {image.width} cannot be halved {depth} times",
                where=f"inputs.{facts.name}.encoder.depth",
                expected=f"at most {max(1, side.bit_length() - 1)}",
            )
        return UNetModule(
            ImageInput(image.mean, image.std),
            image.channels,
            width=self.width,
            depth=depth,
            up=self.up,
            norm=self.norm,
            act=self.activation,
            dropout=self.dropout,
            picture=self.picture,
        )

    @classmethod
    def example(cls) -> Self:
        """Return a network of two stages."""
        return cls(width=4, depth=2)


def _depth(side: int) -> int:
    """Return how often a side is halved by default."""
    depth = 1
    while depth < 4 and -(-side >> (depth + 1)) >= LEAST_PLACES:
        depth += 1
    return depth
