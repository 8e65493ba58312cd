"""How unusual rows in order of time are: the errors of what a model says of them (floor 5, free of torch).

Each row is told several times, by every window whose forecast reaches it, or that is rebuilt with it in it. The mean error of a
row, in units of the mean error of its column on the validation rows, is the row's score; the column that errs most counts. What the
tail of the scores of the validation rows looks like tells from where on a score is an alarm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwright import forecasts
from deepwright.datapath import Arrays, DataPath
from deepwright.facts import ForecastFacts
from deepwright.origins import Reach
from deepwright.parts import Spec
from deepwright.runtime import Backend, run_rows

Floats = NDArray[np.float64]

LEVEL = 0.98
"""The quantile of the validation scores at which their tail begins."""
BLOCK = 4096
"""Windows told at once."""


class Calibration(Spec):
    """What the errors of rows teach that weights were not learnt from."""

    rows: int
    """How many there were."""
    scales: tuple[float, ...]
    """The mean error of each column, in standard deviations of the training rows: what scores are in units of."""
    start: float
    """The score at which the tail begins: their 98 % quantile."""
    excess: float
    """The mean of what scores of the tail are beyond it."""

    def threshold(self, alarms: float) -> float:
        """Return the score that a share of ``alarms`` of usual rows reaches, by a tail that falls off exponentially.

        The simplest case of the peaks over threshold of extreme value theory (Pickands 1975): far beyond the scores that were seen,
        the empirical quantile would be their maximum, whatever it is.
        """
        return self.start + self.excess * math.log((1 - LEVEL) / alarms)


@dataclass(frozen=True)
class Told:
    """What windows say of rows.

    Args:
        errors: The mean error of each row and column (N, C), in standard deviations of the training rows; NaN where none is known.
        values: What is told of each, on average, (N, C), in the columns' own units; NaN where nothing is.
    """

    errors: Floats
    values: Floats


def told(backend: Backend, data: DataPath, arrays: Arrays, targets: Mapping[str, NDArray[Any]], origins: range, rows: int) -> Told:
    """Let every window say what it foretells, or rebuilds, and lay it over the rows.

    Args:
        backend: What computes.
        data: What was learnt.
        arrays: The windows of the origins.
        targets: What should have been told.
        origins: The last row of each window.
        rows: N, how many rows there are.
    """
    name = next(iter(data.recipe.outputs))
    facts = data.target_facts()[name].forecast
    if facts is None:
        return Told(np.zeros((rows, 0)), np.zeros((rows, 0)))
    shape = (rows, len(facts.channels))
    sums, known, values, count = (np.zeros(shape) for _ in range(4))
    first = Reach.of(data.recipe).first
    for start in range(0, len(origins), BLOCK):
        some = origins[start : start + BLOCK]
        outputs = run_rows(backend, data, {key: array[start : start + BLOCK] for key, array in arrays.items()}, len(some))[name]
        middle = forecasts.middle(outputs, facts.quantiles).astype(np.float64)
        error = np.abs(_scaled(middle, facts) - targets[name][start : start + BLOCK, facts.season :])
        place = np.arange(some.start, some.stop, some.step) + first
        for step in range(facts.horizon):
            there = ~np.isnan(error[:, step])
            sums[place + step] += np.where(there, error[:, step], 0.0)
            known[place + step] += there
            values[place + step] += middle[:, step]
            count[place + step] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return Told(sums / known, values / count)


def _scaled(values: Floats, facts: ForecastFacts) -> Floats:
    scaled: Floats = (values - np.asarray(facts.centers)) / np.asarray(facts.scales)
    return scaled


def calibrated(errors: Floats) -> Calibration | None:
    """Return what errors (N, C) of rows that weights were not learnt from teach; nothing if none is known."""
    known = ~np.isnan(errors)
    usable = known.any(0)
    if not usable.all():
        return None
    means = np.where(known, errors, 0.0).sum(0) / known.sum(0)
    scales = tuple(float(each) if each > 1e-9 else 1.0 for each in means)
    found, _ = scores(errors, scales)
    found = found[~np.isnan(found)]
    start = float(np.quantile(found, LEVEL))
    beyond = found[found > start]
    excess = float((beyond - start).mean()) if len(beyond) else 0.0
    return Calibration(rows=len(found), scales=scales, start=start, excess=max(excess, 1e-6))


def scores(errors: Floats, scales: tuple[float, ...]) -> tuple[Floats, NDArray[np.int64]]:
    """Return the score of each row (N,), NaN where nothing is known, and the column that errs most (N,)."""
    parts = errors / np.asarray(scales)
    lost = np.isnan(parts)
    worst = np.where(lost, -1.0, parts).argmax(1)
    best = parts[np.arange(len(parts)), worst] if parts.shape[1] else np.full(len(parts), np.nan)
    return np.where(lost.all(1), np.nan, best), worst


def judged(alarms: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float | int | None]:
    """Return how alarms (N,) agree with what was unusual (N,): by row, and by stretches of unusual rows.

    A stretch is found if any of its rows has an alarm; precision of stretches counts runs of alarms, right if they touch one.
    """
    hits = int((alarms & truth).sum())
    stretches, runs = _runs(truth), _runs(alarms)
    found = sum(bool(alarms[a:b].any()) for a, b in stretches)
    right = sum(bool(truth[a:b].any()) for a, b in runs)

    def ratio(above: int, below: int) -> float | None:
        return above / below if below else None

    return {
        "rows": len(alarms),
        "alarms": int(alarms.sum()),
        "row_precision": ratio(hits, int(alarms.sum())),
        "row_recall": ratio(hits, int(truth.sum())),
        "stretches": len(stretches),
        "stretches_found": found,
        "stretch_recall": ratio(found, len(stretches)),
        "runs_of_alarms": len(runs),
        "run_precision": ratio(right, len(runs)),
        "alarms_among_usual_rows": ratio(int((alarms & ~truth).sum()), int((~truth).sum())),
    }


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where runs of true values begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
