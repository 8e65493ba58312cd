"""IDX, the format of MNIST and Fashion-MNIST (LeCun, Cortes, Burges)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError
from deepwright.families import Source
from deepwright.files import find, is_archive, members, read_bytes, source_line
from deepwright.frames import Note
from deepwright.table import Table

_IMAGES = re.compile(r"(.*?)images?[-._]?idx[34][-._]ubyte(\.gz|\.bz2|\.xz)?", re.IGNORECASE)
_SIDES = {"train": "train", "t10k": "test", "test": "test"}


class Idx(Source):
    """Pictures and labels in IDX files, such as MNIST's ``train-images-idx3-ubyte.gz`` and ``train-labels-idx1-ubyte.gz``.

    The path is the folder (or archive) or the images file; the labels file that goes with it is found by its name. The table has
    the columns ``image`` (pixels, Array(UInt8) of (H, W) or (H, W, C)) and ``label`` (String).
    """

    split: Literal["train", "test"] | None = None
    """Of a folder that holds ``train-…`` and ``t10k-…`` files: which are read; by default the training rows."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like an IDX images file, or is a folder or an archive that holds one."""
        if "://" in path:
            return False
        if _IMAGES.fullmatch(Path(path).name):
            return True
        place = Path(path).expanduser()
        return (place.is_dir() or (is_archive(path) and place.is_file())) and bool(_sides(path))

    def read(self) -> Table:
        """Read the pictures and their labels.

        Raises:
            DataError: A file is missing or damaged (E20x), is no IDX of bytes, lacks its labels, or the two disagree (E215).
        """
        sides = self._sides()
        side: str = self.split or ("train" if "train" in sides else "test")
        if side not in sides:
            raise DataError("E215", f"no IDX images of the {side} rows", where=self.path, got=", ".join(sides) or "none")
        images = sides[side]
        pixels, classes = _array(images), _array(_labels(images))
        if pixels.ndim not in (3, 4) or classes.ndim != 1 or len(pixels) != len(classes):
            raise DataError(
                "E215",
                "the pictures and the labels do not belong together",
                where=images,
                got=f"pictures of the shape {pixels.shape}, labels of the shape {classes.shape}",
                expected="(N, H, W) or (N, H, W, C) and (N,)",
            )
        if not len(pixels):
            raise DataError("E206", "the file holds no pictures", where=images)
        frame = pl.DataFrame([pl.Series("image", pixels), pl.Series("label", classes).cast(pl.String)])
        notes = []
        if side == "train" and "test" in sides and self.split is None:
            fix = source_line("idx", self.path, split="test").replace("data: {source: ", "data: {test: ")
            notes.append(
                Note("held_out", f"the test pictures ({Path(sides['test']).name}) lie beside and were not read; they are   {fix}")
            )
        return Table(frame, Path(self.path).name, tuple(notes))

    def _sides(self) -> dict[str, str]:
        """Return the images file of each side."""
        place, member = find(self.path)
        if place.is_dir() or (not member and is_archive(place.name)):
            return _sides(self.path)
        name = Path(self.path).name.lower()
        side = next((side for start, side in _SIDES.items() if name.startswith(start)), "train")
        return {self.split or side: self.path}

    def held_out(self) -> Idx | None:
        """Return the source of the test pictures, if they lie in the same folder."""
        return Idx(path=self.path, split="test") if self.split is None and {"train", "test"} <= self._sides().keys() else None

    @classmethod
    def example(cls) -> Idx:
        """Return a source of a file that need not exist."""
        return cls(path="train-images-idx3-ubyte")


def _sides(path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in members(path):
        if match := _IMAGES.fullmatch(Path(entry.name).name):
            side = next((side for start, side in _SIDES.items() if match[1].lower().startswith(start)), "train")
            found.setdefault(side, f"{path}/{entry.name}")
    return found


def _labels(images: str) -> str:
    """Return the labels file that goes with an images file: ``train-images-idx3-ubyte`` has ``train-labels-idx1-ubyte``."""
    place = Path(images)
    stem = (
        re.sub(r"image(s?)", r"label\1", re.sub(r"\.(gz|bz2|xz)$", "", place.name)).replace("idx3", "idx1").replace("idx4", "idx1")
    )
    for end in ("", ".gz", ".bz2", ".xz"):
        path = str(place.with_name(stem + end))
        try:
            find(path)
        except DataError:
            continue
        return path
    raise DataError("E215", "no labels beside the images", where=images, expected=f"{stem} or {stem}.gz")


def _array(path: str) -> NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes; the header is 0, 0, 8, dimensions, then big-endian sizes."""
    data = read_bytes(path)
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4 or len(data) < 4 + 4 * data[3]:
        raise DataError("E215", "not an IDX file of unsigned bytes", where=path, got=repr(data[:4]), expected=r"b'\x00\x00\x08…'")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", data[3], 4))
    start = 4 + 4 * data[3]
    if int(np.prod(shape, dtype=object)) != len(data) - start:
        raise DataError(
            "E215", "the file is cut short or too long", where=path, got=f"{len(data) - start:,} bytes", expected=f"{shape} bytes"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
