"""Pictures."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from deepwright import likeness, pictures, pixels
from deepwright.encoding import no_values
from deepwright.facts import Dtype, Facts, ImageFacts, TargetFacts
from deepwright.families import Augmentation, Feature, State

Pixels = NDArray[np.uint8]

_OWN_SIDE = 256
"""Pictures of one size keep it up to this longer side."""
_SIDE = 128
"""The longer side that is chosen for other pictures, at most."""
_SAMPLE = 4096
"""How many pictures, evenly spaced over the training rows, the mean, the deviation and the colour are learnt from."""
_CHUNK = 512
_PATCHES = 2**17
"""About how many patches of each chunk their covariance is learnt from."""


class ImageState(State):
    """What an image column taught."""

    height: int
    """The height that pictures are brought to."""
    width: int
    """The width that pictures are brought to."""
    channels: int
    """1 for grey, 3 for RGB."""
    mean: tuple[float, ...]
    """The mean of each channel, in 0…255."""
    std: tuple[float, ...]
    """The standard deviation of each channel, in 0…255, 1 for a constant."""
    patches: tuple[tuple[float, ...], ...] = ()
    """The covariance of 2 × 2 patches, (4C, 4C) in the order (C, 2, 2); empty for pictures of one row or column."""


class Image(Feature):
    """A picture: the bytes of a file, a path, or an array of pixels (``Array(UInt8, (H, W))`` or ``(H, W, 1 or 3)``).

    JPEG, PNG, GIF, BMP, WebP, TIFF and PPM are read; of several frames the first. The camera's orientation is applied;
    transparent parts lie over white; 16-bit grey is scaled to 8 bits; CMYK and palettes become RGB. A missing picture is the
    mean colour of the training pictures.

    As an output: a picture of the size of another, made of it, as in denoising or colouring. Predictions are PNG files of the
    size of the pictures that they are made of.
    """

    dtype: ClassVar[Dtype] = "image"
    state: ClassVar[type[State]] = ImageState
    usual_encoder: ClassVar[str] = "cnn"

    height: int | None = Field(None, ge=1, le=4096)
    """The height that every picture is brought to. By default pictures that all have one size of at most 256 × 256 keep it;
    others take their median size, scaled to at most 128 × 128 and rounded to multiples of 8."""
    width: int | None = Field(None, ge=1, le=4096)
    """The width that every picture is brought to; see ``height``."""
    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for RGB; by default RGB if any training picture (of 4,096, evenly spaced) has a coloured pixel."""
    resize: Literal["stretch", "pad", "crop"] = "stretch"
    """How a picture of another shape is brought to size: ``stretch`` it, ``pad`` it with black, or ``crop`` its centre."""
    tta: Literal["none", "mirror", "mirror_translate"] = "none"
    """Test-time augmentation: predict from the mean over ``mirror`` images, or over those at three places (``mirror_translate``),
    inside the exported graph. It costs two or six times as much a prediction; not for what has a left and a right."""
    augment: tuple[Augmentation, ...] | None = None
    """Random changes of training pictures; by default chosen by the data; ``[]``: none."""

    def fit(self, column: pl.Series) -> ImageState:
        """Learn the size, the channels, and their mean and deviation (from at most 4,096 pictures, evenly spaced).

        Raises:
            DataError: There is no picture (E260), or pictures cannot be read (E265, all of them listed).
        """
        known = column.drop_nulls()
        if known.is_empty():
            raise no_values(column, "picture")
        sizes = pictures.sizes(column)
        height, width = self._size(sizes)
        sample = known.gather(np.unique(np.linspace(0, len(known) - 1, _SAMPLE).astype(np.int64)))
        channels = self.channels or 3
        learnt = _moments(sample, pictures.Form(height, width, channels, self.resize))
        if self.channels is None and not learnt.coloured:
            channels = 1  # red, green and blue are equal
        return ImageState(
            height=height,
            width=width,
            channels=channels,
            mean=tuple(learnt.mean[:channels].tolist()),
            std=tuple(learnt.std[:channels].tolist()),
            patches=tuple(tuple(row) for row in learnt.patches[: 4 * channels, : 4 * channels].tolist()),
        )

    def _size(self, sizes: NDArray[np.int64]) -> tuple[int, int]:
        """Return (H, W) for pictures of ``sizes`` (n, 2)."""
        height, width = np.median(sizes, axis=0)
        if np.ptp(sizes, axis=0).any() or max(height, width) > _OWN_SIDE:
            shrink = min(1.0, _SIDE / max(height, width))
            height, width = (max(8, round(side * shrink / 8) * 8) for side in (height, width))
        aspect = width / height
        if self.height is not None and self.width is None:
            width = max(1, round(self.height * aspect))
        if self.width is not None and self.height is None:
            height = max(1, round(self.width / aspect))
        return int(self.height or height), int(self.width or width)

    def encode(self, column: pl.Series, state: ImageState) -> dict[str, NDArray[np.generic]]:
        """Return ``image`` (B, H, W, C) uint8.

        Raises:
            DataError: Pictures cannot be read (E265, all of them listed).
        """
        form = pictures.Form(state.height, state.width, state.channels, self.resize)
        return {"image": pictures.decode(column, form, np.rint(state.mean).astype(np.uint8))}

    def facts(self, name: str, state: ImageState) -> Facts:
        """Return the picture's facts."""
        return Facts(name, image=ImageFacts(state.height, state.width, state.channels, state.mean, state.std, state.patches))

    def beside(self, source: Feature, learnt: Any) -> Self:
        """Return this output at the size of an input's pictures.

        Raises:
            RecipeError: A size is declared that they do not have, or only the centre of pictures is seen (E106).
        """
        return pixels.same_scene(self, source, learnt)

    def target(self, column: pl.Series, state: ImageState) -> NDArray[np.int16]:
        """Return the pictures, (B, H, W, C) in 0…255, -1 throughout where one is missing.

        Raises:
            DataError: Pictures cannot be read (E265, all of them listed).
        """
        target = self.encode(column, state)["image"].astype(np.int16)
        target[column.is_null().to_numpy()] = -1
        return target

    def target_facts(self, name: str, state: ImageState) -> TargetFacts:
        """Return the channels, and the mean and deviation of the brightness."""
        center, scale = float(np.mean(state.mean)), float(np.mean(state.std))
        return TargetFacts(name, "image", center=center, scale=max(scale, 1.0), channels=state.channels)

    def counts(
        self, outputs: NDArray[Any], target: NDArray[Any], state: ImageState, likelihood: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return the counts of :func:`deepwright.likeness.counts`."""
        del likelihood
        return likeness.counts(outputs, target)

    def decode(self, name: str, outputs: NDArray[Any], state: ImageState) -> pl.DataFrame:
        """Return PNG files at the size of the outputs.

        Args:
            name: The output's name.
            outputs: (B, H, W, C) in 0…255.
            state: The learnt state.
        """
        sizes = np.tile(np.asarray(outputs.shape[1:3], np.int64), (len(outputs), 1))
        return self.model_copy(update={"resize": "stretch"}).decode_at(name, outputs, state, sizes)

    def decode_at(self, name: str, outputs: NDArray[Any], state: ImageState, sizes: NDArray[np.int64]) -> pl.DataFrame:
        """Return PNG files of the pictures' own sizes; see :meth:`deepwright.families.Feature.decode_at`."""
        return pl.DataFrame({name: pixels.written(outputs, sizes, self.resize, _plain, smooth=True)})

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return grey, coloured, and differently large pictures as the bytes of PNG files."""
        draw = np.random.default_rng(0)
        grey = [pictures.png(draw.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(4)]
        colour = [pictures.png(draw.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((8, 12), (16, 9), (9, 20))]
        return {"grey": [*grey, None], "colour": [None, *colour], "mixed": [grey[0], colour[0], colour[1]]}


def _plain(picture: NDArray[Any]) -> Pixels:
    """Return the pixels of a file, (H, W) or (H, W, 3)."""
    whole = np.asarray(np.clip(picture, 0, 255), np.uint8)
    return np.asarray(whole[..., 0] if whole.shape[2] == 1 else whole)


class _Moments(NamedTuple):
    """What pictures are like: whether any pixel is coloured, and the mean, deviation and covariance of patches."""

    coloured: bool
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    patches: NDArray[np.float64]


def _moments(column: pl.Series, form: pictures.Form) -> _Moments:
    """Learn what pictures are like; all sums are of integers and exact, so that they depend on no machine."""
    total, squares, coloured = np.zeros(form.channels, np.int64), np.zeros(form.channels, np.int64), False
    size = 4 * form.channels
    count, sums, products = 0, np.zeros(size), np.zeros((size, size))
    for start in range(0, len(column), _CHUNK):
        batch = pictures.decode(column[start : start + _CHUNK], form, np.zeros(form.channels, np.uint8))
        coloured = coloured or bool((batch != batch[..., :1]).any())
        for channel in range(form.channels):
            counts = np.bincount(batch[..., channel].ravel(), minlength=256)
            total[channel] += counts @ np.arange(256)
            squares[channel] += counts @ np.arange(256) ** 2
        patches = _patches(batch)
        count, sums, products = count + len(patches), sums + patches.sum(0), products + patches.T @ patches
    pixels = len(column) * form.height * form.width
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    covariance = products / count - np.outer(sums / count, sums / count) if count else np.zeros((0, 0))
    return _Moments(coloured, mean, np.where(std > 0, std, 1.0), covariance)


def _patches(batch: Pixels) -> NDArray[np.float64]:
    """Return 2 × 2 patches of pictures (B, H, W, C) as rows of 4C values in the order (C, 2, 2), evenly spaced in each picture."""
    height, width = batch.shape[1] - 1, batch.shape[2] - 1
    step = max(1, math.ceil((len(batch) * height * width / _PATCHES) ** 0.5))
    corners = [batch[:, y : y + height : step, x : x + width : step] for y in (0, 1) for x in (0, 1)]
    return np.stack(corners, -1).reshape(-1, 4 * batch.shape[3]).astype(np.float64)
