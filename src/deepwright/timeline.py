"""Rows in order of time: what is found wrong with their times, and the step from one to the next (floor 2).

:func:`arranged` is for training and prediction alike: rows are put in order, series of the long form side by side, and what is
missing between two rows of a regular step becomes rows without values, so that a row is always one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError, RecipeError
from deepwright.kinds import infer
from deepwright.recipe import SPAN, Data
from deepwright.table import Note, Table, cast

MOST_SERIES = 10_000
"""Series of the long form at most: each becomes columns of its own."""
_MOST_GAPS = 10
"""Rows without values are put in for at most so many times as many rows as there are."""
_UNITS = {"minute": "m", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y"}
_STEPS = ((604_800_000_000, "w"), (86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"))
_SEASONS = {"1mo": 12, "3mo": 4, "1y": 1, "1w": 52, "1d": 7, "1h": 24}


@dataclass(frozen=True)
class Timeline:
    """Rows in order of time.

    Args:
        table: The rows, one for each time, with the time's column first.
        time: Its name.
        step: The time from one row to the next: a duration such as ``1h``, ``15m`` or ``1mo``, ``1mo_end`` for ends of months, a
            number for times that are numbers; empty if times are irregular.
    """

    table: Table
    time: str
    step: str


def arranged(table: Table, data: Data, step: str | None = None) -> Timeline:
    """Put rows in order of time, one for each time.

    Args:
        table: Tidy rows.
        data: The recipe's section, which names the time and, for the long form, the series.
        step: The step that is known already, of rows to be predicted from.

    Raises:
        RecipeError: A column does not exist (E107), or there are too many series (E106).
        DataError: Rows have no time, or two rows of one series the same (E234); or the rows are of another step (E235).
    """
    name = str(data.time)
    for key, column in (("time", data.time), ("series", data.series)):
        if column is not None and column not in table.columns:
            raise RecipeError("E107", f"there is no column {column!r}", where=f"data.{key}", got=", ".join(table.columns[:30]))
    times = _read(table, name)
    notes: list[Note] = []
    frame = table.frame.with_columns(times.alias(name))
    _expect_known(table, name, times, "time")
    keys = [name] if data.series is None else [name, data.series]
    if data.series is not None:
        _expect_known(table, data.series, frame[data.series], "series")
    frame, notes = _once(table, frame, keys)
    ordered = frame.sort(keys, maintain_order=True)
    if data.series is None and not frame[name].is_sorted():
        notes.append(Note("time", f"rows were not in order of {name}, and are put in it", len(frame), name))
    if data.series is not None:
        ordered = _side_by_side(ordered, name, data.series)
    found = _step(ordered[name])
    if step and found and len(ordered) > 2 and found != step and step != "1mo_end" != found:
        raise DataError(
            "E235",
            "the rows are of another step than those that were learnt from",
            where=f"{table.name}: column {name}",
            got=words(found),
            expected=words(step),
            fix="bring rows of that step",
        )
    step = step or found
    if not step and len(ordered) > 2:
        gaps = ordered[name].diff().drop_nulls().sort()
        text = f"times are irregular, from {gaps[0]} to {gaps[-1]} apart: rows are taken as they follow each other"
        notes.append(Note("time", text, len(ordered), name))
    elif step:
        ordered, more = _without_gaps(ordered, name, step)
        notes += more
    others = [column for column in ordered.columns if column != name]
    return Timeline(table.with_frame(ordered.select(name, *others), *notes), name, step)


def _read(table: Table, name: str) -> pl.Series:
    """Return times as Datetime("us"), or as Float64 if they are numbers."""
    column = table.frame[name]
    if column.dtype == pl.Null:
        return column.cast(pl.Datetime("us"))
    if not column.dtype.is_temporal() and infer(column, name).type != "date":
        numbers = column.cast(pl.Float64, strict=False)
        if numbers.null_count() == column.null_count():
            return numbers.fill_nan(None)
    return cast(column, "date", where=f"{table.name}: column {name}")[0]


def _expect_known(table: Table, name: str, column: pl.Series, what: str) -> None:
    lost = column.is_null().arg_true()
    if len(lost):
        shown = ", ".join(f"row {row + 1}" for row in lost.head(10).to_list())
        raise DataError(
            "E234",
            f"{len(lost):,} of {len(table):,} rows do not tell their {what}",
            where=f"{table.name}: column {name}",
            got=shown + (", …" if len(lost) > 10 else ""),
            expected="a value in every row",
            fix="fill it in, or remove these rows",
        )


def _once(table: Table, frame: pl.DataFrame, keys: list[str]) -> tuple[pl.DataFrame, list[Note]]:
    """Leave out rows that repeat another one in every column, and refuse others of the same time."""
    twice = frame.select(keys).is_duplicated()
    if not twice.any():
        return frame, []
    once = frame.unique(keep="first", maintain_order=True)
    again = once.select(keys).is_duplicated()
    if again.any():
        rows = frame.with_row_index("row").filter(twice).sort([*keys, "row"]).head(10)
        shown = "; ".join(f"row {row['row'] + 1}: {' '.join(str(row[key]) for key in keys)}" for row in rows.iter_rows(named=True))
        fix = "remove all but one of them" + (
            "" if len(keys) > 1 else ", or name the column that tells series apart: data: {series: COLUMN}"
        )
        raise DataError(
            "E234",
            f"{int(again.sum()):,} rows have the time of another row" + (" of their series" if len(keys) > 1 else ""),
            where=f"{table.name}: column {keys[0]}",
            got=shown,
            expected="one row for each time",
            fix=fix,
        )
    count = len(frame) - len(once)
    return once, [Note("time", f"{count:,} rows that repeat another one are left out", count, keys[0])]


def _side_by_side(frame: pl.DataFrame, time: str, series: str) -> pl.DataFrame:
    """Return one row for each time; columns are ``COLUMN SERIES``, or ``SERIES`` where there is one column of values."""
    frame = frame.with_columns(pl.col(series).cast(pl.String))
    names = frame[series].unique().sort()
    if len(names) > MOST_SERIES:
        raise RecipeError(
            "E106", "too many series", where="data.series", got=f"{len(names):,}", expected=f"at most {MOST_SERIES:,}"
        )
    values = [column for column in frame.columns if column not in (time, series)]
    wide = frame.select(pl.col(time).unique().sort())
    for name in names:
        own = frame.filter(pl.col(series) == name).select(time, *values)
        own = own.rename({column: name if len(values) == 1 else f"{column} {name}" for column in values})
        wide = wide.join(own, on=time, how="left", maintain_order="left")
    return wide


def _step(times: pl.Series) -> str:
    """Return the step of sorted, distinct times, gaps aside; nothing if they have none."""
    if len(times) < 2:
        return ""
    if times.dtype == pl.Float64:
        gaps = np.diff(times.to_numpy())
        return f"{gaps.min():.12g}" if _multiples(gaps, gaps.min()) else ""
    gaps = np.diff(times.to_physical().to_numpy())
    months = times.dt.year().cast(pl.Int64) * 12 + times.dt.month()
    apart = np.diff(months.to_numpy())
    if apart.min() > 0 and gaps.min() >= 28 * 86_400_000_000 and _multiples(apart, apart.min()):
        # 365 days are a year, whatever February does.
        if times.dt.day().n_unique() == 1:
            return f"{apart.min()}mo"
        if (times.dt.month_end() == times).all():
            return f"{apart.min()}mo_end"
    least = int(gaps.min())
    if not _multiples(gaps, least):
        return ""
    return next((f"{least // unit}{sign}" for unit, sign in _STEPS if least % unit == 0 and sign != "w"), f"{least}us")


def _multiples(gaps: NDArray[Any], least: Any) -> bool:
    """Return whether most gaps are the least one, and all others multiples of it."""
    times = gaps / least
    return bool((np.abs(times - np.round(times)) < 1e-6).all()) and 2 * int((np.round(times) == 1).sum()) >= len(gaps)


def _without_gaps(frame: pl.DataFrame, name: str, step: str) -> tuple[pl.DataFrame, list[Note]]:
    """Put rows without values in where some are missing."""
    if len(frame) < 2:
        return frame, []
    first, last = frame[name][0], frame[name][-1]
    if frame[name].dtype == pl.Float64:
        size = float(step)
        count = round((last - first) / size) + 1
        every = pl.Series(name, first + size * np.arange(count)) if count <= _MOST_GAPS * len(frame) else frame[name]
        if len(every) == len(frame):
            return frame, []
        # Compared as steps, which rounding does not change.
        place = np.round((frame[name].to_numpy() - first) / size).astype(np.int64)
        at = pl.DataFrame({"at": np.arange(count)})
        full = (
            at.join(frame.with_columns(at=pl.Series(place)), on="at", how="left", maintain_order="left")
            .with_columns(every)
            .drop("at")
        )
    else:
        every = _range(first, last, name, step)
        if len(every) == len(frame) or len(every) > _MOST_GAPS * len(frame):
            return frame, []
        full = every.to_frame().join(frame, on=name, how="left", maintain_order="left")
        if full.join(frame, on=name, how="semi").height < len(frame):  # some do not lie on the steps
            return frame, []
    count = len(full) - len(frame)
    return full, [Note("time", f"{count:,} times are missing between the others: rows without values stand for them", count, name)]


def _range(first: Any, last: Any, name: str, step: str) -> pl.Series:
    ends = step.endswith("_end")
    plain = step.removesuffix("_end")
    start = pl.lit(first).dt.month_start() if ends else pl.lit(first)
    every = pl.select(pl.datetime_range(start, pl.lit(last), plain, time_unit="us").alias(name)).to_series()
    return every.dt.month_end() if ends else every


def following(last: Any, step: str, count: int) -> pl.Series:
    """Return the ``count`` times behind ``last``; steps from 1 on where times are irregular."""
    ahead = np.arange(1, count + 1)
    if not step:
        return pl.Series(ahead)
    if isinstance(last, float):
        return pl.Series(last + float(step) * ahead)
    plain = step.removesuffix("_end")
    number, unit = int("".join(c for c in plain if c.isdigit())), "".join(c for c in plain if not c.isdigit())
    offsets = pl.Series([f"{number * int(each)}{unit}" for each in ahead])
    times = pl.select(pl.lit(last).dt.offset_by(pl.lit(offsets))).to_series().cast(pl.Datetime("us"))
    return times.dt.month_end() if step.endswith("_end") else times


def words(step: str) -> str:
    """Return a step as people say it."""
    names = {"us": "microsecond", "s": "second", "m": "minute", "h": "hour", "d": "day", "mo": "month"}
    plain = step.removesuffix("_end")
    number, unit = plain.rstrip("abcdefghijklmnopqrstuvwxyz"), plain.lstrip("0123456789.e+-")
    if unit not in names:
        return f"a step of {plain}" if plain else "irregular"
    return f"{number} {names[unit]}" + ("" if number == "1" else "s")


def season_of(step: str) -> int:
    """Return after how many rows most series of this step repeat: a day of hours or minutes, a week of days, a year of months."""
    plain = step.removesuffix("_end")
    if plain in _SEASONS:
        return _SEASONS[plain]
    digits = plain.rstrip("hmdo")
    if digits.isdigit() and plain[len(digits) :] in ("h", "m"):
        size = int(digits) * (60 if plain.endswith("h") else 1)
        return max(1, 1440 // size) if 1440 % size == 0 else 1
    return 52 if plain == "7d" else 1


def borders(times: pl.Series, step: str, spans: tuple[str | None, str | None, str | None]) -> tuple[int, int, int, int]:
    """Return where the training rows begin and where the three sides end, as row numbers.

    Args:
        times: Sorted and distinct.
        step: The time from one to the next.
        spans: How long the training, validation and test rows are; a side without one is empty, but training rows, which then are
            all that the others leave.

    Raises:
        RecipeError: Stretches of time need times that are dates (E106).
    """
    train, validation, test = spans
    if train is not None:
        ends = [_after(times, step, 0, train)]
        for span in (validation, test):
            ends.append(_after(times, step, ends[-1], span) if span is not None else ends[-1])
        return 0, ends[0], ends[1], ends[2]
    end = len(times)
    middle = _before(times, step, end, test) if test is not None else end
    start = _before(times, step, middle, validation) if validation is not None else middle
    return 0, start, middle, end


def _after(times: pl.Series, step: str, row: int, span: str) -> int:
    """Return the first row that is ``span`` or more behind ``row``, or the number of rows."""
    number, unit = _parts(span, times)
    if unit == "row":
        return min(len(times), row + number)
    if row >= len(times):
        return len(times)
    end = pl.select(pl.lit(times[row]).dt.offset_by(f"{number}{_UNITS[unit]}")).item()
    return int((times < end).sum())


def _before(times: pl.Series, step: str, row: int, span: str) -> int:
    """Return the first row that is less than ``span`` before ``row``."""
    number, unit = _parts(span, times)
    if unit == "row":
        return max(0, row - number)
    last = times[row] if row < len(times) else following(times[-1], step, 1)[0] if step else times[-1]
    begin = pl.select(pl.lit(last).dt.offset_by(f"-{number}{_UNITS[unit]}")).item()
    return int((times < begin).sum())


def _parts(span: str, times: pl.Series) -> tuple[int, str]:
    match = SPAN.fullmatch(span)
    number, unit = (int(match[1]), match[2]) if match else (0, "row")
    if unit != "row" and not times.dtype.is_temporal():
        raise RecipeError(
            "E106",
            "a split by stretches of time needs dates",
            where="data.split",
            got=f"{span}, of times that are numbers",
            fix="count rows: 500 rows",
        )
    return number, unit
