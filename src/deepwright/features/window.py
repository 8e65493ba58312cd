"""The latest rows of a table in order of time."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from deepwright.encoding import columns_scaled, learnt_scales, side_by_side
from deepwright.facts import Dtype, Facts, Normalization, WindowFacts
from deepwright.families import Feature, State


class WindowState(State):
    """What the columns of a window taught."""

    centers: tuple[float, ...]
    """The value of each column that becomes 0: its mean."""
    scales: tuple[float, ...]
    """The distance that becomes 1: its standard deviation."""


class Window(Feature):
    """The latest rows of some columns of a table in order of time (``data: {time: COLUMN}``): what forecasts are made from.

    Its name is no column's. Columns are standardised by the training rows. A missing value is the last known one before it.
    """

    dtype: ClassVar[Dtype] = "numbers"
    state: ClassVar[type[State]] = WindowState
    usual_encoder: ClassVar[str] = "sparse_tsf"

    channels: Literal["all"] | tuple[str, ...] = "all"
    """The columns; ``all``: those that are foretold, and with ``mix`` all columns of numbers."""
    length: int | None = Field(None, ge=1, le=1_000_000)
    """How many rows, the look-back; by default 14 seasons, two weeks of hours, or without a season two horizons, and at most a
    quarter of the training rows."""
    mix: bool = False
    """Whether the encoder sees all columns together. Otherwise each is foretold from its own past alone, by one network for all
    (Nie et al., arXiv 2211.14730), which seldom is worse."""
    normalize: Normalization | None = None
    """What is taken from a window's columns before the encoder, and given back to the forecast: ``instance`` (mean and deviation,
    Kim et al. 2022), ``mean``, ``last`` or ``none``; by default what suits the encoder."""
    season: int | None = Field(None, ge=1)
    """Rows after which columns repeat, which encoders may use; by default that of the forecast."""

    def fit(self, column: pl.Series) -> WindowState:
        """Learn mean and deviation of each column.

        Raises:
            DataError: A column has no number (E260).
        """
        centers, scales = learnt_scales(column, self.names(column))
        return WindowState(centers=centers, scales=scales)

    def names(self, column: pl.Series) -> tuple[str, ...]:
        """Return the columns' names, for messages."""
        return (column.name,) if isinstance(self.channels, str) else self.channels

    def encode(self, column: pl.Series, state: WindowState) -> dict[str, NDArray[np.generic]]:
        """Return ``window`` (B, C) of each row alone, NaN where missing; the data path makes windows of them."""
        return {"window": columns_scaled(side_by_side(column), state.centers, state.scales)}

    def facts(self, name: str, state: WindowState) -> Facts:
        """Return the window's facts."""
        return Facts(name, window=WindowFacts(len(state.centers), self.length or 1, self.season or 1))

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return rows of two columns, with gaps, missing, constant and large."""
        return {
            "plain": [[1.0, 10.0], [2.0, 20.0], [3.0, None], None, [2.5, 15.0]],
            "constant": [[7.0, 1.0], [7.0, 2.0]],
            "large": [[1e300, -1e300], [-1e300, 1e-300]],
        }
