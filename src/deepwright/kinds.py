"""What the columns are: a feature type each, and why (floor 2, above the table)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from deepwright import masks
from deepwright.casting import date_formats, nesting, parse_dates, tag_sign
from deepwright.errors import DataError
from deepwright.files import PICTURES, SOUNDS
from deepwright.media import is_sound, rooted
from deepwright.spans import is_spans
from deepwright.table import Table

FEW_CLASSES = 20
"""A number target of at most this many distinct integers is taken for classes."""

_IDENTIFIER = re.compile(r"(^|[_\s.-])(?i:id|uuid|guid|key|index)$|[a-z](Id|ID)$")
_REFERENCE = re.compile(r"(^|[_\s.-])(?i:id)$|[a-z](Id|ID)$|^(?i:user|item|customer|product|movie|book)id$")
"""Names of columns whose integers name something else, as users and items of ratings: how large they are says nothing."""
_LEADING_ZERO = r"^0\d+$"
_PROSE = re.compile(
    r"(?<![a-z])(text|review|comment|sentence|message|content|question|answer|headline|utterance|feedback|tweet)s?(?![a-z])"
    r"|文本|评论|评价|内容|正文|标题|留言|句子|问题|回答|消息|反馈",
    re.IGNORECASE,
)
_CHINESE = r"[\x{3040}-\x{30ff}\x{4e00}-\x{9fff}\x{ac00}-\x{d7af}]"
_MOSTLY = 0.98
_MASK = re.compile(r"(^|[_\s.-])(?i:masks?|segmentations?)$")
_LOOKED_AT = 12
_MOST_CLASSES = 40


@dataclass(frozen=True)
class Kind:
    """What a column is.

    Args:
        type: A feature type (``number``, ``category``, ``binary``, ``date``, ``image``, ``mask``, ``sound``, ``text``, ``tags``,
            ``series``), or what is no input: ``constant``, ``identifier``, ``empty`` or ``labels``.
        why: Why, in a few words.
        note: What deserves attention, and what to do about it.
        usual: What the column usually is as an input, as a recipe declares it, where more than its type is to be told.
    """

    type: str
    why: str
    note: str = ""
    usual: Mapping[str, object] | None = None

    @property
    def usable(self) -> bool:
        """Whether the type is a feature type, so that the column can be an input."""
        return self.type not in ("constant", "identifier", "empty", "labels")


def infer_all(table: Table) -> dict[str, Kind]:
    """Return the kind of every column of a tidy table, as inputs; of several columns of pictures, those of few values are masks."""
    found = {column.name: infer(column, column.name) for column in table.frame.get_columns()}
    pictures = [name for name, kind in found.items() if kind.type == "image"]
    beside = {name: _mask(table.frame[name], table.base) for name in pictures} if len(pictures) > 1 else {}
    if not all(beside.values()):
        found |= {name: kind for name, kind in beside.items() if kind is not None}
    return found


def infer(column: pl.Series, name: str) -> Kind:
    """Tell what an input column is.

    Args:
        column: The column, tidy: blanks stripped, missing values null (see :func:`deepwright.table.tidy`).
        name: Its name, which tells identifiers.
    """
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    known = column.drop_nulls()
    if column.dtype.is_float():
        known = known.drop_nans()
    if known.is_empty():
        return Kind("empty", "no value at all")
    if kind := _by_dtype(column):
        return kind
    distinct = known.n_unique()
    if distinct == 1:
        if len(known) == len(column):
            return Kind("constant", f"{known[0]!r} in every row")
        return Kind("category", f"{known[0]!r} or missing")
    if column.dtype == pl.Boolean:
        return Kind("binary", "true and false")
    if column.dtype.is_numeric():
        return _number(known.cast(pl.Float64), distinct, name)
    return _text(known.cast(pl.String), distinct, name)


def infer_target(column: pl.Series, name: str, base: str = "") -> Kind:
    """Tell what an output column is: ``binary``, ``category``, ``number``, ``tags`` and so on.

    A number of few distinct integers (at most :data:`FEW_CLASSES`, each five times on average) is taken for classes; texts are
    classes however many they are; pictures of few values are masks.

    Args:
        column: The column, tidy.
        name: Its name.
        base: The folder that paths of files are relative to.
    """
    kind = infer(column, name)
    if kind.type == "image":
        return _mask(column, base) or kind
    known = column.drop_nulls()
    if kind.type == "number":
        values = known.str.strip_chars().cast(pl.Float64, strict=False) if known.dtype == pl.String else known.cast(pl.Float64)
        distinct = values.n_unique()
        if distinct <= FEW_CLASSES and len(values) >= 5 * distinct and (values == values.round()).all():
            note = "if the order or the distance of the values matters, declare number"
            return Kind("category", f"{distinct} distinct integers among {len(values):,} rows", note)
    if kind.type == "identifier" and known.dtype.is_numeric():
        return Kind("number", "a target of numbers, though every row has another", kind.note)
    if kind.type in ("text", "identifier"):
        distinct = known.n_unique()
        note = f"{distinct:,} classes for {len(known):,} rows: is this the target?" if distinct > len(known) / 2 else kind.note
        return Kind("category", f"{distinct:,} distinct texts", note)
    return kind


def _by_dtype(column: pl.Series) -> Kind | None:
    dtype = column.dtype
    if dtype == pl.Binary:
        first = next((bytes(value[:12]) for value in column if value is not None), b"")
        return Kind("sound", "sounds' bytes") if is_sound(first) else Kind("image", "pictures' bytes")
    if is_spans(dtype):
        return Kind("labels", "spans of characters")
    if kind := _series(column):
        return kind
    if isinstance(dtype, pl.Array) and len(dtype.shape) in (2, 3):
        return Kind("image", f"pixels, {' × '.join(map(str, dtype.shape))}")
    if isinstance(dtype, pl.List | pl.Array):
        return Kind("tags", "lists of values")
    if dtype.is_temporal() and dtype != pl.Duration:
        return Kind("date", f"typed {dtype}") if dtype != pl.Time else Kind("category", "times of day")
    return None


def _series(column: pl.Series) -> Kind | None:
    """Tell lists of numbers, or of places that are lists of their channels' numbers, from lists of texts and from pixels."""
    depth, value = nesting(column.dtype)
    if depth not in (1, 2) or not value.is_numeric() or (depth == 2 and value == pl.UInt8):
        return None
    known = column.drop_nulls()
    lists = known.cast(pl.List(known.dtype.inner))  # type: ignore[attr-defined]
    counts = lists.list.len()
    low, high = int(counts.min() or 0), int(counts.max() or 0)  # type: ignore[arg-type]
    shown = f"{low:,} to {high:,} places" if low < high else f"{low:,} place{'s' if low != 1 else ''}"
    if depth == 1:
        return Kind("series", shown)
    inner = lists.filter(counts > 0).explode().drop_nulls()
    channels = int(inner.cast(pl.List(value)).list.len().max() or 0)  # type: ignore[arg-type]
    return Kind("series", f"{shown} of {channels:,} channels")


