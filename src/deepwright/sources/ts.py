"""The text format of the UCR and UEA archive of series (``.ts``, as aeon and sktime write it; arXiv 1811.00075)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError, Problem
from deepwright.families import Source
from deepwright.files import find, holds, is_archive, listed, members, pick, read_bytes, source_line, suffix_of
from deepwright.frames import Note
from deepwright.table import Table
from deepwright.text import to_utf8

Integers = NDArray[np.int64]

_SUFFIXES = (".ts",)
_SIDE = re.compile(r"(.*?)[-_]?(train|test)\.ts(\.gz|\.bz2|\.xz)?", re.IGNORECASE)
_FLAGS = ("timestamps", "missing", "univariate", "equallength")
_MISSING = ("?", "nan")
_SHOWN = 10


@dataclass
class _Header:
    """What stands above ``@data``."""

    flags: dict[str, bool] = field(default_factory=dict)
    dimensions: int | None = None
    length: int | None = None
    labels: tuple[str, ...] | None = None
    """The class labels; empty if any will do, None if there are none."""
    target: bool = False
    """Whether a number stands behind each series."""
    body: int = 0
    """The number of the line (from 0) after ``@data``."""


class Ts(Source):
    """Series with a label each, in the ``.ts`` format: dimensions divided by ``:``, of any length, ``?`` for a missing number.

    The path is a file, or a folder or archive with ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``, of which the latter are the test rows.
    The table has the columns ``series`` and ``label``, or ``target`` where numbers are to be predicted. Time stamps are not read.
    """

    encoding: str | None = None
    """The encoding; by default UTF-8, or what a byte-order mark says."""
    split: Literal["train", "test"] | None = None
    """Of a folder or an archive: which file is read; by default the training rows."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like the format, or is a folder or an archive that holds some and no pictures."""
        return "://" not in path and holds(path, _SUFFIXES)

    def read(self) -> Table:
        """Read the file.

        Raises:
            DataError: It is missing or unreadable (E20x), holds no series (E206), or is malformed (E270; the first ten lines).
        """
        path, beside = self._file()
        data, notes = to_utf8(read_bytes(path), self.encoding, kind="ts", where=path)
        lines = data.decode().split("\n")
        header = _header(lines, path)
        frame = _rows(lines, header, path)
        if beside and self.split is None:
            fix = source_line("ts", self.path, split="test").replace("data: {source: ", "data: {test: ")
            notes = [*notes, Note("held_out", f"the series of {beside} were not read; they are   {fix}")]
        return Table(frame, Path(path).name, tuple(notes), str(find(path)[0].parent))

    def _file(self) -> tuple[str, str]:
        """Return the file to read, and the one of the test rows beside it, if there is one."""
        place, member = find(self.path)
        if member or not (place.is_dir() or is_archive(place.name)):
            return self.path, self._sibling()
        names = [entry.name for entry in members(self.path) if suffix_of(entry.name) in _SUFFIXES]
        sides: dict[str, list[str]] = {"train": [], "test": []}
        for name in names:
            if match := _SIDE.fullmatch(name):
                sides[match[2].lower()].append(name)
        if not sides["train"] and not self.split:
            return pick(self.path, _SUFFIXES, ".ts"), ""
        found = sides[self.split or "train"]
        if len(found) != 1:
            raise DataError(
                "E205",
                f"{len(found) or 'no'} files of {'test' if self.split == 'test' else 'training'} series, and one is read",
                where=self.path,
                got=listed(found or names),
                expected="NAME_TRAIN.ts and NAME_TEST.ts",
                fix=f"name one: data: {{source: {self.path}/{found[0]}}}" if found else "",
            )
        return f"{self.path}/{found[0]}", sides["test"][0] if len(sides["test"]) == 1 else ""

    def _sibling(self) -> str:
        """Return the test file beside a training file that is named itself."""
        match = _SIDE.fullmatch(Path(self.path).name)
        if match is None or match[2].lower() != "train":
            return ""
        word = match[2]
        other = "TEST" if word.isupper() else "Test" if word.istitle() else "test"
        name = Path(self.path).name[: match.start(2)] + other + Path(self.path).name[match.end(2) :]
        return name if Path(self.path).expanduser().with_name(name).is_file() else ""

    def held_out(self) -> Ts | None:
        """Return the source of the test series that lie beside the training series, if there are any."""
        beside = "" if self.split else self._file()[1]
        if not beside:
            return None
        if Path(self.path).expanduser().is_file() and not is_archive(self.path):
            return Ts(path=str(Path(self.path).with_name(beside)), encoding=self.encoding)
        return Ts(path=self.path, encoding=self.encoding, split="test")

    @classmethod
    def example(cls) -> Ts:
        """Return a source of a file that need not exist."""
        return cls(path="Waves_TRAIN.ts")


