"""The encoder ``airbench``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.normalization import MapNormalizationName
from deepwright.blocks.shapes import expect_image
from deepwright.errors import RecipeError
from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Airbench(Encoder):
    """The network of the CIFAR-10 speed runs (K. Jordan, arXiv 2404.00498), of any width and for pictures of any size.

    A whitening 2 × 2 convolution, then groups of two convolutions that halve the map, and the maximum of each channel. It takes
    about eight times as long a picture as ``cnn`` and learns more from each: for 32 × 32 it has 1.97 million weights and 118
    million multiply-accumulates.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("image",)
    any_size: ClassVar[bool] = True

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 256, 256), min_length=1, max_length=8)
    """Channels of each group; each group halves the map. Larger pictures want more groups."""
    depth: int = Field(2, ge=1, le=8)
    """Convolutions of each group; the map is halved after the first."""
    whiten: bool = True
    """Whether the first convolution is fixed to what makes 2 × 2 patches of the training pictures uncorrelated; otherwise it is
    learnt like the others."""
    init: Literal["he", "dirac"] = "dirac"
    """How convolutions start: at random (``he``, arXiv 1502.01852), or by handing on their input (``dirac``)."""
    bias_rate: float = Field(1.0, gt=0)
    """How many times as fast as the rest the biases of normalisations learn; 64 in the paper, for SGD. Leave it at 1 for
    optimizers of the Adam family and for Muon, whose steps do not grow with the gradient."""
    scale: float = Field(1 / 9, gt=0)
    """What the vector is multiplied by, so that predictions start small."""
    norm: MapNormalizationName = "batch"
    """The normalisation after each convolution."""
    activation: ActivationName = "gelu"
    """The activation."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout of the vector that leaves."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for pictures of ``facts.image``.

        Raises:
            RecipeError: The input is not a picture, or too small for so many groups (E108).
        """
        from deepwright.blocks.airbench import airbench_network
        from deepwright.blocks.image import ImageInput
        from deepwright.blocks.pipeline import Pipeline
        from deepwright.blocks.pooling import ScaledMaximum

        image = expect_image("airbench", facts)
        least = 2 ** len(self.widths) + 1
        if min(image.height, image.width) < least:
            raise RecipeError(
                "E108",
                f"{len(self.widths)} groups halve the picture to nothing",
                where=f"inputs.{facts.name}.encoder.widths",
                got=f"{image.height} × {image.width} pixels",
                expected=f"at least {least} pixels a side, or fewer widths",
            )
        body = airbench_network(
            image.channels,
            self.widths,
            depth=self.depth,
            std=image.std,
            patches=image.patches if self.whiten else None,
            start=self.init,
            bias_rate=self.bias_rate,
            norm=self.norm,
            act=self.activation,
        )
        return Pipeline(ImageInput(image.mean, image.std), body, ScaledMaximum(self.scale), self.widths[-1], self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a narrow network of two groups."""
        return cls(widths=(8, 16))
