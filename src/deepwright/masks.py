"""Masks: pictures whose pixels name classes, and what a prediction of them counts for (floor 2, free of torch).

A pixel has a code: its grey level or palette index, or of a colour ``COLOUR`` plus ``0xRRGGBB``. What is grey is grey in a coloured
file, too, so that an all-black mask among coloured ones is black.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import ImageOps

from deepwright import pictures
from deepwright.errors import DataError
from deepwright.media import each

Codes = NDArray[np.int32]
Ids = NDArray[np.int16]

COLOUR = 1 << 24
"""Codes from here on are colours."""
MOST_VALUES = 256
"""Masks with more values are no masks: they were blurred by resizing, or by a lossy format."""
UNKNOWN = -1
"""The class of pixels that are ignored."""
UNSEEN = -2
"""The class of codes that are none, while they are looked for."""

_CHUNK = 128

T = TypeVar("T")


def code_of(value: int | str) -> int:
    """Return the code of a grey level or palette index, or of a colour ``"#rrggbb"``.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 16:
        return value
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        red, green, blue = bytes.fromhex(value[1:])
        return red if red == green == blue else COLOUR + int(value[1:], 16)
    raise ValueError(f"{value!r} is neither a whole number in 0…65535 nor a colour such as '#ff8800'")


def name_of(code: int) -> str:
    """Return a code as people write it: ``7``, ``#ff8800``."""
    return str(code) if code < COLOUR else f"#{code - COLOUR:06x}"


def decode(value: bytes | str, *, colours: bool) -> Codes:
    """Return the code of every pixel of a file, (H, W).

    Args:
        value: The file's bytes, or its path.
        colours: Whether palettes stand for their colours instead of their indices.

    Raises:
        ValueError: Its pixels name no classes: it has transparent parts, or a mode for photographs only.
    """
    with pictures.opened(value) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "P" and not colours:
            return np.asarray(image).astype(np.int32)
        if image.mode in ("LA", "RGBA", "PA") or (image.mode == "P" and "transparency" in image.info):
            image = image.convert("RGBA")
            if (np.asarray(image)[..., 3] < 255).any():
                raise ValueError("has transparent pixels, whose class nobody knows: save it without transparency")
        if image.mode in ("P", "RGBA"):
            image = image.convert("RGB")
        if image.mode == "1":
            image = image.convert("L")
        if image.mode == "L" or image.mode.startswith("I"):
            return np.asarray(np.clip(np.asarray(image), 0, 65535), np.int32)
        if image.mode == "RGB":
            return packed(np.asarray(image))
        raise ValueError(f"pixels of the mode {image.mode} name no classes: save it as PNG with grey levels, a palette or RGB")


