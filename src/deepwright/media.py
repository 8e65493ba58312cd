"""Pictures and sounds, told by their first bytes, and read in threads (floor 2, free of torch)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import polars as pl

from deepwright.errors import DataError
from deepwright.machine import processors

T = TypeVar("T")

DTYPES = ("image", "sound")
"""The columns whose cells are files: their paths or their bytes."""

_THREADS: ContextVar[int | None] = ContextVar("_THREADS", default=None)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let files be read in ``count`` threads inside the block; ``None``: one for each processor, at most 8."""
    token = _THREADS.set(count)
    try:
        yield
    finally:
        _THREADS.reset(token)


def rooted(column: pl.Series, base: str) -> pl.Series:
    """Make relative paths of files absolute: they are meant from ``base``, the folder of the file that names them."""
    if column.dtype != pl.String or not base:
        return column
    return pl.Series(column.name, [None if path is None else os.path.join(base, path) for path in column], pl.String)


def is_sound(data: bytes) -> bool:
    """Return whether a file begins like a sound: WAV, FLAC, Ogg or MP3."""
    if data[:4] in (b"fLaC", b"OggS", b"RF64") or data[:3] == b"ID3" or (data[:4] == b"RIFF" and data[8:12] == b"WAVE"):
        return True
    # MP3 without a tag begins with a frame: eleven bits that are set, a version, and the third layer.
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2


@dataclass(frozen=True)
class Medium:
    """A kind of files.

    Args:
        name: What they are, in the plural.
        code: The code of the error that they cannot be read.
        expected: What they should be.
        broken: What the library behind raises for files that are damaged or of another kind.
        reason: From what was raised to words.
    """

    name: str
    code: str
    expected: str
    broken: tuple[type[BaseException], ...]
    reason: Callable[[BaseException], str]


@dataclass(frozen=True)
class _Failure:
    reason: str


def each(column: pl.Series, work: Callable[[Any], T], medium: Medium) -> Iterator[T | None]:
    """Yield ``work(value)`` for each row (``None`` if missing), in order, on all cores.

    Raises:
        DataError: After the last row, if the work failed on any (the medium's code; all rows counted, the first ten listed).
    """
    values = column.to_list()

    def attempt(value: Any) -> T | _Failure | None:
        try:
            return None if value is None else work(value)
        except FileNotFoundError:
            return _Failure("the file does not exist")
        except medium.broken as error:
            return _Failure(medium.reason(error) or type(error).__name__)

    failures: list[tuple[int, str]] = []
    with ThreadPoolExecutor(_THREADS.get() or min(8, processors())) as pool:
        # small batches are not worth a thread; the chunks bound how many results wait in memory
        for start in range(0, len(values), 256):
            chunk = values[start : start + 256]
            for row, result in enumerate(map(attempt, chunk) if len(chunk) < 4 else pool.map(attempt, chunk), start):
                if isinstance(result, _Failure):
                    failures.append((row, result.reason))
                else:
                    yield result
    if failures:
        raise _unreadable(column, failures, medium)


def _unreadable(column: pl.Series, failures: list[tuple[int, str]], medium: Medium) -> DataError:
    paths = column.dtype == pl.String
    listed = [f"row {row + 1}" + (f" ({column[row]})" if paths else "") + f": {reason}" for row, reason in failures[:10]]
    more = [f"and {len(failures) - 10:,} more"] if len(failures) > 10 else []
    return DataError(
        medium.code,
        f"{len(failures):,} of {len(column):,} {medium.name} cannot be read",
        where=f"column {column.name}",
        got="; ".join(listed + more),
        expected=medium.expected,
        fix=f"mend or remove these files, or leave their cells empty: a missing {medium.name.removesuffix('s')} is allowed",
    )
