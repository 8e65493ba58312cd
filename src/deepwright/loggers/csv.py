"""The logger ``csv``."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from deepwright.blocks.logs import LogWriter
from deepwright.bundle import write_atomically
from deepwright.facts import RunFacts
from deepwright.families import Logger

NAME = "log.csv"


class CsvLogger(Logger):
    """A table ``log.csv`` with a row for each step that is logged and a column for each figure."""

    def open(self, directory: Path, run: RunFacts) -> LogWriter:
        """Open ``directory/log.csv``."""
        directory.mkdir(parents=True, exist_ok=True)
        return _Table(directory / NAME, new=run.step == 0)


class _Table(LogWriter):
    """Rows are appended; a new figure makes a new column, for which the file is written anew."""

    def __init__(self, path: Path, *, new: bool) -> None:
        self._path = path
        self._columns, self._rows = ["step"], list[dict[str, str]]()
        if path.exists() and not new:
            # A kill may have cut the last line short: only lines that end are read.
            whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
            reader = csv.DictReader(io.StringIO(whole))
            self._rows = [row for row in reader if None not in row.values()]
            self._columns = list(reader.fieldnames or self._columns)
        self._write_all()
        super().__init__(int(self._rows[-1]["step"]) if self._rows else -1)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Append a row."""
        row = {"step": str(step), **{name: repr(float(value)) for name, value in figures.items()}}
        self._rows.append(row)
        added = [name for name in row if name not in self._columns]
        if added:
            self._columns += added
            self._write_all()
            return
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._text([row]))
            file.flush()
            os.fsync(file.fileno())

    def _write_all(self) -> None:
        write_atomically(self._path, (self._text([{name: name for name in self._columns}, *self._rows])).encode())

    def _text(self, rows: list[dict[str, str]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n").writerows(rows)
        return text.getvalue()