def _bad(path: str, number: int, what: str, got: str = "", expected: str = "", fix: str = "") -> DataError:
    return DataError("E270", what, where=f"{path}: line {number + 1}", got=got[:80], expected=expected, fix=fix)


def _header(lines: list[str], path: str) -> _Header:
    """Read the lines down to ``@data``.

    Raises:
        DataError: A line is none of a header, or there is no ``@data`` (E270).
    """
    header = _Header()
    for number, line in enumerate(lines):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key, values = words[0].lower().removeprefix("@"), words[1:]
        if not words[0].startswith("@"):
            raise _bad(
                path, number, "not a line of a header, and no @data line before it", line, "@NAME VALUE, and @data above the series"
            )
        if key == "data":
            header.body = number + 1
            if header.flags.get("timestamps"):
                raise _bad(
                    path, number, "series with time stamps are not read", fix="write the values alone, with @timeStamps false"
                )
            return header
        if key in _FLAGS:
            header.flags[key] = _truth(values, path, number, line)
        elif key in ("dimensions", "dimension", "serieslength"):
            count = int(values[0]) if len(values) == 1 and values[0].isascii() and values[0].isdigit() else 0
            if count < 1:
                raise _bad(path, number, f"{words[0]} is not followed by one whole number of at least 1", line)
            if key == "serieslength":
                header.length = count
            else:
                header.dimensions = count
        elif key == "classlabel":
            header.labels = tuple(values[1:]) if _truth(values[:1], path, number, line) else None
        elif key == "targetlabel":
            header.target = _truth(values[:1], path, number, line)
    raise DataError("E270", "there is no @data line", where=path, fix="check that the file is a .ts file and complete")


def _truth(values: list[str], path: str, number: int, line: str) -> bool:
    if len(values) != 1 or values[0].lower() not in ("true", "false"):
        raise _bad(path, number, f"{line.split()[0]} is not followed by true or false", line)
    return values[0].lower() == "true"


def _rows(lines: list[str], header: _Header, path: str) -> pl.DataFrame:
    """Read the series below the header, all lines at once.

    Raises:
        DataError: There are none (E206), or lines are malformed or contradict the header (E270; the first ten).
    """
    texts = pl.Series("line", lines[header.body :], dtype=pl.String).str.strip_chars()
    numbers = np.arange(header.body, len(lines))
    there = ((texts != "") & ~texts.str.starts_with("#") & ~texts.str.starts_with("%")).to_numpy()
    texts, numbers = texts.filter(pl.Series(there)), numbers[there]
    if texts.is_empty():
        raise DataError("E206", "the file holds no series", where=path)
    labelled = header.labels is not None or header.target
    pieces = texts.str.split(":")
    behind = pieces.list.last().str.strip_chars() if labelled else None
    dimensions = (
        pieces.to_frame().select(pl.col("line").list.head(pl.col("line").list.len() - 1)).to_series() if labelled else pieces
    )
    problems = list(_wrong_dimensions(dimensions, behind, header, numbers, path))
    if problems:
        raise DataError.of(_first(problems, path))
    width = int(dimensions.list.len()[0])
    values, counts = _values(dimensions.explode().str.strip_chars(), width, numbers, path)
    # A dimension that is nothing but one ? is missing as a whole.
    table = counts.reshape(-1, width)
    lengths = table.max(1)
    alone = (table == 1) & np.isnan(values[np.cumsum(counts) - counts]).reshape(-1, width)
    problems = list(_wrong_lengths(np.where(alone, lengths[:, None], table), header, numbers, path))
    if problems:
        raise DataError.of(_first(problems, path))
    filled = np.full((int(lengths.sum()), width), np.nan)
    start = np.repeat(np.cumsum(lengths) - lengths, width)
    place = np.repeat(start, counts) + np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
    filled[place, np.repeat(np.tile(np.arange(width), len(table)), counts)] = values
    columns = [_lists(filled, lengths)]
    if header.target and behind is not None:
        columns.append(_targets(behind, numbers, path))
    elif behind is not None:
        columns.append(behind.alias("label"))
    return pl.DataFrame(columns)


