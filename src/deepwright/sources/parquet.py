"""Parquet: a file, or a folder of files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Literal

import polars as pl

from deepwright.errors import DataError
from deepwright.families import Source
from deepwright.files import find, holds, members, name_of, read_bytes, source_line, suffix_of
from deepwright.frames import Note, plain
from deepwright.remote import fetch, is_url
from deepwright.scan import Scan
from deepwright.table import Table

_SUFFIXES = (".parquet", ".pq")


class Parquet(Source):
    """A Parquet file, or all Parquet files of a folder or of a pattern, one below the other in the order of their names.

    URLs of object stores (``s3://…``, ``gs://…``) are fetched once into the cache, and need the extra ``cloud``. Of a
    folder (or an archive) that holds files named ``train…`` and ``test…``, the training rows are read by default.
    """

    split: Literal["train", "test"] | None = None
    """Of a folder that holds both: which files are read."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like Parquet, or is a folder or an archive that holds some and no pictures."""
        if is_url(path) or _is_pattern(path):
            return suffix_of(path) in _SUFFIXES
        return holds(path, _SUFFIXES)

    def _files(self) -> tuple[list[str], list[str]]:
        """Return the paths to read, and those of test files that are left aside."""
        if is_url(self.path):
            return [str(copy) for _, copy in fetch(self.path, _SUFFIXES)], []
        if _is_pattern(self.path):
            place = Path(self.path).expanduser()
            return sorted(str(path) for path in Path(place.anchor).glob(str(place.relative_to(place.anchor))) if path.is_file()), []
        place, member = find(self.path)
        if member or (suffix_of(self.path) in _SUFFIXES and not place.is_dir()):
            return [self.path], []
        found = [f"{self.path}/{entry.name}" for entry in members(self.path) if suffix_of(entry.name) in _SUFFIXES]
        sides = {side: [path for path in found if name_of(path).startswith(side)] for side in ("train", "test")}
        if not sides["train"] or not sides["test"]:
            if self.split:
                raise DataError("E205", f"no files named {self.split}… beside others", where=self.path, got=", ".join(found[:8]))
            return found, []
        side = self.split or "train"
        return sides[side], sides["test"] if side == "train" else []

    def read(self) -> Table:
        """Read the rows; pictures as ``{bytes, path}`` become their bytes, other nested columns one column a field.

        Raises:
            DataError: A file is missing (E200) or unreadable, the files have different columns (E217), or there are no rows (E206).
        """
        paths, test = self._files()
        frames = [_frame(path) for path in paths]
        if not frames:
            raise DataError("E205", "no Parquet files inside", where=self.path, expected=", ".join(_SUFFIXES))
        for path, frame in zip(paths, frames, strict=True):
            if frame.schema != frames[0].schema:
                different = [f"{k}: {v}" for k, v in frame.schema.items() if frames[0].schema.get(k) != v]
                lacking = [f"no {k}" for k in frames[0].schema if k not in frame.schema]
                raise DataError(
                    "E217",
                    f"other columns than {Path(paths[0]).name}",
                    where=path,
                    got=", ".join(different + lacking) or "another order",
                )
        frame, notes = plain(pl.concat(frames))
        if frame.is_empty():
            raise DataError("E206", "the file holds no rows", where=self.path)
        notes += self._aside(test)
        return Table(frame, Path(self.path).name, tuple(notes), self._base())

    def scan(self) -> Scan | None:
        """Return the rows as a scan, unless they are packed in an archive or compressed, or have nested columns.

        Raises:
            DataError: A file is missing (E200) or unreadable, or the files have different columns (E217).
        """
        paths, test = self._files()
        places = [find(path) for path in paths]
        if not places or any(member or not place.is_file() or place.suffix.lower() not in _SUFFIXES for place, member in places):
            return None
        scan = Scan.of(tuple(place for place, _ in places), Path(self.path).name, tuple(self._aside(test)), self._base())
        return None if any(dtype.is_nested() for dtype in scan.schema.values()) else scan

    def _base(self) -> str:
        """Return the folder that relative paths in the columns start from; behind a URL there is none."""
        if is_url(self.path):
            return ""
        place = Path(self.path).parent if _is_pattern(self.path) else find(self.path)[0]
        return str(place if place.is_dir() else place.parent)

    def _aside(self, test: list[str]) -> list[Note]:
        fix = source_line("parquet", self.path, split="test").replace("data: {source: ", "data: {test: ")
        return [Note("held_out", f"{len(test)} test files lie beside and were not read; they are   {fix}")] if test else []

    def held_out(self) -> Parquet | None:
        """Return the source of the test files beside the training files, if there are any."""
        return Parquet(path=self.path, split="test") if self._files()[1] else None

    @classmethod
    def example(cls) -> Parquet:
        """Return a source of a file that need not exist."""
        return cls(path="rows.parquet")


def _is_pattern(path: str) -> bool:
    return any(sign in path for sign in "*?[") and not Path(path).expanduser().exists()


def _frame(path: str) -> pl.DataFrame:
    data = read_bytes(path)
    try:
        return pl.read_parquet(BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            "E217", "not a readable Parquet file", where=path, got=str(error).splitlines()[0], fix="write the file again"
        ) from None
