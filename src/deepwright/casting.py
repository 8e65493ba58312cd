"""From a column of any dtype to the dtype that a feature type works on; every loss is an error or a note (floor 2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import polars as pl

from deepwright.errors import DataError, Problem
from deepwright.facts import Dtype
from deepwright.frames import Note
from deepwright.spans import ANSWERS, as_answers, as_spans, is_spans

_TIMES = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "T%H:%M:%S%.f", "T%H:%M", "T%H:%M:%S%.f%z", " %H:%M:%S%.f%z")
_YEAR_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y年%m月%d日")
_DAY_OR_MONTH_FIRST = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y")
_NAMED_MONTH = ("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%b %Y", "%B %Y")
_FORMATS = (
    *(day + time for time in _TIMES for day in (*_YEAR_FIRST, *_DAY_OR_MONTH_FIRST)),
    *_NAMED_MONTH,
    "%Y-%m",
    "%Y/%m",
    "%m/%Y",
    "%Y",
)
_SAMPLE = 200
_EMPTY: dict[Dtype, pl.DataType] = {
    "number": pl.Float64(),
    "text": pl.String(),
    "date": pl.Datetime("us"),
    "image": pl.Binary(),
    "mask": pl.Binary(),
    "tags": pl.List(pl.String()),
    "series": pl.List(pl.Float64()),
    "sound": pl.Binary(),
    "words": pl.String(),
    "labels": pl.List(pl.String()),
    "answer": ANSWERS,
    "numbers": pl.Array(pl.Float64(), 1),
}
"""What a column without any value becomes."""


def cast(
    column: pl.Series, dtype: Dtype, *, where: str, on_error: Literal["raise", "missing"] = "raise"
) -> tuple[pl.Series, Note | None]:
    """Cast a column to what a feature type works on; nulls stay nulls.

    * ``number``: Float64. Texts are read with a point as the decimal sign; NaN is missing; infinite values and those beyond
      Float64 are refused.
    * ``text``: String; integral numbers without a decimal point (``3``), truth values as ``true`` and ``false``.
    * ``date``: Datetime("us"), in UTC if the values tell a zone. One format serves the whole column, the one that reads all
      values; where day-first and month-first both do, and differ, the column is refused as ambiguous.
    * ``image``: Binary (a file's bytes), String (its path) or Array(UInt8) of (H, W) or (H, W, C) pixels, unchanged.
    * ``mask``: as ``image``; arrays may be of any integers, or of truth values.
    * ``tags``: List(String); texts are split at ``|``, ``;`` or ``,``, whichever the column uses.
    * ``series``: List(Float64), or List(List(Float64)) of places and their channels; texts are split at blanks, ``,`` or ``;``;
      infinite numbers are refused.
    * ``words``: String, or List(String) where tokens are given.
    * ``labels``: String or List(String), or spans of characters (:data:`deepwright.spans.SPANS`).
    * ``answer``: :data:`deepwright.spans.ANSWERS`, from texts, lists of texts, or lists of texts with their starts.
    * ``numbers``: several columns of numbers, each cast as ``number`` before they are put side by side, unchanged.
    * ``sound``: Binary (a file's bytes) or String (its path), unchanged.

    Args:
        column: The column, tidy (see :func:`deepwright.table.tidy`).
        dtype: What it shall become.
        where: What messages call it, such as ``"adult.csv: column age"``.
        on_error: ``missing`` makes values that cannot be cast missing, and says how many.

    Raises:
        DataError: With the first ten rows that cannot be cast (E220), are out of range (E221), or are no dates of one
            format (E222).
    """
    if column.dtype == pl.Null:
        return column.cast(_EMPTY[dtype]), None
    return _CASTS[dtype](column, where, on_error == "missing")


def _number(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean)):
        raise _wrong_dtype(column, "number", where)
    numbers = column.str.strip_chars().cast(pl.Float64, strict=False) if column.dtype == pl.String else column.cast(pl.Float64)
    unread = column.is_not_null() & numbers.is_null()
    words = int(numbers.is_nan().sum()) if column.dtype == pl.String else 0
    infinite = numbers.is_infinite().fill_null(False)
    problems = []
    if unread.any():
        problems.append(
            _bad_rows("E220", "not numbers", column, unread, where, fix=_number_fix(column.filter(unread), column.name))
        )
    if infinite.any():
        fix = f"data: {{clean: {{{column.name}: {{convert: number, on_error: missing}}}}}}"
        problems.append(_bad_rows("E221", "infinite or beyond ±1.8e308", column, infinite, where, fix=fix))
    if problems and not lenient:
        raise DataError.of(problems)
    bad = int((unread | infinite).sum()) + words
    kept = pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series().alias(column.name)
    return kept, _lost(column, bad, "a number")


def _number_fix(bad: pl.Series, name: str) -> str:
    """Return the clean rule that fits the values: signs around numbers are stripped, else they become missing."""
    values = bad.head(_SAMPLE).to_list()
    around = sorted({sign for value in values for sign in re.sub(r"[\w.,+\-\s]", "", value)})
    core = [value.strip("".join(around) + " ") for value in values]
    if around and all(re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", value) for value in core):
        return f"data: {{clean: {{{name}: {{strip: {''.join(around)!r}}}}}}}"
    if all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", value) for value in core):
        return "write the numbers without thousands separators, or declare the column a category"
    if all(re.fullmatch(r"[+-]?\d*,\d+", value) for value in core):
        return "data: {source: {type: csv, path: …, decimal: ','}}"
    return f"data: {{clean: {{{name}: {{convert: number, on_error: missing}}}}}}, or declare the column a category or a text"


def _text(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    del lenient  # everything that is a text at all can be one
    if column.dtype == pl.String:
        return column, None
    if column.dtype.is_float():
        whole = (column == column.round()) & (column.abs() < 2**53)
        integral = column.cast(pl.Int64, strict=False).cast(pl.String)
        known = column.is_not_nan()
        chosen = pl.when(~known).then(None).when(whole).then(integral).otherwise(column.cast(pl.String))
        return pl.select(chosen).to_series().alias(column.name), None
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise _wrong_dtype(column, "text", where)
    return column.cast(pl.String), None


def _words(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    if isinstance(column.dtype, pl.List | pl.Array) and not column.dtype.inner.is_nested():
        return column.cast(pl.List(pl.String)), None
    return _text(column, where, lenient)


def _labels(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    if is_spans(column.dtype):
        return as_spans(column), None
    return _words(column, where, lenient)


def _answer(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    found = as_answers(column if column.dtype.is_nested() else _text(column, where, lenient)[0])
    if found is None:
        raise _wrong_dtype(column, "answers", where)
    return found, None


def _date(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("us")), None
    if isinstance(column.dtype, pl.Datetime):
        zone = column.dtype.time_zone
        if zone is None:
            return column.cast(pl.Datetime("us")), None
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))
        return utc, Note("cast", f"{column.name}: times of {zone} turned into UTC", len(column), column.name)
    if not (column.dtype.is_integer() or column.dtype == pl.String):
        raise _wrong_dtype(column, "date", where)
    texts = column.cast(pl.String).str.strip_chars()
    known = texts.drop_nulls()
    if known.is_empty():
        return texts.cast(pl.Datetime("us")), None
    formats = date_formats(known)
    if not formats:
        everything = texts.is_not_null()
        fix = (
            f"data: {{clean: {{{column.name}: {{convert: date, on_error: missing}}}}}}, or declare the column a category or a text"
        )
        if lenient:
            return pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us")), _lost(column, len(known), "a date")
        raise DataError.of([_bad_rows("E222", "not dates of any known format", column, everything, where, fix=fix)])
    read = [(form, parse_dates(texts, form)) for form in formats]
    fewest = min(dates.null_count() for _, dates in read)
    best = [(form, dates) for form, dates in read if dates.null_count() == fewest]
    form, dates = best[0]
    rivals = [other for other, values in best[1:] if not values.equals(dates, null_equal=True)]
    unread = texts.is_not_null() & dates.is_null()
    if rivals:
        raise DataError(
            "E222",
            f"the dates read as {form} and as {rivals[0]} alike, with different results",
            where=where,
            got=", ".join(repr(value) for value in known.unique(maintain_order=True).head(3)),
            fix="write them as YYYY-MM-DD",
        )
    if unread.any() and not lenient:
        fix = f"data: {{clean: {{{column.name}: {{convert: date, on_error: missing}}}}}}"
        raise DataError.of(
            [_bad_rows("E222", f"not dates of the format {form}, which the others have", column, unread, where, fix=fix)]
        )
    return dates.alias(column.name), _lost(column, int(unread.sum()), "a date")


def date_formats(known: pl.Series) -> list[str]:
    """Return the formats that read most of a sample of texts without nulls (more than half), equally good ones together."""
    sample = known.unique(maintain_order=True)
    sample = sample.gather_every(max(1, len(sample) // _SAMPLE))
    counts = {form: len(sample) - parse_dates(sample, form).null_count() for form in _plausible(sample)}
    most = max(counts.values(), default=0)
    # the sample may miss the one value that tells day from month, so that near rivals are kept for the whole column to decide
    return [form for form, count in counts.items() if count > len(sample) / 2 and count >= 0.9 * most]


def _plausible(sample: pl.Series) -> list[str]:
    """Return the formats whose literal signs occur in the first texts, which spares most of the parsing."""
    text = " ".join(sample.head(20).to_list())
    if not re.search(r"\d", text):
        return []
    signs = {sign for sign in "-/.: T年" if sign in text.strip()}
    return [form for form in _FORMATS if all(sign in signs for sign in set(re.sub(r"%[.]?\w|[,月日]", "", form)) & set("-/.:T年"))]


def parse_dates(texts: pl.Series, form: str) -> pl.Series:
    """Read texts in one format as Datetime("us"), in UTC if the format holds a zone; null where a text does not fit.

    Years before 1000 are refused: ``01/02/20`` is not the year 20.
    """
    if form.endswith("%z"):
        texts = texts.str.replace(r"[zZ]$", "+0000")
    dates = texts.str.strptime(pl.Datetime("us"), form, strict=False)
    if form.endswith("%z"):
        dates = dates.dt.replace_time_zone(None)
    if re.fullmatch(r"%Y(%m%d)?( .*|T.*)?", form):  # digits alone: of the full length only, since numbers look alike
        dates = pl.select(pl.when(texts.str.len_chars() >= (8 if "%m" in form else 4)).then(dates)).to_series()
    return pl.select(pl.when(dates.dt.year() >= 1000).then(dates)).to_series()


def _image(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    del lenient
    dtype = column.dtype
    if dtype in (pl.Binary, pl.String):
        return column, None
    if isinstance(dtype, pl.Array) and len(dtype.shape) in (2, 3):
        pixel: object = dtype
        while isinstance(pixel, pl.Array):
            pixel = pixel.inner
        if pixel == pl.UInt8:
            return column, None
    raise _wrong_dtype(column, "image", where)


def _mask(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    del lenient
    dtype = column.dtype
    if dtype in (pl.Binary, pl.String):
        return column, None
    if isinstance(dtype, pl.Array) and len(dtype.shape) in (2, 3):
        pixel: object = dtype
        while isinstance(pixel, pl.Array):
            pixel = pixel.inner
        if isinstance(pixel, pl.DataType) and (pixel.is_integer() or pixel == pl.Boolean):
            return column, None
    raise _wrong_dtype(column, "mask", where)


def nesting(dtype: pl.DataType) -> tuple[int, pl.DataType]:
    """Return how many lists a type is nested in, and the type of the innermost values."""
    depth = 0
    while isinstance(dtype, pl.List | pl.Array):
        depth, dtype = depth + 1, dtype.inner  # type: ignore[assignment]
    return depth, dtype


def _sound(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    del lenient
    if column.dtype in (pl.Binary, pl.String):
        return column, None
    raise _wrong_dtype(column, "sound", where)


def _series(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    depth, value = nesting(column.dtype)
    if depth in (1, 2) and (value.is_numeric() or value == pl.Null):
        lists = column.cast(pl.List(pl.Float64) if depth == 1 else pl.List(pl.List(pl.Float64)))
        unread = pl.repeat(False, len(column), eager=True)
    elif column.dtype == pl.String:
        texts = column.str.strip_chars("[]() \t\r\n").str.replace_all(r"[\s,;]+", " ")
        pieces = texts.str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
        lists = pieces.list.eval(pl.element().cast(pl.Float64, strict=False))
        # Words for a missing value are one; anything else that is no number is an error.
        words = pieces.list.eval(pl.element().str.to_lowercase().is_in(["nan", "na", "null", "none", "?"]))
        unread = (lists.list.eval(pl.element().is_null()).list.sum() > words.list.sum()).fill_null(False)
    else:
        raise _wrong_dtype(column, "series", where)
    endless = pl.element().is_infinite()
    of_places = endless if depth < 2 else pl.element().list.eval(endless).list.any()
    infinite = lists.list.eval(of_places).list.any().fill_null(False)
    fix = f"data: {{clean: {{{column.name}: {{on_error: missing}}}}}}"
    problems = [
        _bad_rows(code, what, column, bad, where, fix=fix)
        for code, what, bad in (("E220", "not series of numbers", unread), ("E221", "series with infinite numbers", infinite))
        if bad.any()
    ]
    if problems and not lenient:
        raise DataError.of(problems)
    bad = unread | infinite
    kept = pl.select(pl.when(~bad).then(lists)).to_series().alias(column.name)
    return kept, _lost(column, int(bad.sum()), "series of finite numbers")


def _tags(column: pl.Series, where: str, lenient: bool) -> tuple[pl.Series, Note | None]:
    if isinstance(column.dtype, pl.List | pl.Array):
        return column.cast(pl.List(pl.String)), None
    texts, note = _text(column, where, lenient)
    sign = tag_sign(texts)
    told = Note("tags", f"{column.name}: split at {sign!r}", len(column), column.name)
    return split_tags(texts, sign), told if sign else note


def split_tags(texts: pl.Series, sign: str) -> pl.Series:
    """Return the tags of each text, List(String), each once and without blanks around it; without a sign a text is one tag."""
    lists = texts.str.split(sign) if sign else texts.str.split("\0")
    clean = lists.list.eval(pl.element().str.strip_chars())
    return clean.list.eval(pl.element().filter(pl.element() != "")).list.unique(maintain_order=True).alias(texts.name)


def tag_sign(texts: pl.Series) -> str:
    """Return the sign that separates the tags of a text column: the most frequent of ``|``, ``;`` and ``,``; or nothing."""
    counts = {sign: int(texts.str.contains(sign, literal=True).sum() or 0) for sign in "|;,"}
    sign = max(counts, key=lambda key: counts[key])
    return sign if counts[sign] else ""


def _bad_rows(code: str, what: str, column: pl.Series, bad: pl.Series, where: str, *, fix: str) -> Problem:
    rows = bad.arg_true()
    shown = ", ".join(f"row {row + 1}: {str(column[row])[:40]!r}" for row in rows.head(10).to_list())
    more = f", … {len(rows) - 10:,} more" if len(rows) > 10 else ""
    return Problem(code, f"{len(rows):,} of {len(column):,} values are {what}", where, shown + more, fix=fix)


def _wrong_dtype(column: pl.Series, wanted: str, where: str) -> DataError:
    return DataError(
        "E220", f"values of the type {column.dtype} cannot be made {wanted}", where=where, fix="declare another type for the column"
    )


def _lost(column: pl.Series, count: int, what: str) -> Note | None:
    return Note("cast", f"{column.name}: {count:,} values are not {what} and became missing", count, column.name) if count else None


_CASTS: dict[Dtype, Callable[[pl.Series, str, bool], tuple[pl.Series, Note | None]]] = {
    "number": _number,
    "text": _text,
    "date": _date,
    "image": _image,
    "mask": _mask,
    "tags": _tags,
    "series": _series,
    "sound": _sound,
    "words": _words,
    "labels": _labels,
    "answer": _answer,
    "numbers": lambda column, where, lenient: (column, None),
}
