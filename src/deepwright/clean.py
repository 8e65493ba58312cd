"""Declared cleaning: value rules for every row that is ever seen, row rules for training rows only (floor 2).

Nothing is cleaned unless the recipe declares it, and every rule that touched something leaves a note with a count. What a rule
needs to know of the training rows (outlier fences) is learnt once, by :func:`fit_clean`, and travels in the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError, DeepwrightError, Problem, RecipeError, nearest
from deepwright.parts import Spec
from deepwright.recipe import Clean, ColumnClean
from deepwright.table import Note, Table, cast

Kind = Literal["number", "text", "date"]


class Fence(Spec):
    """The fences of one column, in its own units."""

    low: float
    """Values below are outliers."""
    high: float
    """Values above are outliers."""


class CleanState(Spec):
    """What cleaning learnt from the training rows."""

    fences: dict[str, Fence] = {}
    """The outlier fences of the columns that declare them."""
    collapsed: tuple[str, ...] = ()
    """Columns whose quartiles coincide, so that fences would call half of the values outliers: none are set."""
    unused: dict[str, tuple[str, ...]] = {}
    """Keys of ``replace`` that no training row holds, by column: often a misspelling."""


def fit_clean(table: Table, clean: Clean, types: Mapping[str, str]) -> CleanState:
    """Check the declaration against the training rows and learn the outlier fences.

    Fences are the quartiles ± ``fence`` × IQR (Tukey, Exploratory Data Analysis, 1977), taken after the column's other rules.

    Args:
        table: The tidy training rows.
        clean: The recipe's declaration.
        types: What each column is cast to (``number``, ``text``, ``date``, …); a column that is absent counts as text.

    Raises:
        RecipeError: E107 for a column that the table does not have, E103 for a rule that does not fit its column's type.
        DataError: A value cannot be converted as declared.
    """
    problems = [
        Problem("E107", f"no column {name!r}{nearest(name, table.columns)}", f"data.clean.{name}", expected=_some(table.columns))
        for name in clean.columns
        if name not in table.columns
    ]
    for name, rule in clean.columns.items():
        problems += _misfits(name, rule, rule.convert if rule.convert != "keep" else types.get(name, "text"))
    if problems:
        raise RecipeError.of(problems)
    fences: dict[str, Fence] = {}
    collapsed: list[str] = []
    unused: dict[str, tuple[str, ...]] = {}
    failed: list[Problem] = []
    for name, rule in clean.columns.items():
        column = _texts(table.frame[name], rule)
        missed = tuple(key for key in rule.replace if not _matches(column, key))
        if missed:
            unused[name] = missed
        if rule.outliers == "keep":
            continue
        try:
            column, _ = _converted(_replaced(column, rule), rule, f"{table.name}: column {name}")
        except DeepwrightError as error:
            failed += error.problems
            continue
        fence = _fence(column, rule.fence)
        if fence is None:
            collapsed.append(name)
        else:
            fences[name] = fence
    if failed:
        raise DataError.of(failed)
    return CleanState(fences=fences, collapsed=tuple(collapsed), unused=unused)


def apply_values(table: Table, clean: Clean, state: CleanState) -> Table:
    """Apply the value rules of every column, in the order of the fields of :class:`~deepwright.recipe.ColumnClean`.

    Training rows and every later row pass through here alike. Columns that the table lacks are passed over.

    Returns:
        The table with a note for each rule that changed something.

    Raises:
        DataError: A value cannot be converted as declared; the problems of all columns at once.
    """
    columns: list[pl.Series] = []
    notes: list[Note] = []
    problems: list[Problem] = []
    for name, rule in clean.columns.items():
        if name not in table.columns:
            continue
        try:
            column, made = _cleaned(table.frame[name], rule, state.fences.get(name), f"{table.name}: column {name}")
        except DeepwrightError as error:
            problems += error.problems
            continue
        columns.append(column)
        notes += made
    if problems:
        raise DataError.of(problems)
    return table.with_frame(table.frame.with_columns(columns), *notes) if columns else table


def drop_rows(table: Table, clean: Clean, state: CleanState) -> tuple[Table, NDArray[np.int64]]:
    """Drop training rows as declared: duplicates, rows without a value, outliers. Never for rows to be predicted.

    The rules look at the values as :func:`apply_values` makes them, so that two spellings of one value are one value; the rows
    are returned as they were.

    Args:
        table: The tidy training rows, before :func:`apply_values`.
        clean: The recipe's declaration.
        state: What :func:`fit_clean` learnt.

    Returns:
        The remaining rows, with a note for each rule that dropped some, and their ascending indices in ``table``.

    Raises:
        DataError: A value cannot be converted as declared, or no row remains (E230).
    """
    notes = [*state_notes(state)]
    if clean.duplicates == "keep" and not any(r.missing == "drop" or r.outliers == "drop" for r in clean.columns.values()):
        return (table.with_frame(table.frame, *notes) if notes else table), np.arange(len(table))
    frame = apply_values(table, clean, state).frame.with_row_index("\0row")
    total = frame.height

    def keep(rest: pl.DataFrame, what: str, text: str, column: str | None = None) -> pl.DataFrame:
        if lost := frame.height - rest.height:
            notes.append(Note(what, f"{lost:,} training {_rows(lost)} dropped: {text}", lost, column))
        return rest

    if clean.duplicates == "drop" and table.columns:
        rest = frame.unique(subset=table.columns, keep="first", maintain_order=True)
        frame = keep(rest, "duplicates", "each repeats an earlier one in every column")
    for name, rule in clean.columns.items():
        if rule.missing == "drop" and name in table.columns:
            frame = keep(frame.filter(pl.col(name).is_not_null()), "missing", f"no value of {name}", name)
        if rule.outliers == "drop" and (fence := state.fences.get(name)) and name in table.columns:
            inside = pl.col(name).is_between(fence.low, fence.high) | pl.col(name).is_null()
            frame = keep(frame.filter(inside), "outliers", f"{name} outside {fence.low:g} … {fence.high:g}", name)
    if total and not frame.height:
        raise DataError(
            "E230",
            "cleaning drops every training row",
            where=table.name,
            got="; ".join(note.text for note in notes),
            fix="relax data.clean",
        )
    rows = frame["\0row"].to_numpy().astype(np.int64)
    return table.with_frame(table.frame[rows] if len(rows) < total else table.frame, *notes), rows


def state_notes(state: CleanState) -> list[Note]:
    """Return the notes of what cleaning learnt that deserves attention."""
    notes = [
        Note("replace_unused", f"data.clean.{name}.replace: no training row holds {', '.join(map(repr, keys))}", len(keys), name)
        for name, keys in state.unused.items()
    ]
    return notes + [
        Note("outliers", f"{name}: the quartiles coincide, so that no value is treated as an outlier", 0, name)
        for name in state.collapsed
    ]


def _cleaned(column: pl.Series, rule: ColumnClean, fence: Fence | None, where: str) -> tuple[pl.Series, list[Note]]:
    """Apply the value rules to one column, each change counted."""
    name = column.name
    notes: list[Note] = []

    def note(what: str, text: str, before: pl.Series, after: pl.Series) -> pl.Series:
        changed = int((before.cast(after.dtype).ne_missing(after)).sum()) if before is not after else 0
        if changed:
            notes.append(Note(what, f"{name}: {changed:,} {'value' if changed == 1 else 'values'} {text}", changed, name))
        return after

    column = note("normalize", "stripped, normalised or changed in case", column, _texts(column, rule))
    replaced = _replaced(column, rule)
    column = note("replace", "replaced", column.cast(replaced.dtype, strict=False), replaced)
    column, made = _converted(column, rule, where)
    notes += [made] if made else []
    if fence is not None and rule.outliers == "clip":
        column = note("outliers", f"clipped to {fence.low:g} … {fence.high:g}", column, column.clip(fence.low, fence.high))
    if rule.missing not in ("keep", "drop"):
        column = note("missing", f"missing, now {rule.missing}", column, _filled(column, rule.missing, where))
    return column, notes


def _texts(column: pl.Series, rule: ColumnClean) -> pl.Series:
    """Apply the rules that concern texts only: strip, normalize, case. A text that becomes empty is missing."""
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        return column
    text = pl.col(column.name)
    if rule.strip:
        text = text.str.strip_chars(rule.strip + " \t")
    if rule.normalize:
        text = text.str.normalize("NFKC").str.replace_all(r"\s+", " ").str.strip_chars()
    if rule.case == "lower":
        text = text.str.to_lowercase()
    elif rule.case == "upper":
        text = text.str.to_uppercase()
    if rule.strip or rule.normalize:
        text = pl.when(text != "").then(text)
    return column.to_frame().select(text.alias(column.name)).to_series()


def _replaced(column: pl.Series, rule: ColumnClean) -> pl.Series:
    """Replace exact values; in number columns the keys are compared as numbers."""
    if not rule.replace:
        return column
    if column.dtype.is_numeric():
        pairs = {_number(key): _number(value) for key, value in rule.replace.items() if _number(key) is not None}
        if all(value is None or _number(value) is not None for value in rule.replace.values()):
            return column.cast(pl.Float64).replace(list(pairs), pl.Series(list(pairs.values()), dtype=pl.Float64))
    values = pl.Series(list(rule.replace.values()), dtype=pl.String)
    return column.cast(pl.String).replace(list(rule.replace), values)


def _matches(column: pl.Series, key: str) -> bool:
    if column.dtype.is_numeric():
        number = _number(key)
        return number is not None and bool((column == number).any())
    return bool((column.cast(pl.String) == key).any())


def _converted(column: pl.Series, rule: ColumnClean, where: str) -> tuple[pl.Series, Note | None]:
    """Convert as declared; the outlier rules need numbers, declared or not."""
    dtype: Kind | Literal["keep"] = "number" if rule.outliers != "keep" else rule.convert
    if dtype == "keep":
        return column, None
    return cast(column, dtype, where=where, on_error=rule.on_error)


def _filled(column: pl.Series, value: str | float | bool, where: str) -> pl.Series:
    """Fill missing values with ``value``, in the column's own type."""
    if column.dtype.is_numeric():
        number = _number(value)
        if number is None:
            raise RecipeError(
                "E103", f"missing values of a number column cannot become {value!r}", where=where, expected="a number"
            )
        return column.cast(pl.Float64).fill_nan(None).fill_null(number)
    if column.dtype.is_temporal():
        dates, _ = cast(pl.Series(column.name, [str(value)]), "date", where=f"{where}: clean.missing", on_error="raise")
        return column.fill_null(dates.cast(column.dtype).item())
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return column.cast(pl.String).fill_null(text)


def _misfits(name: str, rule: ColumnClean, dtype: str) -> list[Problem]:
    """Find the rules that do not fit the column's type."""
    found: list[Problem] = []
    where = f"data.clean.{name}"
    if rule.outliers != "keep" and dtype != "number":
        found.append(
            Problem(
                "E103", f"outliers needs numbers, and {name} is a column of {dtype}", f"{where}.outliers", fix="convert: number"
            )
        )
    if dtype == "number" and rule.missing not in ("keep", "drop") and _number(rule.missing) is None:
        found.append(
            Problem(
                "E103",
                f"missing values of the number column {name} cannot become {rule.missing!r}",
                f"{where}.missing",
                expected="a number, keep or drop",
            )
        )
    return found


def _fence(column: pl.Series, width: float) -> Fence | None:
    """Return the fences, or nothing if the quartiles coincide or no value is known."""
    known = column.drop_nulls().drop_nans()
    low, high = known.quantile(0.25, "linear"), known.quantile(0.75, "linear")
    if low is None or high is None or not np.isfinite(high - low) or high <= low:
        return None
    reach = width * (high - low)
    return Fence(low=low - reach, high=high + reach)


def _number(value: object) -> float | None:
    """Return ``value`` as a finite number, or nothing."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