def packed(colours: NDArray[np.integer]) -> Codes:
    """Return the codes of colours (…, 3)."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return np.where((red == green) & (green == blue), red, COLOUR + (red << 16 | green << 8 | blue))


def arrays(column: pl.Series) -> NDArray[np.integer]:
    """Return the pixel arrays that are not missing, (n, H, W) or (n, H, W, 3).

    Raises:
        DataError: They are no masks (E265).
    """
    pixels = column.drop_nulls().to_numpy() if column.null_count() else column.to_numpy()
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype.kind not in "iub" or not (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 3)):
        raise DataError(
            "E265",
            "the arrays are not masks",
            where=f"column {column.name}",
            got=column.dtype,
            expected="Array of integers of shape (height, width), or (height, width, 3) for colours, without gaps",
        )
    return pixels


def over(column: pl.Series, work: Callable[[Codes], T], *, colours: bool) -> list[T | None]:
    """Return ``work(codes)`` for each row, in order, None where the mask is missing.

    Args:
        column: Files, paths, or arrays of pixels.
        work: From the codes (H, W) of a mask to anything.
        colours: See :func:`decode`.

    Raises:
        DataError: Masks cannot be read (E265).
    """
    if isinstance(column.dtype, pl.Array):
        pixels = arrays(column)
        codes = packed(pixels) if pixels.ndim == 4 else pixels.astype(np.int32)
        found = iter([work(each_) for each_ in codes])
        return [next(found) if there else None for there in column.is_not_null()]
    return list(each(column, lambda value: work(decode(value, colours=colours)), pictures.MEDIUM))


def counted(column: pl.Series, *, colours: bool) -> Counter[int]:
    """Return how many pixels of all masks have each code.

    Raises:
        DataError: Masks cannot be read (E265), or have more than :data:`MOST_VALUES` values (E269).
    """
    total: Counter[int] = Counter()
    wrong: list[str] = []
    for row, counts in enumerate(over(column, _counts, colours=colours)):
        if counts is not None:
            total.update(counts)
            if len(counts) > MOST_VALUES and len(wrong) < 10:
                wrong.append(f"row {row + 1}: {len(counts):,} values")
    if len(total) > MOST_VALUES:
        raise DataError(
            "E269",
            f"the masks have {len(total):,} different values",
            where=f"column {column.name}",
            got="; ".join(wrong) or "some in each mask",
            expected=f"at most {MOST_VALUES}, one a class",
            fix=f"save masks without loss and resize them without smoothing; of grey masks, threshold: 128 makes two classes: "
            f"outputs: {{{column.name}: {{type: mask, threshold: 128}}}}",
        )
    return total


def _counts(codes: Codes) -> Counter[int]:
    values, counts = np.unique(codes, return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def box(size: tuple[int, int], inside: tuple[int, int], resize: str) -> tuple[int, int, int, int]:
    """Return where a picture of some size comes to lie: top, left, height and width within (H, W) ``inside``."""
    (height, width), (rows, columns) = size, inside
    if resize != "pad" or not height or not width:
        return 0, 0, rows, columns
    tall, wide = rows, columns
    if width / height > columns / rows:
        tall = max(1, round(height / width * columns))
    else:
        wide = max(1, round(width / height * rows))
    # As Pillow's ImageOps.pad: centred, halves rounded to even.
    return round((rows - tall) * 0.5), round((columns - wide) * 0.5), tall, wide


def nearest(values: NDArray[np.generic], height: int, width: int) -> NDArray[np.generic]:
    """Resize (H, W, …) by taking for each place the nearest one."""
    rows, columns = values.shape[:2]
    if (rows, columns) == (height, width):
        return values
    down = ((np.arange(height) + 0.5) * rows / height).astype(np.int64)
    right = ((np.arange(width) + 0.5) * columns / width).astype(np.int64)
    return np.asarray(values[down[:, None], right[None, :]])


def placed(codes: Codes, lookup: Callable[[Codes], Ids], inside: tuple[int, int], resize: str) -> Ids:
    """Return the classes of a mask brought to (H, W) ``inside``; what lies beside a padded mask is unknown."""
    top, left, height, width = box((codes.shape[0], codes.shape[1]), inside, resize)
    small = lookup(np.asarray(nearest(codes, height, width), np.int32))
    if small.shape == inside:
        return small
    out = np.full(inside, UNKNOWN, np.int16)
    out[top : top + height, left : left + width] = small
    return out


def encode(column: pl.Series, lookup: Callable[[Codes], Ids], inside: tuple[int, int], resize: str, *, colours: bool) -> Ids:
    """Return the classes of all masks (B, H, W), -1 throughout where one is missing.

    Raises:
        DataError: Masks cannot be read (E265), or hold values that no class has (E269).
    """
    out = np.full((len(column), *inside), UNKNOWN, np.int16)
    for row, ids in enumerate(over(column, partial(placed, lookup=lookup, inside=inside, resize=resize), colours=colours)):
        if ids is not None:
            out[row] = ids
    return out


def counts(outputs: NDArray[np.integer], target: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Return what a row's pixels count for, (B, 3 + 3 K); NaN rows where no pixel has a known class.

    The columns are the pixels decided rightly, the pixels, the mean over the classes in the picture or its prediction of
    intersection over union, and for each class how many pixels were found rightly, were found, and are there. Pixels without a
    known class count for nothing.

    Args:
        outputs: (B, H, W) the classes found.
        target: (B, H, W) the true classes, -1 unknown.
        classes: K.
    """
    rows = len(target)
    found = np.zeros((rows, 3 + 3 * classes))
    for start in range(0, rows, _CHUNK):
        true = target[start : start + _CHUNK]
        true = true.reshape(len(true), -1)
        ours = outputs[start : start + _CHUNK].reshape(true.shape)
        known = true >= 0
        place = np.broadcast_to(np.arange(len(true))[:, None], true.shape)[known] * classes
        one, other = ours[known].astype(np.int64), true[known].astype(np.int64)
        size = len(true) * classes
        right = np.bincount((place + other)[one == other], minlength=size)
        sums = np.stack([right, np.bincount(place + one, minlength=size), np.bincount(place + other, minlength=size)], -1)
        sums = sums.reshape(len(true), classes, 3).astype(np.float64)
        union = sums[..., 1] + sums[..., 2] - sums[..., 0]
        there = union > 0
        pixels = known.sum(1)
        share = np.divide(sums[..., 0], union, out=np.zeros_like(union), where=there).sum(1) / np.maximum(there.sum(1), 1)
        some = found[start : start + _CHUNK]
        some[:, 0], some[:, 1], some[:, 2] = sums[..., 0].sum(1), pixels, share
        some[:, 3:] = sums.reshape(len(true), -1)
        some[pixels == 0] = np.nan
    return found


def always(counted_: NDArray[np.float64], class_: int) -> NDArray[np.float64]:
    """Return what :func:`counts` would be if every pixel were decided to be of one class.

    Args:
        counted_: What :func:`counts` returned.
        class_: The class.
    """
    there = counted_[:, 5::3]
    found = counted_.copy()
    found[:, 3:] = 0
    found[:, 5::3] = there
    found[:, 3 + 3 * class_], found[:, 4 + 3 * class_] = there[:, class_], counted_[:, 1]
    found[:, 0] = there[:, class_]
    others = (there > 0).sum(1) - (there[:, class_] > 0)
    found[:, 2] = there[:, class_] / np.maximum(counted_[:, 1], 1) / (1 + others)
    return found


def drawn(ids: NDArray[np.integer], codes: Sequence[int]) -> NDArray[np.generic]:
    """Return the pixels of a mask file for classes (H, W): grey levels (H, W), in 16 bits if need be, or colours (H, W, 3)."""
    table = np.asarray(codes, np.int64)
    chosen = table[ids.astype(np.int64)]
    if table.max(initial=0) < 256:
        return chosen.astype(np.uint8)
    if table.max() < COLOUR:
        return chosen.astype(np.uint16)
    colour = np.where(chosen < COLOUR, chosen * 0x010101, chosen - COLOUR)
    return np.stack([colour >> 16, colour >> 8 & 255, colour & 255], -1).astype(np.uint8)
