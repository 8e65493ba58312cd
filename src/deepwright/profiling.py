"""The profile: what a table holds and what is wrong with it (floor 2, above cleaning, splitting and selecting).

The terminal and the report render a :class:`Profile`; nothing here prints. Its JSON form (``model_dump_json``) is stable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field

from deepwright import examining
from deepwright import findings as look
from deepwright.advising import Advice
from deepwright.errors import DataError, MissingExtra, nearest
from deepwright.facts import Dtype
from deepwright.findings import Finding, percent, unseen_labels
from deepwright.kinds import Kind, infer_all, infer_target
from deepwright.media import rooted
from deepwright.parts import Spec
from deepwright.table import Table, cast

__all__ = ["ColumnProfile", "Finding", "Numbers", "Profile", "TopValue", "percent", "profile", "spark", "unseen_labels"]

BINS = 20
"""The bins of a histogram."""

_CASTS: dict[str, Dtype] = {"number": "number", "date": "date", "tags": "tags"}
_LEAK_ROWS = 50_000


class Numbers(Spec):
    """The summary of a number column, in the units of the column; infinite values are left out and counted."""

    min: float
    """The least value."""
    q25: float
    """The lower quartile."""
    median: float
    """The middle value."""
    q75: float
    """The upper quartile."""
    max: float
    """The greatest value."""
    mean: float
    """The arithmetic mean."""
    std: float
    """The standard deviation (n - 1)."""
    zeros: float
    """The share of known values that are 0, in [0, 1]."""
    point: float | None = None
    """A point mass: a value that 20 % or more of the known values take, in a column of more than 20 distinct ones; else null."""
    point_share: float = 0.0
    """The share of the known values that ``point`` takes, in [0, 1]."""
    infinite: int = 0
    """How many values are infinite."""
    edges: tuple[float, ...]
    """The 21 edges of the histogram's equal bins between the least and the greatest value; 2 for a constant."""
    counts: tuple[int, ...]
    """The rows in each bin; one fewer than ``edges``."""


class TopValue(Spec):
    """One frequent value."""

    value: str
    """The value as text."""
    count: int
    """Its rows."""
    share: float
    """Its share of the known values, in [0, 1]; for tags, of all tags."""


class ColumnProfile(Spec):
    """What one column holds."""

    name: str
    """The column."""
    type: str
    """The inferred feature type: ``number``, ``category``, ``binary``, ``date``, ``text``, …"""
    why: str = ""
    """Why that type, in one line."""
    missing: int
    """Rows without a value."""
    missing_share: float
    """The share of the rows without a value, in [0, 1]."""
    distinct: int
    """Distinct known values; for tags the distinct tags; for pictures, which are not compared, the known values."""
    numbers: Numbers | None = None
    """For number columns with a known value."""
    top: tuple[TopValue, ...] = ()
    """For other columns: the up to 10 most frequent values, most frequent first."""
    first: str | None = None
    """For dates: the earliest, ISO 8601."""
    last: str | None = None
    """For dates: the latest, ISO 8601."""
    length: float | None = None
    """For texts: the mean number of characters."""
    examples: tuple[tuple[str, bytes], ...] = Field((), exclude=True, repr=False)
    """For pages, and not in JSON: some pictures, or spectrograms of sounds, with what they are."""
    notes: tuple[str, ...] = ()
    """Short remarks for the last column of the listing, such as ``"point mass at 0 (92 %)"``."""


class Profile(Spec):
    """What a table holds and what is wrong with it."""

    name: str
    """The table's name."""
    rows: int
    """Rows of the table."""
    sampled: int | None = None
    """How many rows same information, leakage and outliers were looked for in, if not all; null: all. The rest is exact."""
    columns: tuple[ColumnProfile, ...]
    """One entry a column, in order."""
    target: str | None = None
    """The target, if one was named."""
    test_rows: int | None = None
    """Rows of the test table, if one was given."""
    notes: tuple[str, ...] = ()
    """What reading and tidying did or assumed."""
    findings: tuple[Finding, ...] = ()
    """What deserves attention: errors first, then warnings, then information."""
    advice: tuple[Advice, ...] = ()
    """What the table may be for beside predicting a column, where sure signs tell; ``inspect`` looks for them."""

    def column(self, name: str) -> ColumnProfile:
        """Return the entry of the column ``name``; KeyError if there is none."""
        return {entry.name: entry for entry in self.columns}[name]


def spark(counts: tuple[int, ...] | list[int]) -> str:
    """Return ``counts`` as a line of blocks, one character each: ``▁▃█▅``; an empty bin is ``▁`` too."""
    highest = max(counts, default=0)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * count / highest) if highest else 0] for count in counts)


