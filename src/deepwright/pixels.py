"""Outputs that have a value for each pixel of a picture: of which picture, and at what size they leave (floor 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from deepwright import pictures
from deepwright.errors import DataError, Problem, RecipeError
from deepwright.families import Feature
from deepwright.machine import processors
from deepwright.masks import box, nearest

F = TypeVar("F", bound=Feature)

DTYPES = ("image", "mask")
"""What the columns of such outputs are cast to."""


def source_of(name: str, output: Feature, inputs: Mapping[str, Feature]) -> str:
    """Return the input of pictures that an output has a value for each pixel of.

    Raises:
        RecipeError: There is none, or several (E108).
    """
    able = [key for key, feature in inputs.items() if feature.dtype == "image"]
    chosen = [key for key in able if output.of in (None, key)]
    if len(chosen) == 1:
        return chosen[0]
    raise RecipeError(
        "E108",
        f"the output {name} has a value for each pixel of a picture, and "
        + ("there are several" if chosen else "there is no such input"),
        where=f"outputs.{name}.of",
        got=", ".join(able) or "no input is a picture",
        expected="one input of type image",
        fix=f"outputs: {{{name}: {{type: {output.type_name()}, of: {chosen[0]}}}}}" if chosen else "inputs: {image: image}",
    )


def same_scene(output: F, source: Feature, learnt: Any) -> F:
    """Return an output with the size of an input's pictures, and brought to it as they are.

    Raises:
        RecipeError: A size is declared that they do not have, or only the centre of pictures is seen (E106).
    """
    problems = []
    resize = getattr(source, "resize", "stretch")
    for key in ("height", "width"):
        declared = getattr(source, key, None)
        if declared is not None and getattr(output, key) not in (None, declared):
            problems.append(
                Problem(
                    "E106",
                    "what has a value for each pixel of a picture is as large as it",
                    where=f"outputs: {{type: {output.type_name()}, {key}: {getattr(output, key)}}}",
                    got=str(getattr(output, key)),
                    expected=str(declared),
                    fix=f"declare {key} of the input only",
                )
            )
    if resize == "crop":
        message = "where each pixel has a value, the whole picture must be seen"
        where = f"inputs: {{type: {source.type_name()}, resize: crop}}"
        problems.append(Problem("E106", message, where, got="crop", expected="stretch or pad", fix="resize: pad"))
    if problems:
        raise RecipeError.of(problems)
    return output.model_copy(update={"height": learnt.height, "width": learnt.width, "resize": resize})


def check_sizes(frame: pl.DataFrame, pairs: Mapping[str, str], where: str) -> None:
    """Refuse rows whose mask, or other picture to predict, has another size than its picture.

    Args:
        frame: Prepared rows.
        pairs: The input of each output.
        where: What the rows are called.

    Raises:
        DataError: Pictures cannot be read (E265), or differ in size (E268).
    """
    for name, source in pairs.items():
        ours, theirs = pictures.own_sizes(frame[name]), pictures.own_sizes(frame[source])
        wrong = np.flatnonzero((ours != theirs).any(1) & ours.any(1) & theirs.any(1))
        if len(wrong):
            shown = []
            for row in wrong[:10].tolist():
                path = f" ({frame[name][row]})" if frame[name].dtype == pl.String else ""
                (high, wide), (tall, broad) = ours[row], theirs[row]
                shown.append(f"row {row + 1}{path}: {high} × {wide}, the picture {tall} × {broad}")
            raise DataError(
                "E268",
                f"{len(wrong):,} of {len(frame):,} rows have a {name} of another size than their {source} (height × width)",
                where=where,
                got="; ".join(shown),
                expected="both of one size, pixel by pixel",
                fix="check that the files belong together, and save them at one size",
            )


def written(
    values: NDArray[Any],
    sizes: NDArray[np.int64],
    resize: str,
    draw: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    smooth: bool,
) -> pl.Series:
    """Return values of pixels as PNG files of some sizes.

    Args:
        values: (B, H, W) or (B, H, W, C).
        sizes: Height and width of each file, (B, 2); 0: as large as the values.
        resize: How pictures were brought to (H, W); ``pad`` has an edge that is taken off.
        draw: From the values of a row to the pixels of its file.
        smooth: Whether pixels are colours, between which there are others; else the nearest one is taken.
    """

    def file(row: int) -> bytes:
        inside = (int(values.shape[1]), int(values.shape[2]))
        size = (int(sizes[row, 0]), int(sizes[row, 1])) if sizes[row].all() else inside
        top, left, height, width = box(size, inside, resize)
        cut = values[row, top : top + height, left : left + width]
        if smooth:
            made = Image.fromarray(draw(cut))
            plain = made if made.size == size[::-1] else made.resize(size[::-1], Image.Resampling.BICUBIC)
            return pictures.png(np.asarray(plain))
        return pictures.png(draw(nearest(cut, *size)))

    if not len(values):
        return pl.Series([], dtype=pl.Binary)
    with ThreadPoolExecutor(min(8, processors())) as pool:
        return pl.Series(list(pool.map(file, range(len(values)))), dtype=pl.Binary)
