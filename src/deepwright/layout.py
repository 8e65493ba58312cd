"""Where the records of a delimited text lie (floor 2): the fast layout by NumPy, and the exact one by a tokeniser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NEWLINE = 10


@dataclass(frozen=True)
class Layout:
    """Where the records of a text lie.

    Args:
        starts: The offset of each record.
        ends: The offset behind each record, that of its line end.
        fields: How many fields each record has.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    fields: NDArray[np.int64]

    def keep(self, mask: NDArray[np.bool_]) -> Layout:
        """Return the layout of some records."""
        return Layout(self.starts[mask], self.ends[mask], self.fields[mask])

    @property
    def width(self) -> int:
        """The most frequent number of fields."""
        return int(np.bincount(self.fields).argmax()) if self.fields.size else 0

    @property
    def even(self) -> float:
        """The share of the records that have the most frequent number of fields."""
        return float((self.fields == self.width).mean()) if self.fields.size else 0.0


class UnclosedError(ValueError):
    """A quote opens a field and is not closed before the field ends.

    Args:
        offset: Where the field starts.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset


def lay_out(data: bytes, separator: str, quote: str) -> Layout | None:
    """Return the layout of a text, or None if its quotes are not where RFC 4180 has them.

    A quote may open a field and close it, and is doubled inside; a text with none of them, or ``quote=""``, is always laid out.
    """
    buffer = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(buffer == _NEWLINE)
    separators = np.flatnonzero(buffer == ord(separator))
    if quote and quote.encode() in data:
        marks = buffer == ord(quote)
        places = np.flatnonzero(marks)
        outside = np.array([ord(separator), _NEWLINE, ord(quote)], np.uint8)
        opening, closing = places[0::2], places[1::2]
        if places.size % 2 or not np.isin(buffer[opening[opening > 0] - 1], outside).all():
            return None
        if not np.isin(buffer[closing[closing < buffer.size - 1] + 1], outside).all():
            return None
        inside = np.bitwise_xor.accumulate(marks.view(np.uint8))
        newlines, separators = newlines[inside[newlines] == 0], separators[inside[separators] == 0]
    ends = newlines if buffer.size and buffer[-1] == _NEWLINE else np.append(newlines, buffer.size)
    starts = np.concatenate(([0], ends[:-1] + 1))
    counts = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
    return Layout(starts, ends, counts)


def lay_out_exactly(data: bytes, separator: str, quote: str) -> Layout | None:
    """Return the layout by the tokeniser, for quotes in unusual places; or None if a quote is not closed."""
    try:
        found = [(at, len(cells)) for at, cells in tokens(data, separator, quote)]
    except UnclosedError:
        return None
    starts = np.array([at for at, _ in found])
    ends = np.append(starts[1:] - 1, len(data) - data.endswith(b"\n"))
    return Layout(starts, ends, np.array([count for _, count in found]))


def tokens(data: bytes, separator: str, quote: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield the offset and the fields of each record of ``data[start:end]``.

    A quote opens a field only at its start, blanks before it left aside; elsewhere it is a plain sign.

    Raises:
        UnclosedError: A quote is not closed, or text follows its closing quote.
    """
    sep, mark = re.escape(separator.encode()), re.escape(quote.encode())
    blank = b"[ ]*" if separator != " " else b""
    plain = rb"([^%b\n]*)" % sep
    quoted = rb"%b%b([^%b]*(?:%b%b[^%b]*)*)%b[ ]*|(?!%b%b)" % (blank, mark, mark, mark, mark, mark, mark, blank, mark)
    pattern = re.compile((rb"(?:" + quoted + plain + rb")" if quote else rb"()??" + plain) + rb"(%b|\n|\Z)" % sep)
    end = len(data) if end is None else end
    at, record, cells = start, start, list[str]()
    while at <= end:
        match = pattern.match(data, at, end)
        if match is None:
            raise UnclosedError(at)
        inner = match[1]
        cells.append(inner.decode().replace(quote * 2, quote) if inner is not None and quote else match[2].decode())
        at = match.end()
        if match[3] != separator.encode():
            yield record, cells
            if not match[3] or at >= end:
                return
            record, cells = at, []
