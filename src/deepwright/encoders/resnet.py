"""The encoder ``resnet``."""

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

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
SMALL = 96


class ResNet(Encoder):
    """A residual network (He et al., arXiv 1512.03385), trained from scratch; large and thorough, slow without a GPU."""

    accepts: ClassVar[tuple[Wire, ...]] = ("image",)
    any_size: ClassVar[bool] = True

    depth: Literal[18, 34, 50, 101, 152] = 18
    """The standard networks: 18 and 34 of basic blocks, 50, 101 and 152 of bottlenecks."""
    blocks: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, min_length=1, max_length=6)
    """The blocks of each stage, instead of those of ``depth``."""
    bottleneck: bool | None = None
    """Whether blocks are bottlenecks; by default from ``depth`` 50 on, and not with ``blocks``."""
    width: int = Field(64, ge=1)
    """Channels of the first stage; each later stage doubles them."""
    stem: Literal["auto", "small", "imagenet"] = "auto"
    """``small``: 3×3 at full size; ``imagenet``: 7×7 and a pool, a quarter of the size; ``auto``: small below 96 pixels."""
    shortcut: Literal["project", "pad"] = "project"
    """How a skip changes the width: a learnt 1×1 convolution, or channels of zeros (the paper's small networks, ResNet-20 and on:
    ``blocks: [3, 3, 3], width: 16, stem: small, shortcut: pad``)."""
    norm: MapNormalizationName = "batch"
    """The normalisation after each convolution."""
    activation: ActivationName = "relu"
    """The activation."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout of the vector that leaves."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for pictures of ``facts.image``.

        Raises:
            RecipeError: The input is not a picture (E108).
        """
        from deepwright.blocks.image import ImageInput
        from deepwright.blocks.pipeline import Pipeline
        from deepwright.blocks.pooling import GlobalPool
        from deepwright.blocks.residual import resnet

        image = expect_image("resnet", facts)
        auto = min(image.height, image.width) < SMALL
        body, width = resnet(
            image.channels,
            self.blocks or BLOCKS[self.depth],
            width=self.width,
            bottleneck=(self.blocks is None and self.depth >= 50) if self.bottleneck is None else self.bottleneck,
            small=auto if self.stem == "auto" else self.stem == "small",
            norm=self.norm,
            act=self.activation,
            shortcut=self.shortcut,
        )
        return Pipeline(ImageInput(image.mean, image.std), body, GlobalPool("avg"), width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a network of two stages."""
        return cls(blocks=(1, 1), width=8)
