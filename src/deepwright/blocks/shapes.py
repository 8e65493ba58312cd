"""Shape arithmetic of layers that slide a window, and the errors of layers that do not fit. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field

from deepwright.errors import RecipeError
from deepwright.facts import Facts, ImageFacts

T = TypeVar("T")

Shape = tuple[int, ...]
"""A shape without its batch axis: (C, H, W) is a map, (D,) a vector."""

Padding = Literal["valid", "same"]
"""``valid``: windows stay inside; ``same``: the edges are padded so that the output has ``ceil(size / stride)`` places."""

_Side = Annotated[int, Field(ge=1)]
Pair = Annotated[
    tuple[_Side, _Side],
    BeforeValidator(
        lambda value: (value, value) if isinstance(value, int) and not isinstance(value, bool) else value,
        json_schema_input_type=_Side | tuple[_Side, _Side],
    ),
]
"""Height and width; one number stands for both."""


@dataclass(frozen=True)
class Window:
    """How a window slides along one axis.

    Args:
        size: The number of places it stops at: the size of the output.
        before: Places padded before the first value.
        after: Places padded after the last value; one more than ``before`` where the padding is odd.
    """

    size: int
    before: int = 0
    after: int = 0


def slide(size: int, kernel: int, stride: int, padding: Padding) -> Window:
    """Return how a window of ``kernel`` places slides over ``size`` places in steps of ``stride``.

    A window longer than what it slides over has ``size`` 0 or less in the result.
    """
    if padding == "valid":
        return Window((size - kernel) // stride + 1)
    places = -(-size // stride)
    total = max(0, (places - 1) * stride + kernel - size)
    return Window(places, total // 2, total - total // 2)


def slide_map(layer: str, shape: Shape, kernel: Pair, stride: Pair, padding: Padding) -> tuple[Window, Window]:
    """Return how a window slides over the height and the width of a map.

    Raises:
        RecipeError: E108, if ``shape`` is not a map or is smaller than the window.
    """
    _, height, width = expect_map(layer, shape)
    windows = slide(height, kernel[0], stride[0], padding), slide(width, kernel[1], stride[1], padding)
    if min(window.size for window in windows) < 1:
        raise RecipeError(
            "E108",
            f"the window of {layer} is larger than the map that it gets",
            got=f"a map of {height} × {width}, a window of {kernel[0]} × {kernel[1]}",
            expected=f"a map of at least {kernel[0]} × {kernel[1]}",
            fix=f"give {layer} padding: same, a smaller window, or remove a layer before it that shrinks the map",
        )
    return windows


def expect_map(layer: str, shape: Shape) -> tuple[int, int, int]:
    """Return ``shape`` as (C, H, W).

    Raises:
        RecipeError: E108, if it is not a map.
    """
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    raise RecipeError(
        "E108",
        f"{layer} needs a map",
        got=show(shape),
        expected="channels × height × width",
        fix=f"move {layer} before flatten, global_pool and dense",
    )


def expect_vector(layer: str, shape: Shape) -> int:
    """Return the width of the vector ``shape``.

    Raises:
        RecipeError: E108, if it is not a vector.
    """
    if len(shape) == 1:
        return shape[0]
    raise RecipeError(
        "E108",
        f"{layer} needs a vector",
        got=show(shape),
        expected="one number a unit",
        fix=f"add flatten (or global_pool) before {layer}",
    )


def expect_image(encoder: str, facts: Facts) -> ImageFacts:
    """Return what the encoder may know of its picture.

    Raises:
        RecipeError: E108, if the input is not a picture.
    """
    if facts.image is not None:
        return facts.image
    raise RecipeError(
        "E108",
        f"{encoder} needs a picture",
        where=facts.name,
        got="number and category columns",
        expected="an input of type image",
        fix="take an encoder for tables, such as mlp or tabm",
    )


def expect(encoder: str, facts: Facts, own: T | None, what: str) -> T:
    """Return ``own``, what the encoder may know of an input of the type ``what``.

    Raises:
        RecipeError: E108, if the input is of another type.
    """
    if own is not None:
        return own
    got, expected = f"a {facts.wire}", f"an input of type {what}"
    raise RecipeError("E108", f"{encoder} needs a {what}", where=facts.name, got=got, expected=expected)


def show(shape: Shape) -> str:
    """Say a shape for people: ``"a map of 64 channels × 5 × 5"`` or ``"a vector of 64"``."""
    if len(shape) == 3:
        return f"a map of {shape[0]} channels × {shape[1]} × {shape[2]}"
    return f"a vector of {shape[0]}" if len(shape) == 1 else f"the shape {shape}"
