"""How alike two pictures are (floor 2, free of torch)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""The constants of SSIM for pictures in 0…255."""
WINDOW, SIGMA = 11, 1.5
"""Its Gaussian window."""
MOST_DECIBELS = 100.0
"""The PSNR of equal pictures, which would be infinite."""

_CHUNK = 64


def gaussian(side: int) -> list[float]:
    """Return the weights of the window along a side, at most :data:`WINDOW` of them and no more than there are places."""
    size = min(WINDOW, side - 1 + side % 2)
    weights = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * SIGMA**2))
    return (weights / weights.sum()).tolist()  # type: ignore[no-any-return]


def _blurred(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weighted means of (B, H, W, C) over all windows that lie within."""
    for axis in (1, 2):
        window = gaussian(values.shape[axis])
        places = values.shape[axis] - len(window) + 1
        parts = (np.float32(weight) * np.take(values, range(at, at + places), axis) for at, weight in enumerate(window))
        total = next(parts)
        for part in parts:
            total += part
        values = total
    return values


def ssim(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the structural similarity of pictures in 0…255, (B, H, W, C) each, (B,) (Wang et al. 2004).

    The mean over all windows (11 × 11, Gaussian with σ = 1.5) and channels of
    ``(2 μx μy + c1) (2 σxy + c2) / ((μx² + μy² + c1) (σx² + σy² + c2))``.
    """
    # Moments about a grey that both share: in float32, differences of squares of large numbers would lose their digits.
    middle = np.float32(127.5)
    x, y = ours - middle, theirs - middle
    one, two = _blurred(x), _blurred(y)
    spread = _blurred(x * x) - one * one + _blurred(y * y) - two * two
    across = _blurred(x * y) - one * two
    one, two = one + middle, two + middle
    alike = (2 * one * two + C1) * (2 * across + C2) / ((one * one + two * two + C1) * (spread + C2))
    return np.asarray(alike.reshape(len(alike), -1).mean(1, dtype=np.float64))


def counts(outputs: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float64]:
    """Return what a row's picture counts for, (B, 4); NaN rows where the target is missing.

    The columns are the PSNR in decibels, ``10 log10(255² / mean squared error)``, SSIM, and the mean absolute and squared error.

    Args:
        outputs: (B, H, W, C) in 0…255.
        target: (B, H, W, C) in 0…255, -1 where it is missing.
    """
    found = np.full((len(target), 4), np.nan)
    known = np.flatnonzero((target >= 0).reshape(len(target), -1).all(1)) if len(target) else np.zeros(0, np.int64)
    for start in range(0, len(known), _CHUNK):
        rows = known[start : start + _CHUNK]
        ours, theirs = outputs[rows].astype(np.float32), target[rows].astype(np.float32)
        away = (ours - theirs).reshape(len(rows), -1)
        squared = (away**2).mean(1, dtype=np.float64)
        with np.errstate(divide="ignore"):
            decibels = np.minimum(10 * np.log10(255.0**2 / squared), MOST_DECIBELS)
        found[rows] = np.stack([decibels, ssim(ours, theirs), np.abs(away).mean(1, dtype=np.float64), squared], 1)
    return found