def profile(table: Table, *, target: str | None = None, test: Table | None = None, sample: int = 200_000) -> Profile:
    """Describe a table and find what is wrong with it.

    Args:
        table: The rows, tidy (see :func:`deepwright.table.tidy`).
        target: The column to be predicted; checks of classes and leakage need it.
        test: Test rows to compare with, tidy.
        sample: The most rows that same information, leakage and outliers are looked for in; counts are always exact.

    Raises:
        DataError: The target is not a column (E107).
    """
    if target is not None and target not in table.columns:
        raise DataError(
            "E107",
            f"no column {target!r}{nearest(target, table.columns)}",
            where=table.name,
            expected=", ".join(table.columns[:20]),
        )
    kinds = infer_all(table)
    if target is not None:
        kinds = {**kinds, target: infer_target(table.frame[target], target, table.base)}
    typed = {name: _typed(table.frame[name], kinds[name].type, table.name) for name in table.columns}
    entries = [_column(table.frame[name], typed[name], kinds[name]) for name in table.columns]
    few = {name: column.gather(_sampled(len(table), sample)) for name, column in typed.items()} if len(table) > sample else typed
    twins = look.same_information(few, target)
    opened = _opened(table, kinds, test, target)
    found = [
        *(finding for each in opened.values() for finding in each.findings),
        *_within(table, typed, entries, kinds, target),
        *_sampled_findings(few, kinds, twins, target),
        *(look.against_test(table, test, {name: kind.type for name, kind in kinds.items()}, target) if test is not None else ()),
    ]
    return Profile(
        name=table.name,
        rows=len(table),
        sampled=sample if len(table) > sample else None,
        columns=tuple(_noted(entry, twins, opened.get(entry.name, _Opened())) for entry in entries),
        target=target,
        test_rows=len(test) if test is not None else None,
        notes=tuple(note.text for note in table.notes),
        findings=tuple(sorted(found, key=lambda finding: ("error", "warn", "info").index(finding.severity))),
    )


