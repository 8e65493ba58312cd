"""The encoder ``sequential``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.blocks.shapes import Shape
from deepwright.errors import RecipeError
from deepwright.facts import Facts, Wire
from deepwright.families import Encoder, Layer

if TYPE_CHECKING:
    from torch import nn

    from deepwright.blocks.contract import EncoderModule


class Sequential(Encoder):
    """A network of layers, one after the other, as the recipe lists them; their shapes follow from the data.

    A picture enters as a standardised map (C, H, W), a table as one vector of all its columns. A list that ends with a map is
    followed by global average pooling. The output layer is not listed: the head brings it.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("table", "image")

    layers: tuple[Layer, ...] = Field(min_length=1)
    """The layers: ``[{type: conv2d, channels: 32, activation: relu}, {type: maxpool2d, size: 2}, flatten, …]``."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the layers for what ``facts`` tells of the inputs.

        Raises:
            RecipeError: A layer does not fit the shape that it gets (E108, at ``layers[i]``).
        """
        from torch import nn

        from deepwright.blocks.pipeline import Pipeline
        from deepwright.blocks.pooling import GlobalPool

        entrance, shape = _entrance(facts)
        modules: list[nn.Module] = []
        for index, layer in enumerate(self.layers):
            try:
                module, shape = layer.build(shape)
            except RecipeError as error:
                where = f"{facts.name}: encoder.layers[{index}]"
                raise RecipeError.of(replace(problem, where=where) for problem in error.problems) from None
            modules.append(module)
        is_map = len(shape) == 3
        return Pipeline(entrance, nn.Sequential(*modules), GlobalPool("avg") if is_map else nn.Identity(), shape[0])

    @classmethod
    def example(cls) -> Self:
        """Return layers that take a picture and a table alike."""
        return cls.model_validate({"layers": ["flatten", {"type": "dense", "units": 8, "activation": "relu"}]})


def _entrance(facts: Facts) -> tuple[nn.Module, Shape]:
    """Return what turns the arrays of the wire into the first layer's input, and the shape of that."""
    from deepwright.blocks.image import ImageInput
    from deepwright.blocks.tabular import TableVector

    if facts.image is not None:
        image = facts.image
        return ImageInput(image.mean, image.std), (image.channels, image.height, image.width)
    columns = TableVector(facts.numbers, facts.categories)
    return columns, (columns.width,)
