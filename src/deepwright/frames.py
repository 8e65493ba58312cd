"""From objects in memory to a Polars frame, none of their libraries imported (floor 2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from deepwright.errors import DataError, Problem
from deepwright.spans import listed_spans, named_spans

_MOST_COLUMNS = 10_000


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


def frame_of(value: Any, where: str) -> tuple[pl.DataFrame, list[Note]]:
    """Return the frame of a pandas, Polars or Arrow table, a mapping of columns, or a list of records.

    Raises:
        DataError: The value is not a table (E223), or its columns are unequally long, unnamed or named twice (E210).
    """
    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    if isinstance(value, pl.DataFrame):
        return plain(value)
    module = type(value).__module__.partition(".")[0]
    if module == "pandas" and type(value).__name__ == "DataFrame":
        return _of_pandas(value, where)
    if isinstance(value, Mapping):
        return of_columns(value, where)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and all(isinstance(row, Mapping) for row in value):
        return of_records(value, where)
    if hasattr(value, "__arrow_c_stream__"):
        frame = pl.DataFrame(value)
        return plain(frame)
    raise DataError(
        "E223",
        "not a table",
        where=where,
        got=f"a {type(value).__module__}.{type(value).__name__}",
        expected="a path, a pandas, Polars or Arrow table, {column: values} or [{column: value}, …]",
    )


def plain(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Note]]:
    """Make columns simple: files as ``{bytes, path}`` become their bytes, other structs one column a field, categories text."""
    notes: list[Note] = []
    while structs := [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Struct)]:
        for name in structs:
            fields = {field.name: field.dtype for field in frame.schema[name].fields}  # type: ignore[attr-defined]
            if fields.get("bytes") == pl.Binary and set(fields) <= {"bytes", "path"}:
                frame = frame.with_columns(pl.col(name).struct.field("bytes").alias(name))
                notes.append(Note("struct", f"{name}: the files' bytes taken from {{bytes, path}}", frame.height, name))
                continue
            parts = frame.get_column(name).struct.unnest()
            parts.columns = [f"{name}.{part}" for part in parts.columns]
            at = frame.get_column_index(name)
            frame = pl.DataFrame([*frame.get_columns()[:at], *parts.get_columns(), *frame.get_columns()[at + 1 :]])
            notes.append(Note("nested", f"{name}: nested fields became columns {', '.join(parts.columns)}", frame.height, name))
    texts = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Categorical | pl.Enum)]
    return frame.with_columns(pl.col(texts).cast(pl.String)), notes


def _of_pandas(value: Any, where: str) -> tuple[pl.DataFrame, list[Note]]:
    """Convert column by column, so that pyarrow is not needed."""
    notes: list[Note] = []
    names = _names([str(name) for name in value.columns], where)
    index = value.index
    if type(index).__name__ != "RangeIndex":
        label = ", ".join(str(name) for name in index.names if name is not None) or "unnamed"
        notes.append(Note("index", f"the index ({label}) is not a column and was left out; use frame.reset_index() to keep it"))
    columns: list[pl.Series] = []
    for at, name in enumerate(names):
        column = value.iloc[:, at]
        if getattr(column.dtype, "kind", "O") in "biuf" and type(column.dtype).__module__.startswith("numpy"):
            columns.append(pl.Series(name, column.to_numpy(), nan_to_null=True))
        elif getattr(column.dtype, "kind", "O") == "M" and type(column.dtype).__module__.startswith("numpy"):
            columns.append(pl.Series(name, column.to_numpy().astype("datetime64[us]")))
        else:
            missing = column.isna().to_numpy()
            cells = [None if gone else cell for cell, gone in zip(column.astype(object).tolist(), missing, strict=True)]
            series, note = _series(name, cells, where)
            columns.append(series)
            notes += note
    return pl.DataFrame(columns), notes


def of_columns(value: Mapping[Any, Any], where: str) -> tuple[pl.DataFrame, list[Note]]:
    """Return the frame of ``{column: values}``.

    Raises:
        DataError: The columns are unequally long (E210), or a value is not a column (E223).
    """
    names = _names([str(name) for name in value], where)
    columns: list[pl.Series] = []
    notes: list[Note] = []
    for name, cells in zip(names, value.values(), strict=True):
        if isinstance(cells, str | bytes | Mapping) or not isinstance(cells, Iterable):
            raise DataError(
                "E223",
                "not a column of values",
                where=f"{where}: {name}",
                got=repr(cells)[:60],
                fix=f"{{{name!r}: [{cells!r}]}}"[:80],
            )
        if isinstance(cells, pl.Series) or type(cells).__module__.partition(".")[0] == "numpy":
            columns.append(pl.Series(name, cells, nan_to_null=True) if not isinstance(cells, pl.Series) else cells.alias(name))
            continue
        series, note = _series(name, list(cells), where)
        columns.append(series)
        notes += note
    lengths = {column.name: len(column) for column in columns}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "E210", "the columns are not equally long", where=where, got=", ".join(f"{k}: {v}" for k, v in lengths.items())
        )
    frame, more = plain(pl.DataFrame(columns))
    return frame, notes + more


def of_records(rows: Sequence[Mapping[str, Any]], where: str) -> tuple[pl.DataFrame, list[Note]]:
    """Return the frame of records; a key that a record lacks is missing, nested objects become columns ``outer.inner``.

    Spans of characters are told by their form; see :mod:`deepwright.spans`.

    Raises:
        DataError: A value is a list of objects, which no column holds (E224), or some values of a column are spans (E227).
    """
    columns: dict[str, list[Any]] = {}
    nested: set[str] = set()
    marked = named_spans(rows, where)
    for number, row in enumerate(rows):
        for key, cell in _flat({key: None if key in marked else cell for key, cell in row.items()}, nested):
            cells = columns.setdefault(str(key), [])
            cells.extend([None] * (number - len(cells)))
            cells.append(cell)
        if len(columns) > _MOST_COLUMNS:
            fix = "write one record a row with a fixed set of keys"
            raise DataError("E224", f"the records have more than {_MOST_COLUMNS:,} different keys", where=where, got=key, fix=fix)
    for key, cells in list(columns.items()):
        cells.extend([None] * (len(rows) - len(cells)))
        if key in nested and not any(cells):  # an object in other rows, null or {} in these
            del columns[key]
    frame, notes = of_columns(columns | marked, where)
    notes = [Note("nested", f"{key}: nested fields became columns {key}.…", len(rows), key) for key in sorted(nested)] + notes
    return frame, notes


def as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the values of a column as texts that are equal where the values are; lists are joined."""
    if not isinstance(dtype, pl.List):
        return pl.col(name).cast(pl.String)
    inner = pl.element()
    if isinstance(dtype.inner, pl.List):
        inner = inner.list.eval(pl.element().cast(pl.String).fill_null("")).list.join("\x1e")
    return pl.col(name).list.eval(inner.cast(pl.String).fill_null("")).list.join("\x1f")


