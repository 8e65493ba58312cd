"""The table: typed columns in Polars, from any source or from memory (floor 2)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from deepwright.casting import cast
from deepwright.frames import Note, frame_of

__all__ = ["MISSING", "Note", "Table", "cast", "fingerprint", "summed", "tidy", "unused"]

MISSING = ("?", "NA", "N/A", "NaN", "null", "None", "-", "")
"""The texts that mean a missing value unless the recipe says otherwise."""


@dataclass(frozen=True)
class Table:
    """Rows with named columns.

    Columns that come from a text file are ``String``; :func:`tidy` strips blanks and makes missing values null,
    :mod:`deepwright.kinds` tells what the columns are, and :func:`cast` makes them so. Columns of typed sources keep their
    dtype. Pictures are ``Binary`` (a file's bytes), ``String`` (its path) or ``Array(UInt8)`` (pixels).

    Args:
        frame: The rows.
        name: What messages call it: the file's name, or ``"table"``.
        notes: What reading did or assumed.
        base: The folder that relative paths in the columns start from; empty for the working directory.
    """

    frame: pl.DataFrame
    name: str = "table"
    notes: tuple[Note, ...] = field(default=())
    base: str = ""

    @classmethod
    def of(cls, value: Any, name: str = "table") -> Table:
        """Return a table of what is in memory: a pandas, Polars or Arrow table, ``{column: values}``, a list of records, a Table.

        Raises:
            DataError: The value is not a table (E223, E224), or its columns are unequally long, unnamed or named twice (E210).
        """
        if isinstance(value, Table):
            return value
        frame, notes = frame_of(value, name)
        return cls(frame, name, tuple(notes))

    @property
    def columns(self) -> list[str]:
        """The column names, in order."""
        return self.frame.columns

    def __len__(self) -> int:
        return self.frame.height

    def with_frame(self, frame: pl.DataFrame, *notes: Note) -> Table:
        """Return this table with other rows and further notes."""
        return replace(self, frame=frame, notes=(*self.notes, *notes))


def unused(name: str, taken: Collection[str]) -> str:
    """Return a name that nothing is called yet: this one, or it with as many ``_`` behind it as that needs."""
    while name in taken:
        name += "_"
    return name


def tidy(table: Table, *, strip: bool = True, missing: Sequence[str] | None = None, whole: Collection[str] = ()) -> Table:
    """Strip blanks around texts and make missing values null; each change is noted with its count.

    Args:
        table: Any table; only its String columns change.
        strip: Whether blanks at both ends of every text are removed.
        missing: The texts that mean a missing value; by default :data:`MISSING`. The empty text always does.
        whole: Columns whose blanks stay.
    """
    markers = list(dict.fromkeys([*(MISSING if missing is None else missing), ""]))
    stripped, found = 0, dict.fromkeys(markers, 0)
    columns: list[pl.Series] = []
    for name, dtype in table.frame.schema.items():
        if dtype != pl.String:
            continue
        column = table.frame.get_column(name)
        if strip and name not in whole:
            bare = column.str.strip_chars()
            stripped += int((bare.str.len_bytes() != column.str.len_bytes()).sum())
            column = bare
        gone = column.is_in(markers)
        if gone.any():
            for marker, count in column.filter(gone).value_counts().iter_rows():
                found[marker] += count
            column = pl.select(pl.when(~gone).then(column)).to_series().alias(name)
        columns.append(column)
    notes = [Note("strip", f"blanks removed around {stripped:,} values", stripped)] if stripped else []
    for marker, count in found.items():
        if count:
            shown = f'"{marker}"' if marker else "empty"
            notes.append(Note("missing_marker", f"{shown} read as missing, {count:,} times", count))
    return table.with_frame(table.frame.with_columns(columns), *notes) if columns else table


def summed(notes: Iterable[Note]) -> list[Note]:
    """Sum the notes of :func:`tidy` over tables of different columns; other notes are kept, each once."""
    counts: dict[tuple[str, str], int] = {}
    other: dict[Note, None] = {}
    for note in notes:
        if note.what in ("strip", "missing_marker"):
            key = (note.what, re.sub(r"[\d,]+ (values|times)$", r"{} \1", note.text))
            counts[key] = counts.get(key, 0) + note.count
        else:
            other[note] = None
    return [Note(what, text.replace("{}", f"{count:,}"), count) for (what, text), count in counts.items()] + list(other)


def fingerprint(table: Table) -> str:
    """Return the SHA-256 (hex) of the columns' names, dtypes and values in their order; notes and the name do not count.

    The same on every machine: it hashes plain little-endian values, not the layout of a library's memory.
    """
    digest = hashlib.sha256()
    for column in table.frame.get_columns():
        digest.update(json.dumps([column.name, str(column.dtype), len(column)], ensure_ascii=False).encode())
        _hash_values(column, digest)
    return digest.hexdigest()


def _hash_values(column: pl.Series, digest: hashlib._Hash) -> None:
    digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
    dtype = column.dtype
    if isinstance(dtype, pl.Struct):
        for part in column.struct.unnest().get_columns():
            digest.update(part.name.encode())
            _hash_values(part, digest)
    elif isinstance(dtype, pl.Array):
        _hash_values(column.drop_nulls().reshape((-1,)), digest)
    elif isinstance(dtype, pl.List):
        known = column.drop_nulls()
        digest.update(known.list.len().to_numpy().astype("<u8").tobytes())
        _hash_values(known.filter(known.list.len() > 0).explode(), digest)
    elif dtype == pl.Binary:
        known = column.drop_nulls()
        digest.update(known.bin.size().to_numpy().astype("<u8").tobytes())
        for value in known:
            digest.update(value)
    elif dtype.is_float():
        values = column.drop_nulls().fill_nan(float("nan")).to_numpy()
        digest.update(np.where(np.isnan(values), np.nan, values).astype(values.dtype.newbyteorder("<")).tobytes())
    elif dtype.is_integer() or dtype.is_temporal() or dtype == pl.Boolean:
        values = column.drop_nulls().to_physical().to_numpy()
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    elif dtype != pl.Null:
        texts = column.drop_nulls().cast(pl.String)
        digest.update(texts.str.len_bytes().to_numpy().astype("<u8").tobytes())
        digest.update("".join(texts.to_list()).encode())
