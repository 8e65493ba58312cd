"""Spans of characters in texts: how files write them, and the places of a text's tokens (floor 1, free of torch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError, Problem

Ints = NDArray[np.int64]

SPANS = pl.List(pl.Struct({"start": pl.Int64, "end": pl.Int64, "type": pl.String}))
"""A column of spans: the first character of each, the character behind its last, and what it is."""

ANSWERS = pl.List(pl.Struct({"start": pl.Int64, "text": pl.String}))
"""A column of answers that stand in a passage, several if any will do: the first character, if it is known, and the text."""

_START = ("start", "start_offset", "begin")
_END = ("end", "end_offset", "stop")
_TYPE = ("type", "label", "entity", "entity_type", "tag")
_SHOWN = 10


@dataclass(frozen=True)
class Places:
    """Where the tokens of texts stand in them, in characters.

    Args:
        starts: The first character of each token, one text behind the other.
        stops: The character behind its last.
        counts: The tokens of each text (B,).
    """

    starts: Ints
    stops: Ints
    counts: Ints

    @property
    def firsts(self) -> Ints:
        """The position of each text's first token among all tokens, (B,)."""
        firsts: Ints = np.cumsum(self.counts) - self.counts
        return firsts


def is_spans(dtype: Any) -> bool:
    """Return whether a column of this Polars type holds spans: lists of structs with a start, an end and a type."""
    return isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct) and _fields(dtype.inner.to_schema()) is not None


