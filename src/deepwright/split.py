"""Dividing rows into training, validation and test rows, and finding rows that stand on two sides (floor 2).

Everything is a function of the rows and the seed (NumPy's PCG64), so that a division can be repeated on any machine.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError, RecipeError, nearest
from deepwright.frames import as_text
from deepwright.recipe import Split
from deepwright.table import Note, Table, cast

Indices = NDArray[np.int64]

SHARE, MOST_ROWS = 0.15, 5_000
"""The validation rows unless the recipe says otherwise: a share of the rows, and the most of them."""

SIDES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""The names that a split column may hold, upper or lower case, and what they mean."""


@dataclass(frozen=True)
class Rows:
    """The rows of each side, as ascending indices into the table; no row is on two sides.

    Args:
        train: Rows that weights are learnt from.
        validation: Rows that choose the best weights.
        test: Rows that are never trained on.
        notes: What the division had to decide.
    """

    train: Indices
    validation: Indices
    test: Indices
    notes: tuple[Note, ...] = ()


def split_rows(table: Table, split: Split, *, target: pl.Series | None = None, stratify: bool = False) -> Rows:
    """Divide the rows of ``table`` as declared.

    ``test`` is a fraction of all rows and ``validation`` of what remains. Time puts the latest rows aside, equal times on one
    side. ``last`` sets aside the latest row of each group to test, and the one before it to validate. With ``folds``, the rows left
    by the test rows are dealt into folds and ``fold`` validates; by time, the folds are consecutive blocks and only earlier blocks
    train (rolling origin), so that later blocks are on no side.

    Args:
        table: The rows.
        split: The recipe's declaration.
        target: The output that strata are made of; classes, or numbers (ten equal groups by rank) if ``stratify`` is false.
        stratify: Whether the target is a class, so that ``auto`` means stratified.

    Raises:
        RecipeError: The column is unknown (E107), or the declaration contradicts itself (E106).
        DataError: Too few rows for the sides (E231), names or times that cannot be read (E232, E233).
    """
    if split.by == "last":
        return _by_last(table, split)
    if split.validation is None:
        rest = max(1, round(len(table) * (1 - split.test)))
        split = split.model_copy(update={"validation": min(SHARE, MOST_ROWS / rest)})
    by = split.by
    if by in ("auto", "file"):
        by = "stratified" if stratify and target is not None else "random"
    if by in ("group", "time", "column"):
        _column(table, split.column, "column")
    if by == "stratified" and target is None:
        raise RecipeError("E106", "a stratified split needs an output", where="data.split.by", fix="data: {split: {by: random}}")
    if by == "column":
        return _by_column(table, split, target if stratify else None)
    rng = np.random.Generator(np.random.PCG64(split.seed))
    if by == "group":
        codes, notes = _groups(table.frame[str(split.column)])
        deal: _Deal = _GroupDeal(codes, rng)
    elif by == "time":
        codes, notes = _times(table, str(split.column))
        deal = _TimeDeal(codes)
    elif by == "stratified" and target is not None:
        codes, notes = _strata(target, stratify), []
        deal = _StrataDeal(codes, rng)
    else:
        codes, notes = np.zeros(len(table), np.int64), []
        deal = _StrataDeal(codes, rng)
    return _checked(table, split, _dealt(np.arange(len(table)), split, deal, table.name), [*notes, *deal.notes])


def _column(table: Table, name: str | None, key: str) -> pl.Series:
    """Return the column that ``data.split`` names under ``key``."""
    if name is None or name not in table.columns:
        hint = nearest(name, table.columns) if name else ""
        raise RecipeError(
            "E107", f"no column {name!r} to split by{hint}", where=f"data.split.{key}", expected=", ".join(table.columns[:20])
        )
    return table.frame[name]


