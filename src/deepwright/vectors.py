"""Word vectors from text files of word2vec, GloVe and fastText, compressed by gzip or not (floor 2, free of torch)."""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from deepwright.errors import DataError, nearest

Vectors = dict[str, NDArray[np.float32]]

LONGEST = 1 << 20
"""Bytes of a line at most."""


def dimension_of(path: str, where: str) -> int:
    """Return how many numbers a vector of a file has, by its first line.

    Raises:
        DataError: The file is missing (E200), damaged (E202), or no file of word vectors (E277).
    """
    with _opened(path, where) as file:
        return _first(file, f"{where}: {path}")[1]


def read_vectors(path: str, wanted: Collection[str], where: str) -> Vectors:
    """Return the vectors of the wanted words that a file has; all other lines are checked, and not kept.

    A line holds a word and its numbers, with blanks or tabs between; the first line may tell how many lines and numbers there are
    (word2vec). A word that is wanted in lower case takes the vector of its first other spelling, unless its own is there.

    Args:
        path: The file.
        wanted: The words.
        where: The recipe's path, for messages.

    Raises:
        DataError: The file is missing (E200), damaged (E202), or malformed (E277), with the line.
    """
    exact, folded = Vectors(), Vectors()
    place, count = f"{where}: {path}", 0
    with _opened(path, where) as file:
        declared, size = _first(file, place)
        for number, line in _lines(file, place):
            if declared is not None and number == 1:
                continue
            count += 1
            parts = line.rsplit(None, size)
            if len(parts) != size + 1:
                raise _malformed(place, number, f"{len(line.split()) - 1} numbers", f"{size}, as in the lines before")
            word = _decoded(parts[0].strip(), place, number)
            store = exact if word in wanted else folded if word.lower() in wanted else None
            if store is not None:
                store.setdefault(word if store is exact else word.lower(), _numbers(parts[1:], place, number))
    if declared is not None and declared != count:
        raise DataError(
            "E277",
            "the file of word vectors is not whole",
            where=place,
            got=f"{count:,} vectors",
            expected=f"{declared:,}, by its first line",
            fix="fetch the file again",
        )
    return {**folded, **exact}


@contextmanager
def _opened(path: str, where: str) -> Iterator[IO[bytes]]:
    """Open a file for reading; what is wrong with it is told with its place."""
    file = Path(path).expanduser()
    if not file.is_file():
        beside = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
        raise DataError("E200", f"no such file{nearest(file.name, beside)}", where=f"{where}: {path}", fix="correct the path")
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                yield raw
            else:
                with gzip.open(raw) as inside:
                    yield inside  # type: ignore[misc]
    except (OSError, EOFError) as error:
        raise DataError("E202", "the file is damaged", where=f"{where}: {path}", got=error, fix="fetch the file again") from None


def _first(file: IO[bytes], place: str) -> tuple[int | None, int]:
    """Return how many vectors the first line declares, if it does, and how many numbers each has; go back to the start."""
    line = file.readline(LONGEST)
    file.seek(0)
    parts = line.split()
    if b"\0" in line or len(parts) < 2:
        raise _malformed(place, 1, repr(line[:40]), "a word and its numbers, or how many vectors and numbers there are")
    if len(parts) == 2 and parts[0].isdigit() and parts[1].isdigit() and int(parts[1]) > 0:
        return int(parts[0]), int(parts[1])
    _numbers(parts[1:], place, 1)
    return None, len(parts) - 1


def _lines(file: IO[bytes], place: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not empty with their numbers, from 1."""
    number = 0
    while line := file.readline(LONGEST):
        number += 1
        if len(line) == LONGEST:
            raise _malformed(place, number, "a line of a megabyte", "a word and its numbers")
        if line.strip():
            yield number, line


def _decoded(word: bytes, place: str, number: int) -> str:
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(place, number, repr(word[:40]), "a word in UTF-8; the binary form of word2vec is not read") from None


def _numbers(parts: list[bytes], place: str, number: int) -> NDArray[np.float32]:
    try:
        values = np.array(parts, np.float32)
    except ValueError as error:
        raise _malformed(place, number, str(error), "numbers behind the word") from None
    if not np.isfinite(values).all():
        raise _malformed(place, number, "a number that is not finite", "finite numbers")
    return values


def _malformed(place: str, number: int, got: str, expected: str) -> DataError:
    return DataError(
        "E277",
        "the file of word vectors is malformed",
        where=f"{place}: line {number}",
        got=got,
        expected=expected,
        fix="mend the line, or fetch the file again",
    )
