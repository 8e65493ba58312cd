"""Pictures in one folder a class."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from deepwright.errors import DataError
from deepwright.families import Source
from deepwright.files import PICTURES, find, is_archive, listed, members, read_members, source_line, suffix_of
from deepwright.frames import Note
from deepwright.table import Table

_TRAIN, _TEST = ("train", "training"), ("test", "testing")


class Images(Source):
    """Pictures in one folder a class: ``CLASS/*.jpg`` or ``{train,test}/CLASS/*.jpg``, in a folder, a zip or a tar.

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
        sides, labels, others = self._sides()
        side = self.split or ("train" if "train" in sides else "all")
        names = sides.get(side, [])
        if not names:
            found = ", ".join(sides) or "none"
            raise DataError("E216", f"no pictures of the {self.split} rows", where=self.path, got=f"parts: {found}")
        place, _ = find(self.path)
        if place.is_dir():
            image = pl.Series("image", [str(place.resolve() / name) for name in names], dtype=pl.String)
        else:
            image = pl.Series("image", list(read_members(self.path, names).values()), dtype=pl.Binary)
        notes = [Note("not_pictures", f"{len(others):,} files are no pictures and were left out: {listed(others, 3)}", len(others))]
        if not others:
            notes = []
        if self.split is None and "train" in sides and "test" in sides:
            fix = source_line("images", self.path, split="test").replace("data: {source: ", "data: {test: ")
            notes.append(Note("held_out", f"{len(sides['test']):,} test pictures were not read; they are   {fix}"))
        if left := sum(len(entries) for key, entries in sides.items() if key not in ("train", "test")) if side != "all" else 0:
            notes.append(Note("left_out", f"{left:,} pictures outside the folders train and test were left out", left))
        frame = pl.DataFrame([image, pl.Series("label", [labels[name] for name in names], dtype=pl.String)])
        return Table(frame, Path(self.path).name, tuple(notes))

    def _sides(self) -> tuple[dict[str, list[str]], dict[str, str], list[str]]:
        """Return the pictures of each part (``train``, ``test``, ``all``), the label of each, and the other files."""
        place, _ = find(self.path)
        if not (place.is_dir() or is_archive(place.name)):
            raise DataError("E216", "neither a folder nor an archive", where=self.path)
        entries = [entry.name for entry in members(self.path)]
        pictures = [name for name in entries if suffix_of(name) in PICTURES]
        others = [name for name in entries if suffix_of(name) not in PICTURES]
        steps = [name.split("/") for name in pictures]
        depth = 0
        while steps and all(len(path) > depth + 2 and path[depth] == steps[0][depth] for path in steps):
            if steps[0][depth].lower() in (*_TRAIN, *_TEST):
                break
            depth += 1
        top = {path[depth].lower() for path in steps if len(path) > depth + 1}
        divided = (bool(top & {*_TRAIN}) and bool(top & {*_TEST})) or top <= {*_TRAIN, *_TEST}
        level = depth + divided
        loose = [name for name, path in zip(pictures, steps, strict=True) if len(path) <= level + 1]
        if loose or not pictures:
            raise DataError(
                "E216",
                "pictures lie outside the folders of classes" if loose else "there are no pictures",
                where=self.path,
                got=listed(loose or others, 3),
                expected="CLASS/picture.jpg or {train,test}/CLASS/picture.jpg",
                fix="put each picture into the folder of its class, or use a CSV file with a column of paths",
            )
        sides: dict[str, list[str]] = {}
        for name, path in zip(pictures, steps, strict=True):
            sides.setdefault(_side(path[depth]) if divided else "all", []).append(name)
        return sides, {name: path[level] for name, path in zip(pictures, steps, strict=True)}, others

    def held_out(self) -> Images | None:
        """Return the source of the pictures in the folder ``test`` beside ``train``, if there is one."""
        if self.split is not None:
            return None
        return Images(path=self.path, split="test") if {"train", "test"} <= self._sides()[0].keys() else None

    @classmethod
    def example(cls) -> Images:
        """Return a source of a folder that need not exist."""
        return cls(path="pictures")


def _side(folder: str) -> str:
    return "train" if folder.lower() in _TRAIN else "test" if folder.lower() in _TEST else folder
