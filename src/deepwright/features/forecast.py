"""The next rows of a table in order of time."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepwright import forecasts
from deepwright.encoding import columns_scaled, learnt_scales, side_by_side
from deepwright.facts import Dtype, ForecastFacts, TargetFacts
from deepwright.families import Feature, State


class ForecastState(State):
    """What the columns that are foretold taught."""

    rows: int
    """Training rows."""
    centers: tuple[float, ...]
    """The value of each column that becomes 0: its mean."""
    scales: tuple[float, ...]
    """The distance that becomes 1: its standard deviation."""
    naive: tuple[float, ...] = ()
    """The mean error, in units of ``scales``, of saying that each training row is as the one a season before it."""
    step: str = ""
    """The time from one row to the next; empty if times are irregular."""


class Forecast(Feature):
    """The next rows of some columns of a table in order of time (``data: {time: COLUMN}``), an output.

    Its name is no column's. Errors are measured in units of each column's standard deviation over the training rows.
    """

    dtype: ClassVar[Dtype] = "numbers"
    state: ClassVar[type[State]] = ForecastState

    channels: Literal["all"] | tuple[str, ...] = "all"
    """The columns; ``all``: every column of numbers that is not left out by ``data.drop``."""
    horizon: int = Field(24, ge=1, le=100_000)
    """How many rows are foretold."""
    quantiles: tuple[float, ...] = ()
    """Quantiles that are foretold, such as ``[0.1, 0.5, 0.9]``; 0.5 is the forecast."""
    season: int | None = Field(None, ge=1)
    """Rows after which columns repeat, for the naive forecast that figures are compared with; by default told by the step: 24 of
    hours, 7 of days, 12 of months."""
    past: bool = False
    """Rebuild the window's own last rows, instead of those behind it: an autoencoder, for telling unusual rows. Its encoder should
    end narrow (``bottleneck``)."""
    stride: int = Field(1, ge=1)
    """Rows between one forecast and the next in validation and test (rolling origin)."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        levels = self.quantiles
        if levels and (list(levels) != sorted(set(levels)) or not all(0 < level < 1 for level in levels) or 0.5 not in levels):
            raise ValueError("quantiles rise between 0 and 1, and 0.5 is among them")
        return self

    def fit(self, column: pl.Series) -> ForecastState:
        """Learn mean and deviation of each column.

        Raises:
            DataError: A column has no number (E260).
        """
        names = (column.name,) if isinstance(self.channels, str) else self.channels
        centers, scales = learnt_scales(column, names)
        return ForecastState(rows=len(column), centers=centers, scales=scales)

    def in_order(self, column: pl.Series, state: ForecastState, step: str) -> ForecastState:
        """Return the state with what rows teach by their order.

        Args:
            column: The training rows in order of time.
            state: What :meth:`fit` returned.
            step: The time from one to the next.
        """
        naive = forecasts.naive_errors(self.target(column, state), self.season or 1)
        return state.model_copy(update={"naive": naive, "step": step})

    def target(self, column: pl.Series, state: ForecastState) -> NDArray[np.float32]:
        """Return (B, C) of each row alone, NaN where missing; the data path makes windows of them."""
        return columns_scaled(side_by_side(column), state.centers, state.scales)

    def target_facts(self, name: str, state: ForecastState) -> TargetFacts:
        """Return what is foretold."""
        channels = tuple(f"{name} {i + 1}" for i in range(len(state.centers))) if isinstance(self.channels, str) else self.channels
        season = self.season or 1
        known = ForecastFacts(channels, state.centers, state.scales, self.horizon, season, self.quantiles, state.naive, state.step)
        return TargetFacts(name, "forecast", rows=state.rows, forecast=known)

    def counts(
        self, outputs: NDArray[Any], target: NDArray[Any], state: ForecastState, likelihood: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return the counts of :func:`deepwright.forecasts.counts`."""
        del likelihood
        known = self.target_facts("", state).forecast
        return forecasts.counts(outputs, target, known) if known is not None else np.zeros((len(outputs), 0))

    def decode(self, name: str, outputs: NDArray[Any], state: ForecastState) -> pl.DataFrame:
        """Return the forecasts below each other, H rows each: a column for each channel, and ``CHANNEL:QUANTILE``.

        Args:
            name: The output's name.
            outputs: (B, H, C) or (B, H, C, Q) in the columns' own units.
            state: The learnt state.
        """
        facts = self.target_facts(name, state).forecast
        channels = facts.channels if facts is not None else ()
        middle = forecasts.middle(outputs, self.quantiles).astype(np.float64).reshape(-1, len(channels))
        columns = {channel: pl.Series(middle[:, i]) for i, channel in enumerate(channels)}
        if self.quantiles:
            flat = outputs.astype(np.float64).reshape(-1, len(channels), len(self.quantiles))
            for i, channel in enumerate(channels):
                columns |= {f"{channel}:{level:g}": pl.Series(flat[:, i, q]) for q, level in enumerate(self.quantiles)}
        return pl.DataFrame(columns)

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return rows of two columns, with gaps, missing and constant."""
        return {
            "plain": [[1.0, 10.0], [2.0, 20.0], [3.0, None], None, [2.5, 15.0]],
            "constant": [[7.0, 1.0], [7.0, 2.0]],
        }