class RepeatedKeyError(ValueError):
    """A key stands twice in an object of JSON."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object as a dictionary, for ``object_pairs_hook``: no value is lost in silence.

    Raises:
        RepeatedKeyError: A key stands twice.
    """
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKeyError(repr(next(key for key in keys if keys.count(key) > 1)))
    return result


def _flat(row: Mapping[str, Any], nested: set[str], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, cell in row.items():
        name = f"{before}{key}"
        if isinstance(cell, Mapping) and cell:
            nested.add(name)
            yield from _flat(cell, nested, f"{name}.")
        else:
            yield name, cell


def _series(name: str, cells: list[Any], where: str) -> tuple[pl.Series, list[Note]]:
    """Return the column of Python values; values of mixed kinds become text, and a note says so.

    Raises:
        DataError: A text holds half a character, as JSON can (E207).
    """
    try:
        return _typed(name, cells, where)
    except UnicodeEncodeError as error:
        broken = (row for row, cell in enumerate(cells, 1) if _is_broken(cell))
        raise DataError(
            "E207",
            "a text holds half a character: a surrogate without its other half",
            where=f"{where}: column {name.encode(errors='replace').decode()}, row {next(broken, '?')}",
            got=ascii(error.object[max(0, error.start - 20) : error.end + 20]),
            expected="whole characters",
            fix=r"write the character whole, or \ufffd in its place",
        ) from None


def _is_broken(cell: Any) -> bool:
    return "\\ud" in ascii(cell)


def _typed(name: str, cells: list[Any], where: str) -> tuple[pl.Series, list[Note]]:
    cells = [cell.tolist() if getattr(cell, "ndim", 0) in (1, 2) else cell for cell in cells]
    if any(isinstance(cell, list | tuple) for cell in cells):
        return _lists(name, cells, where), []
    cells = [
        None if cell != cell else cell.item() if hasattr(cell, "item") and not getattr(cell, "shape", ()) else cell
        for cell in cells
    ]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float} or len(kinds) <= 1:
        try:
            column = pl.Series(name, cells, dtype=pl.Float64 if float in kinds else None, strict=False)
            if str(column.dtype) not in ("Int128", "UInt128"):
                return column, []
        except UnicodeEncodeError:
            raise
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
            pass  # integers beyond 64 bits and objects of unknown classes: as text
    texts = [cell if cell is None or isinstance(cell, str) else _text(cell) for cell in cells]
    shown = ", ".join(sorted(kind.__name__ for kind in kinds))
    return pl.Series(name, texts, dtype=pl.String), [
        Note("mixed", f"{name}: values of several kinds ({shown}) read as text", len(cells), name)
    ]


