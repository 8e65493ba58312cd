"""What the files of a column hold and what is wrong with them: pictures and sounds are opened (floor 2, above the findings)."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepwright import pictures, sounds
from deepwright.errors import DeepwrightError, MissingExtra, need
from deepwright.findings import Finding, Severity
from deepwright.media import Medium, each
from deepwright.parts import Spec

OPENED = 500
"""Files of a column that are opened and read through, if there are more: evenly spaced ones."""
HASHED = 1 << 30
"""Bytes of files that are compared with others of their size."""
SHOWN = 9
"""Files of a column that a page shows."""
_NAMED = 10
_KINDS: dict[str, tuple[Medium, Callable[[bytes | str], pictures.Content | sounds.Content]]] = {
    "image": (pictures.MEDIUM, pictures.examined),
    "sound": (sounds.MEDIUM, sounds.examined),
}


@dataclass(frozen=True)
class _Broken:
    reason: str


class Files(Spec):
    """What the files of a column hold; of many, evenly spaced ones are opened."""

    there: int
    """The rows that have a file."""
    opened: int
    """The files that were opened."""
    unreadable: tuple[tuple[int, str], ...] = ()
    """The rows (from 1) whose file cannot be read, and why."""
    least: tuple[int, ...] = ()
    """The least height and width of pictures; the fewest samples of sounds."""
    most: tuple[int, ...] = ()
    """The greatest height and width; the most samples."""
    channels: tuple[int, ...] = ()
    """The numbers of channels that occur."""
    rates: tuple[int, ...] = ()
    """The samples a second that occur."""
    seconds: tuple[float, float, float] | None = None
    """The shortest, the median and the longest duration of sounds."""
    empty: tuple[int, ...] = ()
    """The rows (from 1) of pictures of one colour, or of sounds that are silent."""


def examine(column: pl.Series, kind: str) -> Files:
    """Open the files of a column.

    Args:
        column: Binary (bytes of files) or String (paths).
        kind: ``image`` or ``sound``.

    Raises:
        MissingExtra: The library that reads sounds is not installed (E601).
    """
    if kind == "sound":
        need("soundfile", extra="audio")
    medium, work = _KINDS[kind]
    known = np.flatnonzero(column.is_not_null().to_numpy())
    rows = known[np.linspace(0, len(known) - 1, min(OPENED, len(known))).round().astype(np.int64)] if len(known) else known

    def attempt(value: bytes | str) -> Any:
        try:
            return work(value)
        except FileNotFoundError:
            return _Broken("the file does not exist")
        except medium.broken as error:
            return _Broken(medium.reason(error) or type(error).__name__)

    found: list[tuple[int, Any]] = list(zip((rows + 1).tolist(), each(column.gather(rows), attempt, medium), strict=True))
    held = [(row, what) for row, what in found if not isinstance(what, _Broken)]
    sizes = np.asarray([what.size for _, what in held], np.int64)
    rates = np.asarray([what.rate for _, what in held if isinstance(what, sounds.Content)], np.int64)
    seconds = np.quantile(sizes.ravel() / rates, (0.0, 0.5, 1.0)).tolist() if len(rates) else None
    return Files(
        there=len(known),
        opened=len(found),
        unreadable=tuple((row, what.reason) for row, what in found if isinstance(what, _Broken)),
        least=tuple(sizes.min(0).tolist()) if len(held) else (),
        most=tuple(sizes.max(0).tolist()) if len(held) else (),
        channels=tuple(sorted({what.channels for _, what in held})),
        rates=tuple(np.unique(rates).tolist()),
        seconds=None if seconds is None else (seconds[0], seconds[1], seconds[2]),
        empty=tuple(row for row, what in held if what.empty),
    )


def remarks(files: Files) -> Iterator[str]:
    """Say in a few words what the files hold, and how many were opened if not all."""
    if files.opened < files.there:
        yield f"{files.opened:,} of {files.there:,} opened"
    if files.seconds is not None:
        short, middle, long = files.seconds
        yield f"{short:.3g} … {long:.3g} s" + (f", half of them above {middle:.3g} s" if long > 1.5 * short else "")
        yield ", ".join(f"{rate:,} Hz" for rate in files.rates[:4]) + (", …" if len(files.rates) > 4 else "")
        yield " and ".join({1: "mono", 2: "stereo"}.get(count, f"{count} channels") for count in files.channels)
    elif files.least:
        least, most = (" × ".join(map(str, size)) for size in (files.least, files.most))
        yield least if least == most else f"{least} … {most}"
        yield " and ".join("grey" if count == 1 else "colour" for count in files.channels)


def findings(column: pl.Series, kind: str, files: Files) -> Iterator[Finding]:
    """Find files that cannot be read, that hold nothing, and that are those of other rows."""
    name, what = column.name, _KINDS[kind][0].name

    def listed(rows: Sequence[int], reasons: Sequence[str] = ()) -> str:
        why = [f": {reason}" for reason in reasons] or [""] * len(rows)
        shown = [f"{_place(column, row)}{reason}" for row, reason in zip(rows, why, strict=True)]
        return "; ".join([*shown[:_NAMED], *(["…"] if len(rows) > _NAMED else [])])

    def told(code: str, severity: Severity, text: str) -> Finding:
        return Finding(code=code, severity=severity, columns=(name,), text=text)

    of = f"{files.opened:,} {what}" + (f" that were opened, of {files.there:,}," if files.opened < files.there else "")
    if files.unreadable:
        rows, reasons = zip(*files.unreadable, strict=True)
        yield told("unreadable", "error", f"{len(rows):,} of {of} cannot be read: {listed(rows, reasons)}")
    if files.empty:
        empty = "silent" if kind == "sound" else "of one colour"
        are = "is" if len(files.empty) == 1 else "are"
        yield told("empty_files", "warn", f"{len(files.empty):,} of {of} {are} {empty}: {listed(files.empty)}")


def examples(column: pl.Series, kind: str, files: Files, target: pl.Series | None) -> tuple[tuple[str, bytes], ...]:
    """Return some of the files as pictures, sounds as spectrograms, each with its label or its name; of every label in turn.

    Args:
        column: The files.
        kind: ``image`` or ``sound``.
        files: What :func:`examine` found.
        target: What the rows are labelled with, if it is known.
    """
    bad = [row - 1 for row, _ in files.unreadable]
    known = np.setdiff1d(np.flatnonzero(column.is_not_null().to_numpy()), bad)
    rows: list[int] = known[:: max(1, len(known) // OPENED)].tolist()
    labels = [None] * len(column) if target is None else target.cast(pl.String, strict=False).to_list()
    turns: dict[str | None, list[int]] = {}
    for row in rows:
        turns.setdefault(labels[row], []).append(row)
    shown = []
    for row in [row for turn in zip_longest(*turns.values()) for row in turn if row is not None][: 2 * SHOWN]:
        try:
            data = column[row] if isinstance(column[row], bytes) else Path(column[row]).read_bytes()
            shown.append((labels[row] or _place(column, row + 1), pictures.png(sounds.drawn(data)) if kind == "sound" else data))
        except (OSError, DeepwrightError):
            continue  # not among those that were opened, and damaged
    return tuple(shown[:SHOWN])


def not_opened(name: str, error: MissingExtra) -> Finding:
    """Say that files could not be opened for want of a library."""
    problem = error.problems[0]
    return Finding(code="not_opened", severity="info", columns=(name,), text=f"{name} was not opened: {problem.message}", fix="")


def same_files(column: pl.Series, kind: str, target: pl.Series | None) -> Iterator[Finding]:
    """Find files that stand in several rows, bit by bit, and those of them that are labelled in two ways."""
    groups = _alike(column)
    if not groups:
        return
    what = _KINDS[kind][0].name
    count = sum(len(rows) - 1 for rows in groups)
    first, second = groups[0][:2]
    same = f"{_place(column, first + 1)} = {_place(column, second + 1)}"
    text = f"{count:,} of {len(column):,} {what} {'is' if count == 1 else 'are'} the same as another, bit by bit: {same}"
    if target is not None:
        labels = target.cast(pl.String, strict=False)
        torn = [rows for rows in groups if len({labels[row] for row in rows}) > 1]
        if torn:
            one, other = torn[0][0], next(row for row in torn[0] if labels[row] != labels[torn[0][0]])
            told = f"{_place(column, one + 1)} is {labels[one]!r}, {_place(column, other + 1)} {labels[other]!r}"
            text += f"; of {len(torn):,} the {target.name} differs: {told}"
    yield Finding(code="same_files", severity="warn", columns=(column.name,), text=text)


def shared_files(train: pl.Series, test: pl.Series, kind: str) -> Iterator[Finding]:
    """Find files of test rows that stand among the training rows, bit by bit."""
    count = len(train)
    pairs = [(rows[0], row) for rows in _alike(train, test) for row in rows if rows[0] < count <= row]
    if pairs:
        i, j = pairs[0]
        where = f"{_place(test, j - count + 1)} = {_place(train, i + 1)}"
        text = f"{len(pairs):,} of {len(test):,} test {_KINDS[kind][0].name} are among those of the training rows: {where}"
        yield Finding(code="overlap", severity="warn", columns=(train.name,), text=text)


def _alike(*columns: pl.Series) -> list[list[int]]:
    """Return the rows of each file that occurs more than once in columns behind each other.

    Only files of one length are read, up to a limit; of bytes, which fill the memory, none is copied but to be compared.
    """
    begins = list(accumulate((len(column) for column in columns), initial=0))
    lengths: dict[int, list[int]] = {}
    for row, length in enumerate(length for column in columns for length in _lengths(column)):
        if length:
            lengths.setdefault(length, []).append(row)
    found: dict[bytes, list[int]] = {}
    read = 0
    for length, rows in lengths.items():
        if len(rows) < 2 or read + length * len(rows) > HASHED:
            continue
        read += length * len(rows)
        for row in rows:
            place = bisect(begins, row) - 1
            if digest := _digest(columns[place][row - begins[place]]):
                found.setdefault(digest, []).append(row)
    return sorted(rows for rows in found.values() if len(rows) > 1)


def _lengths(column: pl.Series) -> list[int]:
    """Return the bytes of each file, 0 where there is none."""
    if column.dtype == pl.Binary:
        return column.bin.size().fill_null(0).to_list()
    return [_length(path) for path in column]


def _length(path: str | None) -> int:
    try:
        return 0 if path is None else os.stat(path).st_size
    except (OSError, ValueError):
        return 0


def _digest(value: bytes | str | None) -> bytes:
    try:
        return hashlib.sha256(Path(value).read_bytes() if isinstance(value, str) else value or b"").digest()
    except OSError:
        return b""


def _place(column: pl.Series, row: int) -> str:
    """Return what to call a row, from 1: its file's name and its folder, if it has one."""
    value = column[row - 1]
    return "/".join(Path(value).parts[-2:]) if isinstance(value, str) else f"row {row}"
