"""Pictures in one folder a class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import polars as pl

from deepwright.errors import DataError
from deepwright.families import Source
from deepwright.files import PICTURES, find, is_archive, listed, members, read_members, source_line, suffix_of
from deepwright.frames import Note
from deepwright.table import Table

_TRAIN, _TEST, _VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")


class Images(Source):
    """Pictures in one folder a class: ``CLASS/*.jpg`` or ``{train,test}/CLASS/*.jpg``, in a folder, a zip or a tar.

    A folder ``val`` counts as the test where there is no other, else as training rows, which are divided anew.
    The table has the columns ``image`` (the file's path for a folder, its bytes for an archive) and ``label``, in the order of
    the files' paths. A single folder around everything is skipped, and files that are no pictures are left out with a note.
    """

    split: Literal["train", "test"] | None = None
    """Where there are folders ``train`` and ``test``: which is read; by default the training rows."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is an existing folder or archive that holds pictures, most of them in folders."""
        place = Path(path).expanduser()
        if "://" in path or not (place.is_dir() or (is_archive(path) and place.is_file())):
            return False
        pictures = [entry.name for entry in members(path) if suffix_of(entry.name) in PICTURES]
        return any("/" in name for name in pictures)

    def read(self) -> Table:
        """Read the list of pictures, and from an archive their bytes.

        Raises:
            DataError: The path is missing or damaged (E20x), or does not hold pictures in folders of classes (E216).
        """
        sides, labels, others, validation = self._sides()
        side: str = self.split or ("train" if "train" in sides else next(iter(sides)))
        names = sides.get(side, [])
        if not names:
            found = ", ".join(sides) or "none"
            raise DataError("E216", f"no pictures of the {self.split} rows", where=self.path, got=f"parts: {found}")
        place, _ = find(self.path)
        if place.is_dir():
            image = pl.Series("image", [str(place.resolve() / name) for name in names], dtype=pl.String)
        else:
            image = pl.Series("image", list(read_members(self.path, names).values()), dtype=pl.Binary)
        notes: list[Note] = []
        if others:
            text = f"{len(others):,} files are no pictures and were left out: {listed(others, 3)}"
            notes.append(Note("not_pictures", text, len(others)))
        if validation and self.split != "test":
            text = f"{validation:,} validation pictures are among the training rows, which are divided anew"
            notes.append(Note("validation", text, validation))
        if self.split is None and "test" in sides and side == "train":
            fix = source_line("images", self.path, split="test").replace("data: {source: ", "data: {test: ")
            notes.append(Note("held_out", f"{len(sides['test']):,} test pictures were not read; they are   {fix}"))
        frame = pl.DataFrame([image, pl.Series("label", [labels[name] for name in names], dtype=pl.String)])
        return Table(frame, Path(self.path).name, tuple(notes))

    def _sides(self) -> tuple[dict[str, list[str]], dict[str, str], list[str], int]:
        """Return the pictures of each part (``train``, ``test``, ``all``), their labels, the other files, and how many validate."""
        place, _ = find(self.path)
        if not (place.is_dir() or is_archive(place.name)):
            raise DataError("E216", "neither a folder nor an archive", where=self.path)
        entries = [entry.name for entry in members(self.path)]
        pictures = [name for name in entries if suffix_of(name) in PICTURES]
        others = [name for name in entries if suffix_of(name) not in PICTURES]
        steps = [name.split("/") for name in pictures]
        length = Counter(map(len, steps)).most_common(1)[0][0] if steps else 0
        odd = [name for name, path in zip(pictures, steps, strict=True) if len(path) != length]
        depth = length - 2  # the folder of the class; above it perhaps train and test, and folders around everything
        if odd or depth < 0:
            raise DataError(
                "E216",
                f"{len(odd):,} pictures lie at another depth than the others" if odd else "no pictures in folders of classes",
                where=self.path,
                got=listed(odd or entries, 3),
                expected="CLASS/picture.jpg or {train,test}/CLASS/picture.jpg",
                fix="put each picture into the folder of its class, or use a CSV file with a column of paths",
            )
        above = {path[depth - 1].lower() for path in steps} if depth else set()
        divided = bool(above) and above <= {*_TRAIN, *_TEST, *_VALIDATION}
        if not divided and len({tuple(path[:depth]) for path in steps}) > 1:
            raise DataError(
                "E216",
                "the folders of classes lie in several folders, and these are not train and test",
                where=self.path,
                got=listed(sorted({"/".join(path[:depth]) for path in steps}), 4),
                expected="CLASS/picture.jpg or {train,test}/CLASS/picture.jpg",
            )
        folders = {folder: _side(folder, above) for folder in above} if divided else {}
        sides: dict[str, list[str]] = {}
        for name, path in zip(pictures, steps, strict=True):
            sides.setdefault(folders[path[depth - 1].lower()] if divided else "all", []).append(name)
        merged = {folder for folder in above & {*_VALIDATION} if folders.get(folder) == "train"}
        validation = sum(path[depth - 1].lower() in merged for path in steps) if merged else 0
        return sides, {name: path[depth] for name, path in zip(pictures, steps, strict=True)}, others, validation

    def held_out(self) -> Images | None:
        """Return the source of the pictures in the folder ``test`` beside ``train``, if there is one."""
        if self.split is not None:
            return None
        return Images(path=self.path, split="test") if {"train", "test"} <= self._sides()[0].keys() else None

    @classmethod
    def example(cls) -> Images:
        """Return a source of a folder that need not exist."""
        return cls(path="pictures")


def _side(folder: str, beside: set[str]) -> str:
    """Return what a folder holds; validation pictures are the test where there is none, and training rows where there is."""
    if folder in _TEST or (folder in _VALIDATION and not beside & {*_TEST}):
        return "test"
    return "train"