def _number(known: pl.Series, distinct: int, name: str) -> Kind:
    """Tell a number column (Float64, no nulls): two values are binary, a running number is an identifier."""
    count = len(known)
    if distinct == 2:
        return Kind("binary", "two distinct numbers")
    whole = bool((known.is_finite() & (known == known.round())).all())
    if whole and distinct == count and count >= 10:
        span = float(known.max() or 0) - float(known.min() or 0)  # type: ignore[arg-type]
        running = span == count - 1 and bool((known.diff().drop_nulls().abs() == 1).all())
        if running or _IDENTIFIER.search(name):
            why = "counts the rows" if running else "another integer in every row, and named like an identifier"
            return Kind("identifier", why, "left out unless declared")
    if whole and distinct < count and _REFERENCE.search(name):
        return Kind("category", f"{distinct:,} distinct integers that recur, named like identifiers")
    return Kind("number", f"{distinct:,} distinct {'integers' if whole else 'numbers'} among {count:,} rows")


def _text(known: pl.Series, distinct: int, name: str) -> Kind:
    """Tell a text column (no nulls, at least two distinct values)."""
    known = known.str.strip_chars()
    count = len(known)
    numbers = known.cast(pl.Float64, strict=False)
    readable = count - numbers.null_count()
    if readable == count:
        if known.str.contains(_LEADING_ZERO).any() and not known.str.contains(r"[.eE]").any():
            if distinct == count and count >= 20:
                return Kind("identifier", "codes with leading zeros, another in every row", "left out unless declared")
            return Kind("category" if distinct > 2 else "binary", f"{distinct:,} codes with leading zeros")
        if kind := _compact_date(known, name):
            return kind
        return _number(numbers, distinct, name)
    note = _not_numbers(known, numbers, name) if readable > count / 2 else ""
    if distinct == 2 and not (count == 2 and _files(known)):
        return Kind("binary", "two distinct texts", note)
    if not note:
        for kind in (_date(known), _files(known), _numbers(known), _tags(known)):
            if kind:
                return kind
    return _words(known, distinct, name, note)


def _not_numbers(known: pl.Series, numbers: pl.Series, name: str) -> str:
    wrong = known.filter(numbers.is_null())
    shown = ", ".join(repr(value[:20]) for value in wrong.unique(maintain_order=True).head(3).to_list())
    fix = f"data: {{clean: {{{name}: {{convert: number, on_error: missing}}}}}}"
    return f"{len(wrong):,} of {len(known):,} values are not numbers: {shown}; if they are missing values, {fix}"


def _date(known: pl.Series) -> Kind | None:
    formats = date_formats(known)
    if not formats:
        return None
    shares = {form: 1 - parse_dates(known, form).null_count() / len(known) for form in formats}
    form = max(shares, key=lambda key: shares[key])
    if shares[form] < _MOSTLY:
        return None
    wrong = round((1 - shares[form]) * len(known))
    rivals = [other for other, share in shares.items() if share == shares[form] and other != form]
    note = f"{wrong:,} values are no dates" if wrong else ""
    if rivals and not parse_dates(known, rivals[0]).equals(parse_dates(known, form)):
        note = f"day and month cannot be told apart ({form} or {rivals[0]}); write YYYY-MM-DD"
    return Kind("date", f"{100 * shares[form]:.3g} % parse as dates {form.replace('%.f', '')}", note)


