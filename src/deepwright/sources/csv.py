"""Delimited text: CSV, TSV and their kin, plain, compressed or in an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from deepwright.delimited import Dialect, read_delimited
from deepwright.families import Source
from deepwright.files import find, holds, pick, read_bytes
from deepwright.table import Table
from deepwright.text import to_utf8

_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".data")


class Csv(Source):
    """Delimited text (CSV, TSV, …). Every column is read as text; later steps tell what it is.

    Nothing is lost or invented: rows with too many or too few fields, unclosed quotes, bytes that are not of the encoding and
    blank or repeated column names are errors that name the line. What is found out or assumed is noted.
    """

    separator: str | None = Field(None, min_length=1, max_length=1)
    """The sign between fields; by default the one of ``,`` ``;`` tab ``|`` that divides the lines evenly."""
    quote: Literal['"', "'", ""] | None = None
    """The sign around fields that hold separators or line ends; empty: quotes are plain signs. By default ``"`` if that fits."""
    encoding: str | None = None
    """The encoding; by default UTF-8, or what a byte-order mark says."""
    header: bool | None = None
    """Whether the first line names the columns; found out by default."""
    names: tuple[str, ...] | None = None
    """The column names, instead of those of the header."""
    comment: str | None = Field(None, min_length=1)
    """Lines that start so are left out; by default lines above the table that start with ``#``."""
    decimal: Literal[".", ","] | None = None
    """The decimal sign; by default a comma in columns of numbers that are all written so, if commas do not separate fields."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like delimited text, or is a folder or an archive that holds some and no pictures."""
        return "://" not in path and holds(path, _SUFFIXES)

    def read(self) -> Table:
        """Read the file, every column String, empty fields as empty texts.

        Raises:
            DataError: E200 … E211; see :mod:`deepwright.files`, :mod:`deepwright.text` and :mod:`deepwright.delimited`.
        """
        path = pick(self.path, _SUFFIXES, "delimited text")
        data, notes = to_utf8(read_bytes(path), self.encoding, kind="csv", where=path)
        dialect = Dialect(self.separator, self.quote, self.header, self.names, self.comment, self.decimal)
        frame, more = read_delimited(data, dialect, path)
        return Table(frame, Path(path).name, (*notes, *more), str(find(path)[0].parent))

    @classmethod
    def example(cls) -> Csv:
        """Return a source of a file that need not exist."""
        return cls(path="rows.csv")