def _fields(names: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return what the start, the end and the type of a span are called among ``names``."""
    found = [next((name for name in known if name in names), None) for known in (_START, _END, _TYPE)]
    return None if None in found else (found[0], found[1], found[2])  # type: ignore[return-value]


def as_spans(column: pl.Series) -> pl.Series:
    """Return a column of spans with the fields of :data:`SPANS`, whatever theirs are called."""
    start, end, kind = _fields(column.dtype.inner.to_schema()) or ("", "", "")  # type: ignore[attr-defined]
    field = pl.element().struct.field
    parts = pl.struct(
        field(start).cast(pl.Int64).alias("start"),
        field(end).cast(pl.Int64).alias("end"),
        field(kind).cast(pl.String).alias("type"),
    )
    return column.to_frame().select(pl.col(column.name).list.eval(parts)).to_series()


def as_answers(column: pl.Series) -> pl.Series | None:
    """Return texts, lists of texts, or lists of texts with their starts as :data:`ANSWERS`; nothing if they are none of these."""
    name, dtype = column.name, column.dtype
    frame = column.to_frame()
    unknown = pl.lit(None, pl.Int64).alias("start")
    if dtype == pl.String:
        one = pl.concat_list(pl.struct(unknown, pl.col(name).alias("text")))
        return frame.select(pl.when(pl.col(name).is_not_null()).then(one).alias(name)).to_series()
    if dtype == pl.List(pl.String):
        return frame.select(pl.col(name).list.eval(pl.struct(unknown, pl.element().alias("text")))).to_series()
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return None
    fields = dtype.inner.to_schema()
    start = next((field for field in ("start", "answer_start") if field in fields), None)
    if "text" not in fields or start is None:
        return None
    field = pl.element().struct.field
    parts = pl.struct(field(start).cast(pl.Int64).alias("start"), field("text").cast(pl.String).alias("text"))
    return frame.select(pl.col(name).list.eval(parts)).to_series()


def listed_spans(name: str, cells: Sequence[Any], where: str) -> pl.Series | None:
    """Return lists of spans, ``[start, end, type]`` or objects with these fields, as a column; nothing if they are none.

    Raises:
        DataError: Some are, and some are not (E227, the first ten rows).
    """
    first = next((item for cell in cells if isinstance(cell, list | tuple) for item in cell), None)
    if first is None or _listed(first) is None:
        return None
    rows, problems = [], list[Problem]()
    for number, cell in enumerate(cells, 1):
        found = [_listed(item) for item in cell] if isinstance(cell, list | tuple) else [] if cell is None else [None]
        if None in found:
            problems.append(_unread(name, number, cell, where))
        rows.append(None if cell is None else [dict(zip(("start", "end", "type"), span or (), strict=False)) for span in found])
    _refuse(problems, where)
    return pl.Series(name, rows, dtype=SPANS)


def _listed(item: Any) -> tuple[int, int, str] | None:
    """Return a span of any of the usual forms, or nothing."""
    if isinstance(item, Mapping):
        names = _fields(item)
        item = None if names is None else [item[name] for name in names]
    if not isinstance(item, list | tuple) or len(item) != 3:
        return None
    start, end, kind = item
    if isinstance(kind, list) and len(kind) == 1:
        kind = kind[0]
    whole = all(isinstance(place, int) and not isinstance(place, bool) for place in (start, end))
    return (start, end, kind) if whole and isinstance(kind, str) and kind else None


def named_spans(rows: Sequence[Mapping[str, Any]], where: str) -> dict[str, pl.Series]:
    """Return the columns of records that hold ``{type: {name: [[start, end], …]}}``, as CLUENER does, as spans.

    The name tells whether the end is the last character or the one behind it.

    Args:
        rows: Records; the text is their value ``text``, or the first text in which the names stand.
        where: What messages call them.

    Raises:
        DataError: A name is not what stands at its place, or a value is of another form (E227, the first ten rows).
    """
    found = {}
    for key in dict.fromkeys(key for row in rows for key, cell in row.items() if isinstance(cell, Mapping) and cell):
        first = next(row for row in rows if isinstance(row.get(key), Mapping) and row[key])
        if _named(first, key) is None:
            continue
        cells, problems = [], list[Problem]()
        for number, row in enumerate(rows, 1):
            cell = row.get(key)
            nothing = cell is None or cell == []
            spans = None if cell is None else [] if nothing else _named(row, key)
            if spans is None and not nothing:
                problems.append(_unread(key, number, cell, where))
            for span in spans or ():
                if span["end"] < 0:
                    problems.append(Problem("E227", "the name does not stand there", f"{where}: {key}, row {number}", span["text"]))
            cells.append(None if spans is None else [{key: span[key] for key in ("start", "end", "type")} for span in spans])
        _refuse(problems, where)
        found[key] = pl.Series(key, cells, dtype=SPANS)
    return found


def _named(row: Mapping[str, Any], key: str) -> list[dict[str, Any]] | None:
    """Return the spans of a record's value, nothing if it is of another form; an end of -1 where the name does not stand."""
    cell = row[key]
    if not isinstance(cell, Mapping) or not all(isinstance(names, Mapping) for names in cell.values()):
        return None
    listed = [(kind, name, place) for kind, names in cell.items() for name, places in names.items() for place in _pairs(places)]
    if any(place is None for *_, place in listed):
        return None
    texts = [row["text"]] if isinstance(row.get("text"), str) else [value for value in row.values() if isinstance(value, str)]
    spans: list[dict[str, Any]] = []
    for kind, name, (start, last) in listed:
        ends = [end for text in texts for end in (last + 1, last) if 0 <= start < end and text[start:end] == name]
        shown = f"{name!r} at [{start}, {last}], where {texts[0][max(0, start) : last + 1]!r} stands" if texts else name
        spans.append({"start": start, "end": ends[0] if ends else -1, "type": kind, "text": shown})
    return spans


def _pairs(places: Any) -> list[Any]:
    """Return lists of two integers as they are, and nothing for each of anything else."""
    if not isinstance(places, list):
        return [None]
    return [
        place if isinstance(place, list) and len(place) == 2 and all(type(each) is int for each in place) else None
        for place in places
    ]


def _unread(name: str, number: int, cell: Any, where: str) -> Problem:
    expected = "[[start, end, type], …], [{start, end, label}, …], or {type: {name: [[start, end], …]}}"
    return Problem("E227", "not a list of spans", f"{where}: {name}, row {number}", str(cell)[:60], expected)


def _refuse(problems: Sequence[Problem], where: str) -> None:
    if problems:
        more = [Problem("E227", f"{len(problems) - _SHOWN:,} more like these", where)] if len(problems) > _SHOWN else []
        raise DataError.of([*problems[:_SHOWN], *more])
