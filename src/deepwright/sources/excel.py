"""Excel and OpenDocument workbooks."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from pydantic import Field

from deepwright.errors import DataError, nearest, need
from deepwright.families import Source
from deepwright.files import find, holds, pick, read_bytes, source_line
from deepwright.frames import Note, check_names
from deepwright.table import Table

_SUFFIXES = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")


class Excel(Source):
    """A sheet of a workbook (.xlsx, .xls, .xlsb, .ods); needs the extra ``excel``."""

    sheet: str | int | None = None
    """The sheet's name, or its number from 1; the first by default."""
    header: bool = True
    """Whether the first row names the columns."""
    skip: int = Field(0, ge=0)
    """Rows above the table that are left out."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like a workbook, or is a folder or an archive that holds one and no pictures."""
        return "://" not in path and holds(path, _SUFFIXES)

    def read(self) -> Table:
        """Read the sheet; rows and unnamed columns without any value are left out and noted.

        Raises:
            DataError: The file is missing (E200) or no workbook, or lacks the sheet (E218), is empty (E206), or columns have no
                or equal names (E210).
            MissingExtra: fastexcel is not installed.
        """
        fastexcel = need("fastexcel", extra="excel")
        path = pick(self.path, _SUFFIXES, "workbook")
        data = read_bytes(path)
        try:
            book = fastexcel.read_excel(data)
            sheets: list[str] = book.sheet_names
            name = self._sheet(sheets, path)
            raw = book.load_sheet(name, header_row=None, skip_rows=self.skip, n_rows=1, dtypes="string").to_polars()
            row = self.skip if self.header else None
            frame = book.load_sheet(name, header_row=row, skip_rows=None if self.header else self.skip).to_polars()
        except fastexcel.FastExcelError as error:
            raise DataError("E218", "the workbook cannot be read", where=path, got=str(error).splitlines()[0]) from None
        notes = [Note("sheet", f"read the sheet {name!r}; the others are {', '.join(s for s in sheets if s != name)}")]
        if len(sheets) == 1 or self.sheet is not None:
            notes = []
        if self.header and raw.height:
            given = [str(cell).strip() if cell is not None else "" for cell in raw.row(0)]
            frame = _without_empty(frame, given + [""] * (frame.width - len(given)), path, notes)
        else:
            frame.columns = [f"column_{i + 1}" for i in range(frame.width)]
            frame = _without_empty(frame, frame.columns, path, notes)
        return Table(frame, Path(path).name, tuple(notes), str(find(path)[0].parent))

    def _sheet(self, sheets: list[str], path: str) -> str:
        if self.sheet is None:
            return sheets[0]
        if isinstance(self.sheet, int) and 1 <= self.sheet <= len(sheets):
            return sheets[self.sheet - 1]
        if self.sheet in sheets:
            return str(self.sheet)
        raise DataError(
            "E218",
            f"no sheet {self.sheet!r}{nearest(self.sheet, sheets)}",
            where=path,
            expected=", ".join(sheets),
            fix=source_line("excel", path, sheet=sheets[0]),
        )

    @classmethod
    def example(cls) -> Excel:
        """Return a source of a file that need not exist."""
        return cls(path="rows.xlsx")


def _without_empty(frame: pl.DataFrame, names: list[str], path: str, notes: list[Note]) -> pl.DataFrame:
    """Leave out what spreadsheets keep around a table: rows without a value, and columns without a name and a value."""
    keep = [i for i, column in enumerate(frame.get_columns()) if names[i] or column.null_count() < len(column)]
    if len(keep) < frame.width:
        notes.append(Note("empty_columns", f"{frame.width - len(keep)} empty columns left out", frame.width - len(keep)))
    kept = [names[i] for i in keep]
    check_names(kept, where=f"{path}: the header", fix="name the columns in the sheet, or declare header: false")
    frame = pl.DataFrame([frame.to_series(i).alias(names[i]) for i in keep])
    full = frame.filter(~pl.all_horizontal(pl.all().is_null())) if frame.width else frame
    if full.height < frame.height:
        notes.append(Note("empty_rows", f"{frame.height - full.height:,} empty rows left out", frame.height - full.height))
    if full.is_empty():
        raise DataError("E206", "the sheet holds no rows", where=path)
    return full
