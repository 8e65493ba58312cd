"""Windows of rows in order of time, as views of the rows: nothing is copied until a batch is made (floor 2, free of torch)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def filled(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Return rows (N, C) with the last known value before each missing one, 0 where there is none, and how many were missing."""
    lost = np.isnan(rows)
    count = int(lost.sum())
    if not count:
        return rows, 0
    place = np.where(lost, 0, np.arange(len(rows))[:, None])
    last = np.take_along_axis(rows, np.maximum.accumulate(place, axis=0), axis=0)
    return np.nan_to_num(last), count


def views(rows: NDArray[Any], before: int, behind: int, origins: range) -> NDArray[Any]:
    """Return windows (B, T, C) of rows (N, C), without copying.

    Args:
        rows: The rows.
        before: How many rows up to an origin, itself included, a window holds.
        behind: How many behind it.
        origins: The rows that windows end at, or begin behind; each has ``before - 1`` rows before it and ``behind`` behind it.
    """
    length = before + behind
    if not len(origins):
        return np.zeros((0, length, rows.shape[1]), rows.dtype)
    rows = np.ascontiguousarray(rows)
    every = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0, writeable=True)
    first, last = origins[0] - before + 1, origins[-1] - before + 1
    return every[first : last + 1 : origins.step].transpose(0, 2, 1)


def rows_below(windows: NDArray[Any]) -> NDArray[Any] | None:
    """Return the rows (N, C) that windows (B, T, C) are views of, without copying; nothing if they are not such views."""
    if windows.ndim != 3 or not len(windows) or windows.strides[0] % max(1, windows.strides[1]) or windows.flags.c_contiguous:
        return None
    count = (len(windows) - 1) * (windows.strides[0] // windows.strides[1]) + windows.shape[1]
    return np.lib.stride_tricks.as_strided(windows, (count, windows.shape[2]), windows.strides[1:])
