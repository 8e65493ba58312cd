"""What is known ahead of the rows that are foretold."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from deepwright.encoding import columns_scaled, learnt_scales, side_by_side
from deepwright.facts import Dtype, Facts, WindowFacts
from deepwright.families import Feature, State

Cycle = Literal["minute", "hour", "weekday", "day", "month"]


class AheadState(State):
    """What columns that are known ahead taught."""

    centers: tuple[float, ...]
    """The value of each column that becomes 0: its mean."""
    scales: tuple[float, ...]
    """The distance that becomes 1: its standard deviation."""


class Ahead(Feature):
    """Columns that are known of the rows that are foretold, such as holidays and prices, and where the calendar stands.

    Its name is no column's. What its encoder makes of each of these rows is added to their forecast, so that the encoder is one
    that has a state for each row. Rows to predict from hold them in rows behind the last one that is known otherwise; the calendar
    needs none.
    """

    dtype: ClassVar[Dtype] = "numbers"
    state: ClassVar[type[State]] = AheadState
    usual_encoder: ClassVar[str] = "gru"

    channels: tuple[str, ...] = ()
    """The columns."""
    cycles: tuple[Cycle, ...] = ()
    """Cycles of the time: each becomes two columns, its sine and cosine, by ``data.derive``."""
    length: int | None = Field(None, ge=1, le=100_000)
    """How many rows: the horizon."""

    def fit(self, column: pl.Series) -> AheadState:
        """Learn mean and deviation of each column.

        Raises:
            DataError: A column has no number (E260).
        """
        centers, scales = learnt_scales(column, self.channels or (column.name,))
        return AheadState(centers=centers, scales=scales)

    def encode(self, column: pl.Series, state: AheadState) -> dict[str, NDArray[np.generic]]:
        """Return ``window`` (B, C) of each row alone, NaN where missing; the data path makes windows of them."""
        return {"window": columns_scaled(side_by_side(column), state.centers, state.scales)}

    def facts(self, name: str, state: AheadState) -> Facts:
        """Return the facts of the rows ahead."""
        return Facts(name, window=WindowFacts(len(state.centers), self.length or 1))

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return rows of two columns, with gaps, missing and constant."""
        return {
            "plain": [[1.0, 0.0], [0.0, 20.0], [1.0, None], None, [0.0, 15.0]],
            "constant": [[7.0, 1.0], [7.0, 0.0]],
        }


def turned(time: str, cycles: tuple[Cycle, ...]) -> dict[str, str]:
    """Return the columns of cycles and the expressions that they are derived by, each going once around from 0 to 2π."""
    column = f'col("{time}")'
    phases: dict[Cycle, str] = {
        "minute": f"minute({column}) / 60",
        "hour": f"(hour({column}) + minute({column}) / 60) / 24",
        "weekday": f"(weekday({column}) - 1) / 7",
        "day": f"(day({column}) - 1) / 31",
        "month": f"(month({column}) - 1) / 12",
    }
    return {
        f"{time}.{cycle}_{wave}": f"{wave}({2 * np.pi:.12g} * ({phases[cycle]}))" for cycle in cycles for wave in ("sin", "cos")
    }