class _Deal:
    """How rows are set aside; one subclass for each way of grouping them."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def aside(self, rows: Indices, share: float) -> tuple[Indices, Indices]:
        """Return (rows that stay, rows set aside); about ``share`` of ``rows`` are set aside."""
        raise NotImplementedError

    def folds(self, rows: Indices, count: int, fold: int) -> tuple[Indices, Indices]:
        """Return (training rows, rows of ``fold``)."""
        raise NotImplementedError


class _StrataDeal(_Deal):
    """Random within each stratum; plain random rows are one stratum."""

    def __init__(self, codes: Indices, rng: np.random.Generator) -> None:
        super().__init__()
        self.codes, self.rng = codes, rng

    def _ordered(self, rows: Indices) -> tuple[Indices, Indices, Indices]:
        """Return the rows shuffled and grouped by stratum, their strata 0…S-1, and the size of each stratum (S,)."""
        shuffled = self.rng.permutation(rows)
        ordered = shuffled[np.argsort(self.codes[shuffled], kind="stable")]
        _, strata, sizes = np.unique(self.codes[ordered], return_inverse=True, return_counts=True)
        return ordered, strata, sizes

    def aside(self, rows: Indices, share: float) -> tuple[Indices, Indices]:
        ordered, strata, sizes = self._ordered(rows)
        # One row of a class cannot be on two sides, and a class that is never trained on cannot be predicted.
        usable = np.where(sizes > 1, sizes, 0) if len(sizes) > 1 else sizes
        if singles := int((sizes == 1).sum()) if len(sizes) > 1 else 0:
            note = Note(
                "strata", f"{singles:,} classes have one row only, too few to stratify: those rows stay in training", singles
            )
            self.notes = [note]
        wanted = min(max(round(share * len(rows)), 1), len(rows) - 1)
        exact = share * usable
        take = np.floor(exact).astype(np.int64)
        room = np.flatnonzero(take < usable - (len(sizes) > 1))
        order = room[np.argsort(-(exact - take)[room], kind="stable")]
        take[order[: max(wanted - int(take.sum()), 0)]] += 1
        position = np.arange(len(ordered)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        chosen = position < take[strata]
        return ordered[~chosen], ordered[chosen]

    def folds(self, rows: Indices, count: int, fold: int) -> tuple[Indices, Indices]:
        ordered, _, _ = self._ordered(rows)
        mine = np.arange(len(ordered)) % count == fold
        return ordered[~mine], ordered[mine]


class _GroupDeal(_Deal):
    """Whole groups at random, so that no group is on two sides."""

    def __init__(self, codes: Indices, rng: np.random.Generator) -> None:
        super().__init__()
        self.codes, self.rng = codes, rng

    def aside(self, rows: Indices, share: float) -> tuple[Indices, Indices]:
        _, codes, sizes = np.unique(self.codes[rows], return_inverse=True, return_counts=True)
        order = self.rng.permutation(len(sizes))
        reached = np.cumsum(sizes[order])
        count = int(np.abs(reached[:-1] - share * len(rows)).argmin()) + 1 if len(sizes) > 1 else 0
        chosen = np.isin(codes, order[:count])
        return rows[~chosen], rows[chosen]

    def folds(self, rows: Indices, count: int, fold: int) -> tuple[Indices, Indices]:
        _, codes, sizes = np.unique(self.codes[rows], return_inverse=True, return_counts=True)
        shuffled = self.rng.permutation(len(sizes))
        # The largest group first, each into the fold that is smallest so far.
        heap = [(0, number) for number in range(count)]
        placed = np.zeros(len(sizes), np.int64)
        for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
            size, number = heap[0]
            placed[group] = number
            heapq.heapreplace(heap, (size + int(sizes[group]), number))
        mine = placed[codes] == fold
        return rows[~mine], rows[mine]


class _TimeDeal(_Deal):
    """The latest rows are set aside; rows of one time stay together."""

    def __init__(self, codes: Indices) -> None:
        super().__init__()
        self.codes = codes

    def _cuts(self, times: Indices, wanted: Sequence[float]) -> list[int]:
        """Return the positions nearest to ``wanted`` at which the sorted ``times`` change."""
        changes = np.flatnonzero(np.diff(times)) + 1
        return [int(changes[np.abs(changes - want).argmin()]) if len(changes) else 0 for want in wanted]

    def aside(self, rows: Indices, share: float) -> tuple[Indices, Indices]:
        ordered = rows[np.argsort(self.codes[rows], kind="stable")]
        (cut,) = self._cuts(self.codes[ordered], [(1 - share) * len(rows)])
        return (ordered[:cut], ordered[cut:]) if cut else (ordered, ordered[:0])

    def folds(self, rows: Indices, count: int, fold: int) -> tuple[Indices, Indices]:
        ordered = rows[np.argsort(self.codes[rows], kind="stable")]
        block = len(rows) / (count + 1)
        start, end = self._cuts(self.codes[ordered], [block * (fold + 1), block * (fold + 2)])
        return ordered[:start], ordered[start : len(rows) if fold == count - 1 else end]


def _dealt(rows: Indices, split: Split, deal: _Deal, name: str) -> tuple[Indices, Indices, Indices]:
    sides = 1 + (split.test > 0) + ((split.validation or 0) > 0 or split.folds is not None)
    least = max(sides, split.folds or 0)
    if len(rows) < least:
        raise DataError("E231", "too few rows to divide", where=name, got=f"{len(rows):,} rows", expected=f"at least {least}")
    rest, test = deal.aside(rows, split.test) if split.test else (rows, rows[:0])
    if split.folds is not None:
        train, validation = deal.folds(rest, split.folds, split.fold)
    elif split.validation and len(rest) > 1:
        train, validation = deal.aside(rest, split.validation)
    else:
        train, validation = rest, rest[:0]
    return train, validation, test


def _checked(table: Table, split: Split, sides: tuple[Indices, Indices, Indices], notes: Sequence[Note]) -> Rows:
    train, validation, test = (np.sort(side).astype(np.int64) for side in sides)
    wanted = {"training": True, "validation": (split.validation or 0) > 0 or split.folds is not None, "test": split.test > 0}
    empty = [name for (name, want), side in zip(wanted.items(), (train, validation, test), strict=True) if want and not len(side)]
    if empty:
        got = f"{len(train):,} training, {len(validation):,} validation, {len(test):,} test rows"
        raise DataError(
            "E231",
            f"no {' and no '.join(empty)} rows are left by the split",
            where=f"{table.name}: data.split by {split.by}" + (f" of {split.column}" if split.column else ""),
            got=got,
            expected="rows, groups or times enough for every side",
            fix="use more rows, a smaller fraction, or data: {split: {by: random}}",
        )
    return Rows(train, validation, test, tuple(notes))


def _by_column(table: Table, split: Split, target: pl.Series | None) -> Rows:
    """Divide by the names in a column; without validation rows, some training rows validate."""
    where = f"{table.name}: column {split.column}"
    if split.folds is not None:
        raise RecipeError(
            "E106", "folds cannot be combined with a split column", where="data.split", fix="remove folds, or by: column"
        )
    names = table.frame[str(split.column)].cast(pl.String).str.strip_chars().str.to_lowercase()
    sides = names.replace_strict(SIDES, default=None, return_dtype=pl.String)
    strange = names.filter(sides.is_null())
    if len(strange):
        counts = strange.value_counts(sort=True).head(10).rows()
        got = ", ".join(f"{'no name' if name is None else repr(name)} ({count:,} rows)" for name, count in counts)
        raise DataError("E232", "names that are no side of the split", where=where, got=got, expected="train, validation or test")
    train, validation, test = (np.flatnonzero((sides == side).to_numpy()) for side in ("train", "validation", "test"))
    notes = []
    if not len(validation) and split.validation and len(train) > 1:
        codes = _strata(target, True) if target is not None else np.zeros(len(table), np.int64)
        deal = _StrataDeal(codes, np.random.Generator(np.random.PCG64(split.seed)))
        train, validation = deal.aside(train, split.validation)
        text = f"the column {split.column} names no validation rows: {len(validation):,} training rows validate"
        notes = [Note("split", text, len(validation), split.column), *deal.notes]
    return _checked(table, split.model_copy(update={"test": 0.0}), (train, validation, test), notes)


def _by_last(table: Table, split: Split) -> Rows:
    """Set aside the latest row of each group to test and the one before it to validate; of equal times the later row is later.

    A group keeps a row to train on: of two rows one tests and none validates, and a single one trains.
    """
    times, notes = _times(table, _column(table, split.column, "column").name)
    codes, more = _groups(_column(table, split.group, "group"))
    order = np.lexsort((np.arange(len(table)), times, codes))
    _, starts, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    ends = starts + sizes
    test, validation = order[ends[sizes > 1] - 1], order[ends[sizes > 2] - 2]
    train = np.setdiff1d(np.arange(len(table)), np.concatenate([test, validation]))
    if few := int((sizes <= 2).sum()):
        text = f"{few:,} groups of {split.group} have one or two rows, too few to train, validate and test"
        more.append(Note("split", text, few, split.group))
    # Both sides are wanted, whatever fractions say.
    wanted = split.model_copy(update={"test": 0.5, "validation": 0.5})
    return _checked(table, wanted, (train, validation, test), [*notes, *more])


def _groups(column: pl.Series) -> tuple[Indices, list[Note]]:
    """Number the groups; a row without a group is a group of its own."""
    codes = column.cast(pl.String).rank("dense").cast(pl.Int64).to_numpy(allow_copy=True).astype(np.float64)
    lost = np.flatnonzero(np.isnan(codes))
    codes[lost] = -1.0 - np.arange(len(lost))
    note = Note("split", f"{len(lost):,} rows without a value of {column.name} are groups of their own", len(lost), column.name)
    return codes.astype(np.int64), [note] if len(lost) else []


def _times(table: Table, name: str) -> tuple[Indices, list[Note]]:
    """Number the times in order; a row without a time counts as the earliest, so that it trains."""
    column = table.frame[name]
    where = f"{table.name}: column {name}"
    if column.null_count() == len(column):
        raise DataError("E233", "no row has a time to split by", where=where, got=f"{len(column):,} missing values")
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        plain = numbers.null_count() == column.null_count()
        column = numbers if plain else cast(column, "date", where=where, on_error="raise")[0]
    lost = column.null_count()
    codes = column.rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
    return codes, [Note("split", f"{lost:,} rows without a time ({name}) stay in training", lost, name)] if lost else []


def _strata(target: pl.Series, classes: bool) -> Indices:
    """Number the strata: the classes, or ten equal groups by rank of a number."""
    if isinstance(target.dtype, pl.List):
        target = target.list.sort().list.join("\x1f")
    if not classes:
        numbers = target.cast(pl.Float64, strict=False)
        ranks = numbers.rank("ordinal").cast(pl.Int64) - 1
        return (ranks * 10 // max(len(numbers) - numbers.null_count(), 1)).fill_null(-1).to_numpy()
    return target.cast(pl.String).rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()


@dataclass(frozen=True)
class Overlap:
    """Rows of one table that another one holds too.

    Args:
        exact: Rows of ``b`` that are in ``a`` value for value.
        near: Further rows of ``b`` that are in ``a`` after lower-casing, folding of blanks and rounding to 4 significant digits.
        examples: Up to ten pairs of row numbers, (in ``a``, in ``b``).
        columns: The columns compared.
    """

    exact: int
    near: int
    examples: tuple[tuple[int, int], ...]
    columns: tuple[str, ...]


def overlap(a: Table, b: Table, *, ignore: Collection[str] = ()) -> Overlap:
    """Count the rows of ``b`` that ``a`` holds too, exactly or nearly.

    Columns that identify rows (integers or texts without blanks, all distinct) are left out, since they would hide duplicates.

    Args:
        a: Usually the training rows.
        b: Usually the validation or test rows.
        ignore: Further columns to leave out.
    """
    shared = [name for name in b.columns if name in a.columns and name not in ignore]
    names = [name for name in shared if not _identifies(a.frame[name])] or shared
    names = [name for name in names if not isinstance(a.frame[name].dtype, pl.Binary)] or names
    if not names or not len(a) or not len(b):
        return Overlap(0, 0, (), tuple(names))
    same = _common(a.frame.select(_plain(a.frame, names)), b.frame.select(_plain(b.frame, names)))
    alike = _common(a.frame.select(_folded(a.frame, names)), b.frame.select(_folded(b.frame, names)))
    near = alike[~np.isin(alike[:, 1], same[:, 1])]
    pairs = [(int(i), int(j)) for i, j in (*same[:10], *near[:10])]
    return Overlap(len(same), len(near), tuple(pairs[:10]), tuple(names))


def _common(a: pl.DataFrame, b: pl.DataFrame) -> Indices:
    """Return the first row of ``a`` and the row of ``b`` for each row of ``b`` that ``a`` holds, (pairs, 2).

    Rows are compared by a 64-bit hash: among a million rows a false pair has a probability of 1e-7.
    """
    hashes, first = np.unique(a.hash_rows().to_numpy(), return_index=True)
    sought = b.hash_rows().to_numpy()
    place = np.minimum(np.searchsorted(hashes, sought), len(hashes) - 1)
    rows = np.flatnonzero(hashes[place] == sought)
    return np.stack([first[place[rows]], rows], axis=1).astype(np.int64)


def _identifies(column: pl.Series) -> bool:
    if len(column) < 20 or column.null_count():
        return False
    if column.dtype == pl.String:
        if bool(column.str.contains(r"\s").any()) or bool(column.str.contains(r"^[-+]?\d*\.\d+$").any()):
            return False
    elif not column.dtype.is_integer():
        return False
    return column.n_unique() == len(column)


def _plain(frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Expr]:
    """Return the columns as texts, so that tables of different sources compare."""
    return [_text(frame, name) for name in names]


def _text(frame: pl.DataFrame, name: str) -> pl.Expr:
    return as_text(name, frame.schema[name])


def _folded(frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Expr]:
    folded: list[pl.Expr] = []
    for name in names:
        text = _text(frame, name)
        number = text.cast(pl.Float64, strict=False).round_sig_figs(4).cast(pl.String)
        folded.append(pl.coalesce(number, text.str.strip_chars().str.to_lowercase().str.replace_all(r"\s+", " ")).alias(name))
    return folded