def _sampled(rows: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return ``count`` ascending row numbers drawn without repetition, the same on every call."""
    return np.sort(np.random.Generator(np.random.PCG64(0)).choice(rows, count, replace=False))


def _typed(column: pl.Series, type_: str, where: str) -> pl.Series:
    """Return the column as its type's values; what does not fit is missing here, and inference has said so."""
    if type_ not in _CASTS:
        return column
    return cast(column, _CASTS[type_], where=f"{where}: column {column.name}", on_error="missing")[0]


def _within(
    table: Table, typed: Mapping[str, pl.Series], entries: list[ColumnProfile], kinds: Mapping[str, Kind], target: str | None
) -> Iterator[Finding]:
    """Find what all rows together show."""
    missing = {entry.name: entry.missing for entry in entries}
    types = {name: kind.type for name, kind in kinds.items()}
    yield from look.missing_values(table, missing, target)
    yield from look.duplicate_rows(table)
    yield from look.uninformative(types, target)
    yield from look.mixed_types(table.frame, types)
    yield from look.inconsistent_categories(table.frame, types)
    yield from look.marker_numbers(typed)
    if target is not None and kinds[target].type in ("binary", "category", "ordinal"):
        yield from look.classes(typed[target])


def _sampled_findings(
    columns: Mapping[str, pl.Series], kinds: Mapping[str, Kind], twins: list[tuple[str, ...]], target: str | None
) -> Iterator[Finding]:
    """Find what a sample shows well enough."""
    for names in twins:
        text = f"{' and '.join(names)} carry the same information; keep one"
        fix = look.recipe_line({"data": {"drop": list(names[1:])}})
        yield Finding(code="same_information", severity="info", columns=names, text=text, fix=fix)
    yield from look.outliers({name: column for name, column in columns.items() if kinds[name].type == "number"}, target)
    if target is not None and kinds[target].type in ("number", "binary", "category", "ordinal"):
        rows = len(columns[target])
        if rows > _LEAK_ROWS:
            columns = {name: column.gather(_sampled(rows, _LEAK_ROWS)) for name, column in columns.items()}
        types = {name: kind.type for name, kind in kinds.items()}
        yield from look.leakage(columns, types, target, number=kinds[target].type == "number")


def _column(raw: pl.Series, column: pl.Series, kind: Kind) -> ColumnProfile:
    """Summarise one column; ``raw`` is it before the cast, so that values that do not fit do not count as missing."""
    rows, missing = len(raw), raw.null_count()
    if raw.dtype.is_float():
        missing += int(raw.is_nan().sum())
    known = column.drop_nulls()
    notes = [kind.note] if kind.note else []
    entry: dict[str, Any] = {"distinct": len(known)}
    if isinstance(column.dtype, pl.Binary | pl.Array | pl.Object) or kind.type == "series":
        notes += [kind.why] if kind.type == "series" else []  # counting values of pictures and series says nothing
    elif kind.type == "number" and len(known):
        counts = known.alias("value").value_counts()
        numbers = _numbers(known, counts)
        entry = {"distinct": counts.height, "numbers": numbers}
        if numbers.point is not None:
            notes.append(f"point mass at {numbers.point:g} ({percent(numbers.point_share)})")
        notes += _remarks(known, numbers, counts.height)
    elif kind.type == "date" and len(known):
        entry = {"distinct": known.n_unique(), "first": _iso(known.min()), "last": _iso(known.max())}
    elif len(known):
        lists = isinstance(known.dtype, pl.List)
        texts = (known.explode(empty_as_null=True, keep_nulls=True).drop_nulls() if lists else known).cast(pl.String).alias("value")
        counts = texts.value_counts()
        top = counts.sort("count", "value", descending=[True, False]).head(10).rows()
        entry = {
            "distinct": counts.height,
            "top": tuple(TopValue(value=value, count=count, share=count / len(texts)) for value, count in top),
            "length": float(texts.str.len_chars().mean() or 0.0) if kind.type == "text" else None,  # type: ignore[arg-type]
        }
    return ColumnProfile(
        name=raw.name,
        type=kind.type,
        why=kind.why,
        missing=missing,
        missing_share=missing / rows if rows else 0.0,
        notes=tuple(notes),
        **entry,
    )


def _numbers(known: pl.Series, occurring: pl.DataFrame) -> Numbers:
    """Summarise numbers; ``occurring`` holds each ``value`` and its ``count``."""
    values = known.cast(pl.Float64).to_numpy()
    finite = values[np.isfinite(values)]
    infinite = len(values) - len(finite)
    if not len(finite):
        finite = np.zeros(1)
    largest = np.finfo(np.float64).max
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near the end of float64 have no finite moments
        low, q25, median, q75, high = np.quantile(finite, [0.0, 0.25, 0.5, 0.75, 1.0])
        mean, std = finite.mean(), finite.std(ddof=1) if len(finite) > 1 else 0.0
        spread = high > low and np.isfinite(high - low)
    counts, edges = np.histogram(finite, BINS, (low, high)) if spread else (np.array([len(finite)]), np.array([low, high]))
    point, share = None, 0.0
    if occurring.height > BINS:
        value, count = occurring.sort("count", "value", descending=[True, False]).row(0)
        if count >= 0.2 * len(known):
            point, share = float(value), count / len(known)
    return Numbers(
        min=float(low),
        q25=float(q25),
        median=float(median),
        q75=float(q75),
        max=float(high),
        mean=float(np.nan_to_num(mean, nan=0.0, posinf=largest, neginf=-largest)),
        std=float(np.nan_to_num(std, nan=largest, posinf=largest)),
        zeros=float((finite == 0).mean()),
        point=point,
        point_share=share,
        infinite=infinite,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
    )


def _remarks(known: pl.Series, numbers: Numbers, distinct: int) -> Iterator[str]:
    """Say that values pile up at the maximum, or that nearly every row has another integer."""
    at_top = float((known == numbers.max).mean() or 0.0)  # type: ignore[arg-type]
    if distinct > 2 * BINS and numbers.point != numbers.max and at_top >= max(0.01, 10 / distinct):
        yield f"{percent(at_top)} at the maximum {numbers.max:,.10g}: capped?"
    if distinct > len(known) / 2 and len(known) >= 100 and bool((known == known.round()).all()):
        yield f"nearly unique: {percent(distinct / len(known))} distinct"


def _iso(moment: Any) -> str:
    """Return a date, without its time if it is midnight."""
    return str(moment).removesuffix(" 00:00:00")


class _Opened(NamedTuple):
    """What opening the files of a column brought."""

    remarks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    examples: tuple[tuple[str, bytes], ...] = ()


def _opened(table: Table, kinds: Mapping[str, Kind], test: Table | None, target: str | None) -> dict[str, _Opened]:
    """Open the files of every column that holds some."""
    told: dict[str, _Opened] = {}
    for name, kind in kinds.items():
        if kind.type not in ("image", "sound") or table.frame.schema[name] not in (pl.String, pl.Binary):
            continue
        column = rooted(table.frame[name], table.base)
        try:
            files = examining.examine(column, kind.type)
        except MissingExtra as error:
            told[name] = _Opened(findings=(examining.not_opened(name, error),))
            continue
        labels = table.frame[target] if target is not None and kinds[target].type in ("binary", "category", "ordinal") else None
        found = [*examining.findings(column, kind.type, files), *examining.same_files(column, kind.type, labels)]
        if test is not None and name in test.columns and test.frame.schema[name] in (pl.String, pl.Binary):
            found += examining.shared_files(column, rooted(test.frame[name], test.base), kind.type)
        shown = examining.examples(column, kind.type, files, labels)
        told[name] = _Opened(tuple(examining.remarks(files)), tuple(found), shown)
    return told


def _noted(entry: ColumnProfile, twins: list[tuple[str, ...]], opened: _Opened) -> ColumnProfile:
    """Add what its files hold and what other columns say of this one."""
    notes = [*entry.notes, *opened.remarks]
    for names in twins:
        if entry.name in names:
            notes.append(f"says the same as {', '.join(name for name in names if name != entry.name)}")
    return entry.model_copy(update={"notes": tuple(dict.fromkeys(notes)), "examples": opened.examples})