def _values(each: pl.Series, width: int, numbers: Integers, path: str) -> tuple[NDArray[np.float64], Integers]:
    """Return the numbers of all dimensions (rows · ``width``), one behind the other, NaN where missing, and how many each has."""
    cells = each.str.split(",")
    counts = cells.list.len().to_numpy().astype(np.int64)
    flat = cells.explode().str.strip_chars().str.to_lowercase()
    values = flat.cast(pl.Float64, strict=False)
    wrong = np.flatnonzero((values.is_null() & ~flat.is_in(_MISSING)).to_numpy())
    rows, once = np.unique(np.repeat(np.arange(len(each)) // width, counts)[wrong], return_index=True)
    problems = [
        Problem("E270", "not a number", _line(path, numbers[row]), repr(flat[int(at)])[:80], "a number, or ? for a missing one")
        for row, at in zip(rows, wrong[once], strict=True)
    ]
    if problems:
        raise DataError.of(_first(problems, path))
    return values.fill_null(np.nan).to_numpy(), counts


def _targets(behind: pl.Series, numbers: Integers, path: str) -> pl.Series:
    """Return the numbers to be predicted."""
    texts = behind.str.to_lowercase()
    found = texts.cast(pl.Float64, strict=False).fill_nan(None).alias("target")
    bad = (found.is_null() & ~texts.is_in(_MISSING)).arg_true().to_list()
    if bad:
        listed_ = [Problem("E270", "the target is not a number", _line(path, numbers[row]), repr(behind[row])[:80]) for row in bad]
        raise DataError.of(_first(listed_, path))
    return found


def _wrong_dimensions(
    dimensions: pl.Series, behind: pl.Series | None, header: _Header, numbers: Integers, path: str
) -> list[Problem]:
    """Return the lines with a wrong number of dimensions, with an empty one, or of no known class."""
    counts = dimensions.list.len().to_numpy()
    wanted = header.dimensions or (1 if header.flags.get("univariate") else int(np.bincount(counts).argmax()))
    missing = " (without @classLabel, none is taken for a label)" if behind is None else " and a label behind the last :"
    problems = [
        Problem("E270", f"{counts[row]} dimensions", _line(path, numbers[row]), expected=f"{wanted}{missing}")
        for row in np.flatnonzero(counts != wanted)
    ]
    empty = dimensions.list.eval(pl.element().str.strip_chars() == "").list.any().fill_null(False).to_numpy()
    problems += [
        Problem("E270", "a dimension without any place", _line(path, numbers[row]))
        for row in np.flatnonzero(empty & (counts == wanted))
    ]
    if behind is not None and header.labels:
        unknown = ~behind.is_in(header.labels).to_numpy() & (counts == wanted)
        known = ", ".join(header.labels[:_SHOWN])
        problems += [
            Problem("E270", "a label that @classLabel does not name", _line(path, numbers[row]), repr(behind[int(row)])[:80], known)
            for row in np.flatnonzero(unknown)
        ]
    return problems


def _wrong_lengths(
    table: Integers,
    header: _Header,
    numbers: Integers,
    path: str,
) -> list[Problem]:
    """Return the lines whose dimensions differ in length (rows, C), and those that are not as long as the header says."""
    problems = [
        Problem(
            "E270",
            "the dimensions are not equally long",
            _line(path, numbers[row]),
            f"{table[row].min()} to {table[row].max()} places",
        )
        for row in np.flatnonzero(table.min(1) != table.max(1))
    ]
    if problems or not header.flags.get("equallength"):
        return problems
    wanted = header.length or int(table[0, 0])
    return [
        Problem(
            "E270",
            f"{table[row, 0]} places, and the header says @equalLength true",
            _line(path, numbers[row]),
            expected=f"{wanted} places",
        )
        for row in np.flatnonzero(table[:, 0] != wanted)
    ]


def _lists(values: NDArray[np.float64], lengths: Integers) -> pl.Series:
    """Return places (P, C) as one list a row: of numbers, or of lists of C numbers; NaN is null."""
    width = values.shape[1]
    flat = pl.Series("series", values.ravel(), dtype=pl.Float64).fill_nan(None)
    row = np.repeat(np.arange(len(lengths)), lengths)
    frame = pl.DataFrame({"row": row, "series": flat if width == 1 else flat.reshape((len(values), width)).arr.to_list()})
    return frame.group_by("row", maintain_order=True).agg("series")["series"]


def _line(path: str, number: int) -> str:
    return f"{path}: line {number + 1}"


def _first(problems: list[Problem], path: str) -> list[Problem]:
    """Return the first problems, and how many more there are."""
    more = [Problem("E270", f"{len(problems) - _SHOWN:,} more lines are malformed", path)] if len(problems) > _SHOWN else []
    return problems[:_SHOWN] + more
