"""What forecasts are judged by: errors by step and column, beside those of naive forecasts (floor 2, free of torch).

A target holds M rows more than are foretold, the season before them: what a naive forecast repeats. Errors are in units of each
column's standard deviation over the training rows, as figures of the literature are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwright.facts import ForecastFacts

Floats = NDArray[np.float64]

WHO = ("model", "season", "last")
"""Whose errors are counted: the model's, those of repeating the last season, and those of repeating the last row."""
EACH = 4
"""Counts of each: values, squared errors, absolute errors, and absolute errors in units of the naive error of training."""
FIXED = EACH * len(WHO) + 3
"""Counts ahead of those by step and by column; the last are values, pinball losses and hits of the outermost quantiles."""


def middle(outputs: NDArray[Any], quantiles: tuple[float, ...]) -> NDArray[Any]:
    """Return the forecast alone, (B, H, C)."""
    return outputs[..., quantiles.index(0.5)] if quantiles else outputs


def naive_errors(values: NDArray[Any], season: int) -> tuple[float, ...]:
    """Return the mean absolute difference of rows (N, C) and those ``season`` before; 1 where it is 0 or unknown.

    What mean absolute errors are divided by for the mean absolute scaled error (Hyndman & Koehler 2006).
    """
    if len(values) <= season:
        return (1.0,) * int(values.shape[1])
    apart = np.abs(values[season:].astype(np.float64) - values[:-season])
    known = ~np.isnan(apart)
    means = np.where(known, apart, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return tuple(float(mean) if mean > 1e-9 else 1.0 for mean in means)


def repeated(target: NDArray[Any], season: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the naive forecasts (B, H, C) of targets (B, M + H, C): the last season over and over, and the last row."""
    horizon = target.shape[1] - season
    return target[:, np.arange(horizon) % season], np.repeat(target[:, season - 1 : season], horizon, axis=1)


_BLOCK = 256
"""Forecasts counted at once, so that what is computed on the way stays small."""


def counts(outputs: NDArray[Any], target: NDArray[Any], facts: ForecastFacts) -> Floats:
    """Return what metrics add up, (B, S), NaN rows where no value of the target is known.

    Args:
        outputs: (B, H, C) or (B, H, C, Q) in the columns' own units.
        target: (B, M + H, C), standardised, NaN where missing.
        facts: What is known of the forecast.

    Returns:
        :data:`FIXED` counts, then values, squared errors of the model and of the last season by step (3H), then values, squared
        and absolute errors by column (3C).
    """
    starts = range(0, max(1, len(outputs)), _BLOCK)
    return np.concatenate([_counts(outputs[at : at + _BLOCK], target[at : at + _BLOCK], facts) for at in starts])


def _counts(outputs: NDArray[Any], target: NDArray[Any], facts: ForecastFacts) -> Floats:
    centers, scales = (np.asarray(each) for each in (facts.centers, facts.scales))
    wanted = target[:, facts.season :].astype(np.float64)
    scaled = (middle(outputs, facts.quantiles).astype(np.float64) - centers) / scales
    units = np.asarray(facts.naive or np.ones(len(scales)))
    found: list[Floats] = []
    errors = []
    for guess in (scaled, *repeated(target, facts.season)):
        error = guess - wanted
        known = ~np.isnan(error)
        error = np.where(known, error, 0.0)
        size = np.abs(error)
        errors.append((known, error**2, size))
        found += [part.sum((1, 2)) for part in (known, error**2, size, size / units)]
    found += _of_quantiles(outputs, wanted, facts)
    (known, squares, sizes), (_, repeats, _) = errors[:2]
    table = np.stack(found, 1)
    result = np.concatenate(
        [table, *(part.sum(2) for part in (known, squares, repeats)), *(part.sum(1) for part in (known, squares, sizes))], 1
    )
    result[table[:, 0] == 0] = np.nan
    return result


def _of_quantiles(outputs: NDArray[Any], wanted: Floats, facts: ForecastFacts) -> list[Floats]:
    """Return values, pinball losses (their mean over the quantiles) and hits of the outermost interval of each row, (B,)."""
    if not facts.quantiles:
        return [np.zeros(len(outputs))] * 3
    levels = np.asarray(facts.quantiles)
    scaled = (outputs.astype(np.float64) - np.asarray(facts.centers)[:, None]) / np.asarray(facts.scales)[:, None]
    gap = wanted[..., None] - scaled
    known = ~np.isnan(wanted)
    pinball = np.where(known, np.maximum(levels * gap, (levels - 1) * gap).mean(-1), 0.0)
    inside = known & (gap[..., 0] >= 0) & (gap[..., -1] <= 0)
    return [part.sum((1, 2)).astype(np.float64) for part in (known, pinball, inside)]


def as_naive(found: Floats) -> Floats:
    """Return counts (B, S) with the errors of repeating the last season in the place of the model's."""
    moved = found.copy()
    moved[:, :EACH] = found[:, EACH : 2 * EACH]
    moved[:, EACH * len(WHO) : FIXED] = 0
    return moved