def _compact_date(known: pl.Series, name: str) -> Kind | None:
    """Digits alone are a date only if the name says so: 20240131 is a number like others."""
    if not re.search(r"date|day|datum|日期", name, re.IGNORECASE) or not known.str.contains(r"^(19|20)\d{6}$").all():
        return None
    return Kind("date", "parse as dates %Y%m%d, and named so") if not parse_dates(known, "%Y%m%d").null_count() else None


def _files(known: pl.Series) -> Kind | None:
    """Tell paths of pictures and of sounds by how they end."""
    known = _sample(known).str.to_lowercase()
    for kind, what, suffixes in (("image", "pictures", PICTURES), ("sound", "sounds", SOUNDS)):
        share = known.str.contains(rf"\.({'|'.join(sorted(end[1:] for end in suffixes))})$").mean()
        if isinstance(share, float) and share >= _MOSTLY:
            return Kind(kind, f"paths of {what}")
    return None


def _mask(column: pl.Series, base: str) -> Kind | None:
    """Tell pictures of few different values, of which some are looked at, or that are named as masks, from photographs."""
    if _MASK.search(column.name):
        return Kind("mask", "pictures, named as masks")
    known = column.drop_nulls()
    some = known.gather(sorted({i * (len(known) - 1) // (_LOOKED_AT - 1) for i in range(_LOOKED_AT)}))
    some = rooted(some, base)
    try:
        codes = sorted(masks.counted(some, colours=False))
    except DataError:
        return None
    if not 2 <= len(codes) <= _MOST_CLASSES:
        return None
    shown = ", ".join(masks.name_of(code) for code in codes[:6]) + (", …" if len(codes) > 6 else "")
    return Kind("mask", f"pictures of {len(codes)} values: {shown}")


def _numbers(known: pl.Series) -> Kind | None:
    """Lists of numbers written as text, ten of them or more on average: fewer are rather a date, a code or a place."""
    texts = _sample(known).str.strip_chars("[]() \t\r\n")
    share = texts.str.contains(r"^[-+.\deE]+([\s,;]+([-+.\deE]+|\?|(?i:nan|null)))*$").mean()
    places = texts.str.count_matches(r"[\s,;]+").mean()
    if not isinstance(share, float) or share < _MOSTLY or not isinstance(places, float) or places < 9:
        return None
    return Kind("series", f"{places + 1:.3g} numbers a row, written as text")


def _tags(known: pl.Series) -> Kind | None:
    """Lists written as text, divided by ``|`` or ``;``: many rows have several tags, and the tags recur."""
    known = _sample(known)
    sign = tag_sign(known.str.replace_all(",", "", literal=True))
    if not sign or (several := known.str.contains(sign, literal=True).mean()) is None or not isinstance(several, float):
        return None
    tags = known.str.split(sign).explode().str.strip_chars()
    if several < 0.2 or tags.n_unique() > min(1000, len(tags) / 4) or (tags.str.len_chars().mean() or 0) > 40:  # type: ignore[operator]
        return None
    return Kind("tags", f"{tags.n_unique():,} tags divided by {sign!r}")


def _sample(known: pl.Series) -> pl.Series:
    """Return some 2,000 values spread over the column: what texts look like shows in few of them."""
    return known.gather_every(max(1, len(known) // 2000))


def _words(known: pl.Series, distinct: int, name: str, note: str) -> Kind:
    """Tell free text from identifiers and categories by the length of the texts, how often they recur, and how they are named."""
    count = len(known)
    sample = _sample(known)
    words = float(sample.str.count_matches(r"\s+").mean() or 0) + 1  # type: ignore[arg-type]
    chinese = float(sample.str.count_matches(_CHINESE).mean() or 0)  # type: ignore[arg-type]
    recurring = distinct <= count / 2
    long = words >= (8 if recurring else 5) or chinese >= (16 if recurring else 8)
    named = not recurring and (words >= 2 or chinese >= 3) and _PROSE.search(name) is not None
    if (long and (distinct > 50 or not recurring)) or named:
        what = f"{chinese:.0f} characters" if words < 2 or (chinese >= 8 and words < 5) else f"{words:.0f} words"
        return Kind("text", f"{what} a row, {distinct:,} distinct{', and named like texts' if named and not long else ''}", note)
    if distinct >= 0.99 * count and count >= 20 and not note:
        return Kind("identifier", "another text in every row" if distinct == count else "nearly unique", "left out unless declared")
    if not recurring and not note:
        note = f"most values occur once: {distinct:,} values among {count:,} rows"
    return Kind("category", f"{distinct:,} distinct texts among {count:,} rows", note)