def _lists(name: str, cells: list[Any], where: str) -> pl.Series:
    if (numbers := _numbers(name, cells)) is not None:
        return numbers
    if (spans := listed_spans(name, cells, where)) is not None:
        return spans
    bad = [
        i
        for i, cell in enumerate(cells)
        if isinstance(cell, list | tuple) and any(isinstance(x, list | tuple | Mapping) for x in cell)
    ]
    if bad:
        raise DataError.of(
            Problem(
                "E224", "a list of lists or objects is no value of a column", f"{where}: {name}, row {i + 1}", str(cells[i])[:60]
            )
            for i in bad[:10]
        )
    rows = [
        None if cell is None else [_text(x) for x in (cell if isinstance(cell, list | tuple) else [cell]) if x is not None]
        for cell in cells
    ]
    return pl.Series(name, rows, dtype=pl.List(pl.String))


def _numbers(name: str, cells: list[Any]) -> pl.Series | None:
    """Return lists of numbers, or of lists of numbers, as such; nothing if there is anything else among them."""

    def plain(values: Any) -> bool:
        return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)

    rows = [cell for cell in cells if cell is not None]
    if not all(isinstance(row, list | tuple) for row in rows):
        return None
    places = [place for row in rows for place in row if place is not None]
    if not places:
        return None
    if plain(places):
        whole = all(isinstance(place, int) for place in places)
        kind: pl.DataType = pl.List(pl.Int64() if whole else pl.Float64())
    elif all(isinstance(place, list | tuple) and plain(place) for place in places):
        kind = pl.List(pl.List(pl.Float64()))
    else:
        return None
    try:
        return pl.Series(name, cells, dtype=kind, strict=False)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return None  # integers beyond 64 bits


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=str).strip('"')


def _names(names: list[str], where: str) -> list[str]:
    check_names(names, where=where, fix="rename the columns")
    return names


def check_names(names: Sequence[str], *, where: str, fix: str) -> None:
    """Refuse column names that are blank or given twice.

    Raises:
        DataError: E210, one problem a name.
    """
    problems: list[Problem] = []
    for name in dict.fromkeys(names):
        places = [i + 1 for i, other in enumerate(names) if other == name]
        shown = ", ".join(map(str, places[:10]))
        if not name.strip():
            problems.append(
                Problem("E210", f"{len(places)} columns have no name", where, f"blank names of columns {shown}", fix=fix)
            )
        elif len(places) > 1:
            problems.append(
                Problem("E210", f"the name {name!r} is given to {len(places)} columns", where, f"columns {shown}", fix=fix)
            )
    if problems:
        raise DataError.of(problems)
