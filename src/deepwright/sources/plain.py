"""Running text."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
from pydantic import Field

from deepwright.errors import DataError
from deepwright.families import Source
from deepwright.files import find, pick, read_bytes
from deepwright.table import Table
from deepwright.text import to_utf8

_SUFFIXES = (".txt", ".text", ".md")


class Plain(Source):
    """A file of running text, cut into rows; it has to be named, ``{type: plain, path: book.txt}``.

    The table has the columns ``text`` and ``place``, the number of the row in the file, by which the end of the text can be kept
    for the test: ``split: {by: time, column: place, test: 0.1}``.
    """

    block: int | None = Field(256, ge=1)
    """The characters of a row; null: a row is a line, and empty lines are left out."""
    encoding: str | None = None
    """The encoding; by default UTF-8, or what a byte-order mark says."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return that no path is taken for running text: it might be a table."""
        del path
        return False

    def read(self) -> Table:
        """Read the file.

        Raises:
            DataError: It is missing or unreadable (E20x), is no text (E207), or holds none (E206).
        """
        path = pick(self.path, _SUFFIXES, "running text")
        data, notes = to_utf8(read_bytes(path), self.encoding, kind="plain", where=path)
        text = data.decode()
        if found := re.search(r"[\x00-\x08\x0e-\x1f]", text):
            place = f"{path}: character {found.start() + 1:,}"
            wrong, mend = (
                "the file is no text: it holds control characters",
                "give a file of plain text, in UTF-8 or with its encoding",
            )
            raise DataError("E207", wrong, where=place, got=repr(found.group()), fix=mend)
        if not text.strip():
            raise DataError("E206", "the file holds no text", where=path)
        if self.block is None:
            rows = [line for line in text.split("\n") if line.strip()]
        else:
            rows = [text[start : start + self.block] for start in range(0, len(text), self.block)]
        frame = pl.DataFrame({"text": pl.Series(rows, dtype=pl.String), "place": pl.Series(range(len(rows)), dtype=pl.Int64)})
        return Table(frame, Path(path).name, tuple(notes), str(find(path)[0].parent))

    @classmethod
    def example(cls) -> Plain:
        """Return a source of a file that need not exist."""
        return cls(path="book.txt")
