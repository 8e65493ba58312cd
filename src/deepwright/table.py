"""The table: typed columns in Polars, from any source or from memory (floor 2)."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class Note:
    """Something that reading or cleaning did or assumed; nothing is ever changed without one.

    Args:
        what: A stable key such as ``"bom"``, ``"strip"``, ``"missing_marker"``, ``"duplicates"``.
        text: One line for people.
        count: How many values or rows it touched.
        column: The column, if it touched only one.
    """

    what: str
    text: str
    count: int = 0
    column: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows with named columns.

    Columns that come from a text file are ``String`` (missing values null, blanks stripped); :mod:`deepwright.kinds` tells what
    they are and :func:`cast` makes them so. Columns of typed sources keep their dtype. Pictures are ``Binary`` (their bytes) or
    ``String`` (their paths).

    Args:
        frame: The rows.
        name: What messages call it: the file's name, or ``"table"``.
        notes: What reading did or assumed.
    """

    frame: pl.DataFrame
    name: str = "table"
    notes: tuple[Note, ...] = field(default=())

    @property
    def columns(self) -> list[str]:
        """The column names, in order."""
        return self.frame.columns

    def __len__(self) -> int:
        return self.frame.height

    def with_frame(self, frame: pl.DataFrame, *notes: Note) -> Table:
        """Return this table with other rows and further notes."""
        return Table(frame, self.name, (*self.notes, *notes))
