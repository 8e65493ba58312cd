"""Pictures beside what was true of their pixels and what was predicted (floor 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright import masks, pictures
from deepwright.datapath import DataPath
from deepwright.metrics import OutputReport

LEAST_SIDE = 128
"""Smaller pictures are drawn in whole multiples of their size, each pixel a square."""
SHARE = 0.55
"""The share of a class's colour where it lies over a picture."""
COLOURS = (
    *("#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#999999", "#7a5195", "#bc5090", "#2f4b7c", "#a05195", "#665191", "#ff7c43", "#ffa600"),
)
"""The colours of classes, in their order; the first eight are told apart by the colour-blind (Okabe and Ito 2008)."""
WORDS = {"worst": "worst", "middle": "middling", "best": "best"}


def colour(index: int) -> str:
    """Return the colour of a class; beyond the list they come again."""
    return COLOURS[index] if index < len(COLOURS) else COLOURS[1 + (index - 1) % (len(COLOURS) - 1)]


def example_rows(
    data: DataPath, frame: pl.DataFrame, name: str, source: str, report: OutputReport, outputs: NDArray[Any]
) -> pl.DataFrame:
    """Return the worst, some middling and the best rows of an output of pixels, each as three pictures.

    The columns are ``rank``, ``value`` (the mean IoU of a mask, the PSNR of a picture), and the PNG files ``picture``, ``truth``
    and ``predicted``, at the size that the network sees.

    Args:
        data: What was learnt.
        frame: Prepared rows.
        name: The output.
        source: Its input.
        report: Its report.
        outputs: Its values.
    """
    feature, state = data.recipe.outputs[name], data.outputs[name]
    chosen: dict[int, str] = {}
    for rank, rows in (("worst", report.worst[:4]), ("middle", report.middle), ("best", report.best)):
        for row in rows:
            chosen.setdefault(row, rank)
    index = np.array(list(chosen), np.int64)
    some = frame[index]
    seen = data.recipe.inputs[source].encode(some[source], data.inputs[source])["image"]
    target = feature.target(some[name], state)
    values = feature.counts(outputs[index], target, state)
    files: dict[str, list[bytes]] = {"picture": [], "truth": [], "predicted": []}
    for row, picture in enumerate(np.asarray(seen, np.uint8)):
        files["picture"].append(_file(picture))
        for key, pixels in (("truth", target[row]), ("predicted", outputs[index[row]])):
            files[key].append(_file(over(picture, pixels) if report.kind == "mask" else np.clip(pixels, 0, 255).astype(np.uint8)))
    ranks = [WORDS[rank] for rank in chosen.values()]
    return pl.DataFrame({"rank": ranks, "value": values[:, 2 if report.kind == "mask" else 0], **files})


def over(picture: NDArray[np.uint8], classes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return a picture (H, W, C) in grey under the colours of its classes (H, W); the first is bare, unknown pixels are hatched."""
    grey = np.repeat(picture.mean(2, keepdims=True), 3, 2) * 0.8 + 40
    known = np.maximum(classes, 0).astype(np.int64)
    table = np.array([list(bytes.fromhex(colour(k)[1:])) for k in range(int(known.max(initial=0)) + 1)], np.float64)
    mixed = (1 - SHARE) * grey + SHARE * table[known]
    shown = np.where((known > 0)[..., None], mixed, grey)
    down, right = np.indices(classes.shape)
    hatched = (classes < 0) & ((down + right) % 4 == 0)
    return np.where(hatched[..., None], 255.0, shown).astype(np.uint8)


def _file(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file, small pictures enlarged."""
    height, width = pixels.shape[:2]
    times = max(1, LEAST_SIDE // max(height, width))
    large = masks.nearest(pixels, height * times, width * times)
    return pictures.png(np.asarray(large[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else large, np.uint8))
