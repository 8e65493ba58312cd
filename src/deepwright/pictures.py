"""Reading pictures: files, bytes and pixel arrays into one array (floor 2, free of torch)."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from deepwright.errors import DataError
from deepwright.media import Medium, each

Pixels = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""What is read: pictures only. Pillow would also read EPS, which runs a program."""
MAX_PIXELS = 89_478_485
"""Pictures that claim more are refused before they are unpacked: a small file can claim to be gigabytes."""

_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises for files that are damaged or not pictures."""
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
"""Orientations in which a camera's height and width are exchanged."""


@dataclass(frozen=True)
class Form:
    """What every picture is brought to.

    Args:
        height: H.
        width: W.
        channels: C, 1 (grey) or 3 (RGB).
        resize: ``stretch`` the picture, ``pad`` it with black, or ``crop`` its centre.
    """

    height: int
    width: int
    channels: int
    resize: Literal["stretch", "pad", "crop"]


def sizes(column: pl.Series) -> NDArray[np.int64]:
    """Return the (height, width) of every picture that is not missing, from the files' headers: (n, 2).

    Raises:
        DataError: Pictures cannot be read (E265).
    """
    if isinstance(column.dtype, pl.Array):
        pixels = _pixel_arrays(column)
        return np.tile(np.asarray(pixels.shape[1:3], dtype=np.int64), (len(pixels), 1))
    found = [size for size in each(column, _header, MEDIUM) if size is not None]
    return np.asarray(found, dtype=np.int64).reshape(-1, 2)


def own_sizes(column: pl.Series) -> NDArray[np.int64]:
    """Return the (height, width) of the picture of every row, (B, 2), 0 where it is missing; arrays of pixels of any type will do.

    Raises:
        DataError: Pictures cannot be read (E265).
    """
    there = column.is_not_null().to_numpy()
    found = np.zeros((len(column), 2), np.int64)
    known = column.drop_nulls()
    if isinstance(column.dtype, pl.Array):
        found[there] = column.dtype.shape[:2]
    elif len(known):
        found[there] = sizes(known)
    return found


def decode(column: pl.Series, form: Form, missing: Pixels) -> Pixels:
    """Return all pictures as (B, H, W, C).

    Args:
        column: Binary (bytes of files), String (paths), or Array(UInt8) of shape (H, W) or (H, W, C).
        form: What to bring them to.
        missing: The colour (C,) of a missing picture.

    Raises:
        DataError: Pictures cannot be read (E265, all rows counted, the first ten listed).
    """
    if isinstance(column.dtype, pl.Array):
        return _arrays(column, form, missing)
    out = np.empty((len(column), form.height, form.width, form.channels), dtype=np.uint8)
    for row, picture in enumerate(each(column, lambda value: _pixels(opened(value), form), MEDIUM)):
        out[row] = missing if picture is None else picture
    return out


def png(pixels: Pixels) -> bytes:
    """Return the bytes of a PNG file for pixels (H, W) or (H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"claims more than {MAX_PIXELS:,} pixels"
    return str(error)


MEDIUM = Medium("pictures", "E265", "whole files in one of " + ", ".join(FORMATS), _BROKEN, _reason)


def opened(value: bytes | str) -> Image.Image:
    """Open a file without unpacking it."""
    image = Image.open(io.BytesIO(value) if isinstance(value, bytes) else value, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Image.DecompressionBombError
    return image


@dataclass(frozen=True)
class Content:
    """What a picture holds.

    Args:
        size: (height, width) as it is shown.
        channels: 1 if it is grey, 3 if it has colours.
        empty: Whether it is of one colour.
    """

    size: tuple[int, int]
    channels: int
    empty: bool


def examined(value: bytes | str) -> Content:
    """Unpack a whole picture and return what it holds; raises what Pillow does for files that are damaged."""
    with opened(value) as image:
        size = _shown(image)
        plain = _convert(image, "L" if image.mode in ("1", "L", "LA") or image.mode.startswith("I") else "RGB")
        flat = all(band.getextrema()[0] == band.getextrema()[1] for band in plain.split())
    return Content(size, len(plain.getbands()), flat)


def _header(value: bytes | str) -> tuple[int, int]:
    """Return the (height, width) of a picture as it is shown."""
    with opened(value) as image:
        return _shown(image)


def _shown(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(_ORIENTATION) in _TURNED
    return (image.width, image.height) if turned else (image.height, image.width)


def _pixels(image: Image.Image, form: Form) -> Pixels:
    """Unpack, turn upright, convert and resize: (H, W, C)."""
    mode = "L" if form.channels == 1 else "RGB"
    with image:
        if form.resize == "stretch":
            # JPEG unpacks at 1/2, 1/4 or 1/8 at once; both sides ask for the larger, since a turned picture exchanges them
            image.draft(mode, (max(form.height, form.width),) * 2)
        ImageOps.exif_transpose(image, in_place=True)
        plain = _convert(image, mode)
    size = (form.width, form.height)
    if plain.size != size:
        match form.resize:
            case "stretch":
                plain = plain.resize(size, Image.Resampling.BILINEAR)
            case "pad":
                plain = ImageOps.pad(plain, size, Image.Resampling.BILINEAR)
            case "crop":
                plain = ImageOps.fit(plain, size, Image.Resampling.BILINEAR)
    return np.asarray(plain).reshape(form.height, form.width, form.channels)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Bring any mode to ``L`` or ``RGB``, transparent parts over white."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range: save the picture with 8 or 16 bits")
    if image.mode.startswith("I"):
        wide = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
        image = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _pixel_arrays(column: pl.Series) -> Pixels:
    """Return the arrays that are not missing as (n, H, W, C), without a copy if none is missing."""
    pixels = column.drop_nulls().to_numpy() if column.null_count() else column.to_numpy()
    if not (pixels.dtype == np.uint8 and (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] in (1, 3)))):
        raise DataError(
            "E265",
            "the arrays are not pictures",
            where=f"column {column.name}",
            got=column.dtype,
            expected="Array(UInt8) of shape (height, width), (height, width, 1) or (height, width, 3), without gaps",
        )
    return pixels if pixels.ndim == 4 else pixels[..., None]


def _arrays(column: pl.Series, form: Form, missing: Pixels) -> Pixels:
    """Bring a column of pixel arrays to form; without resizing, conversion or missing rows it is not even copied."""
    pixels = _pixel_arrays(column)
    if pixels.shape[1:] != (form.height, form.width, form.channels):
        squeezed = pixels[..., 0] if pixels.shape[3] == 1 else pixels
        formed = [_pixels(Image.fromarray(picture), form) for picture in squeezed]
        pixels = np.stack(formed) if formed else np.empty((0, form.height, form.width, form.channels), np.uint8)
    if not column.null_count():
        return pixels
    out = np.empty((len(column), *pixels.shape[1:]), dtype=np.uint8)
    out[:] = missing
    out[column.is_not_null().to_numpy()] = pixels
    return out
