"""Dates and times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from deepwright.encoding import Floats, Scaling, no_values
from deepwright.facts import Dtype, Facts, NumberFacts
from deepwright.families import Feature, State

Cycle = Literal["month", "day", "weekday", "hour"]
Times = NDArray[np.datetime64]

_DAY_US = 86_400_000_000


def _day_of_month(times: Times) -> Floats:
    months = times.astype("datetime64[M]").astype("datetime64[D]")
    days: Floats = (times.astype("datetime64[D]") - months).astype(np.float64)
    return days / 31


_PHASES: Mapping[Cycle, Callable[[Times], Floats]] = {
    "month": lambda times: (times.astype("datetime64[M]").astype(np.int64) % 12) / 12,
    "day": _day_of_month,
    "weekday": lambda times: ((times.astype("datetime64[D]").astype(np.int64) + 3) % 7) / 7,  # 1970-01-01 was a Thursday
    "hour": lambda times: (times.astype(np.int64) % _DAY_US) / _DAY_US,
}
"""How far each cycle has turned, in [0, 1): months from January on, weekdays from Monday on, the hour with its minutes."""


class DateState(State):
    """What a date column taught."""

    missing: int
    """Training rows without a value."""
    first: int
    """The earliest training value, in microseconds since 1970."""
    last: int
    """The latest training value, in microseconds since 1970."""
    cycles: tuple[Cycle, ...]
    """The cycles that reach the wire."""
    wire: Scaling
    """How the days since ``first`` reach the wire."""


class Date(Feature):
    """A date, with or without the time of day. Inputs only.

    It becomes several numbers: ``elapsed``, the days since the first training row, scaled and seen in bins; and for
    each cycle that varies in training, its sine and cosine, so that December is next to January.
    """

    dtype: ClassVar[Dtype] = "date"
    state: ClassVar[type[State]] = DateState

    cycles: tuple[Cycle, ...] | None = None
    """The cycles to use; by default those that vary in the training rows."""
    bins: int = Field(48, ge=2, le=1024)
    """The most bins of ``elapsed``."""

    def fit(self, column: pl.Series) -> DateState:
        """Learn the range and the cycles that vary.

        Raises:
            DataError: There is no value (E260).
        """
        known = column.drop_nulls()
        if known.is_empty():
            raise no_values(column, "date")
        times = np.sort(_times(known))
        first, last = int(times[0].astype(np.int64)), int(times[-1].astype(np.int64))
        varying = tuple(cycle for cycle, phase in _PHASES.items() if np.ptp(phase(times)) > 0)
        return DateState(
            missing=column.null_count(),
            first=first,
            last=last,
            cycles=varying if self.cycles is None else self.cycles,
            wire=Scaling.standard(_days(times, first), self.bins),
        )

    def encode(self, column: pl.Series, state: DateState) -> dict[str, NDArray[np.generic]]:
        """Return ``numbers`` (B, 1 + 2 × cycles)."""
        times = _times(column)
        missing = np.isnat(times)
        times = np.where(missing, np.datetime64(0, "us"), times)
        angles = [2 * np.pi * _PHASES[cycle](times) for cycle in state.cycles]
        waves = [wave(angle).astype(np.float32) for angle in angles for wave in (np.sin, np.cos)]
        numbers = np.stack([state.wire.apply(_days(times, state.first)), *waves], axis=1)
        numbers[missing] = np.nan
        return {"numbers": numbers}

    def facts(self, name: str, state: DateState) -> Facts:
        """Return the facts of ``elapsed`` and of each wave; ``elapsed`` alone flags a missing date."""
        elapsed = state.wire.facts(f"{name}.elapsed", "piecewise", missing=state.missing > 0)
        waves = tuple(NumberFacts(f"{name}.{cycle}_{wave}") for cycle in state.cycles for wave in ("sin", "cos"))
        return Facts(name, numbers=(elapsed, *waves))

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return days, hours, one date, and far ones, in microseconds since 1970."""
        return {
            "days": [d * _DAY_US for d in (0, 40, 19_000, 19_001, 19_200)] + [None],
            "hours": [19_000 * _DAY_US + h * 3_600_000_000 for h in range(30)],
            "constant": [0, 0, None],
            "far": [-(2**60), 0, 2**60],
        }


def _times(column: pl.Series) -> Times:
    """Return numpy's datetimes, whose calendar works for any year; not-a-time where it is missing."""
    return column.cast(pl.Datetime("us")).to_numpy()


def _days(times: Times, first: int) -> Floats:
    """Return days since ``first``; the difference is taken in float64, which no two far dates overflow."""
    return (times.astype(np.int64).astype(np.float64) - first) / _DAY_US
