"""Numbers: quantities, measurements, counts."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from deepwright.encoding import HUGE, Floats, Scaling, floats, no_values, spread
from deepwright.facts import Dtype, Facts, TargetFacts
from deepwright.families import Feature, State

_TARGET_LIMIT = 1e15
"""The largest magnitude of a scaled target: its square still fits float32, and sums of squares do."""


class NumberState(State):
    """What a number column taught."""

    rows: int
    """Training rows with a known, finite value."""
    missing: int
    """Training rows without one."""
    low: float
    """The least training value."""
    high: float
    """The greatest training value."""
    mean: float
    """The mean, of the logarithms if ``log``: the centre of a target."""
    std: float
    """The standard deviation, of the logarithms if ``log``, 1 for a constant: the scale of a target."""
    wire: Scaling
    """How an input reaches the wire."""


class Number(Feature):
    """A number. As an output: regression.

    The default view, ``piecewise``, embeds a number by the bins that it passes (Gorishniy et al., arXiv 2203.05556), which
    serves skewed, zero-inflated and multimodal columns alike; bin edges respect point masses. Infinite values count as very
    large inputs, and as missing targets.
    """

    dtype: ClassVar[Dtype] = "number"
    state: ClassVar[type[State]] = NumberState

    view: Literal["piecewise", "quantile", "standard", "robust"] = "piecewise"
    """How the network sees an input: by ``piecewise`` linear bins, by its ``quantile``, ``standard`` (mean and standard
    deviation), or ``robust`` (median and interquartile range)."""
    bins: int = Field(48, ge=2, le=1024)
    """The most bins of the views ``piecewise`` and ``quantile``; a column with fewer distinct values has fewer."""
    missing: Literal["auto", "flag", "ignore"] = "auto"
    """Whether a missing input is flagged by a channel of its own; ``auto``: if a training row misses it. Without a flag it
    counts as the average."""
    log: bool = False
    """Take the signed logarithm, ``sign(x) log(1 + |x|)``, first: of an input, or of a target, whose predictions are turned
    back (the median of a skewed target rather than its mean)."""
    clip: bool = False
    """Outputs only: limit predictions to the range of the training rows."""

    def fit(self, column: pl.Series) -> NumberState:
        """Learn range, scale and bin edges.

        Raises:
            DataError: There is no finite value (E260).
        """
        values = column.cast(pl.Float64).to_numpy()
        known = np.sort(values[np.isfinite(values)])
        if not len(known):
            raise no_values(column, "number")
        known = np.clip(known, -HUGE, HUGE) + 0.0
        seen = self._forward(known)
        match self.view:
            case "standard":
                wire = Scaling.standard(seen)
            case "robust":
                wire = Scaling.robust(seen)
            case _:
                wire = Scaling.winsorised(seen, self.bins)
        return NumberState(
            rows=len(known),
            missing=int(np.isnan(values).sum()),
            low=float(known[0]),
            high=float(known[-1]),
            mean=float(seen.mean()),
            std=spread(seen),
            wire=wire,
        )

    def encode(self, column: pl.Series, state: NumberState) -> dict[str, NDArray[np.generic]]:
        """Return ``numbers`` (B, 1)."""
        return {"numbers": state.wire.apply(self._forward(floats(column)))[:, None]}

    def facts(self, name: str, state: NumberState) -> Facts:
        """Return the one column's facts."""
        flag = self.missing == "flag" or (self.missing == "auto" and state.missing > 0)
        return Facts(name, numbers=(state.wire.facts(name, self.view, missing=flag),))

    def target(self, column: pl.Series, state: NumberState) -> NDArray[np.float32]:
        """Return (B,), ``(value - mean) / std`` after the logarithm if any; NaN if missing or infinite."""
        values = column.cast(pl.Float64).to_numpy()
        values = np.clip(np.where(np.isfinite(values), values, np.nan), -HUGE, HUGE)
        with np.errstate(over="ignore"):
            scaled = (self._forward(values) - state.mean) / state.std
        return np.clip(scaled, -_TARGET_LIMIT, _TARGET_LIMIT).astype(np.float32)

    def target_facts(self, name: str, state: NumberState) -> TargetFacts:
        """Return centre and scale (of the logarithms if ``log``)."""
        return TargetFacts(name, "number", rows=state.rows, center=state.mean, scale=state.std)

    def decode(self, name: str, outputs: NDArray[np.float32], state: NumberState) -> pl.DataFrame:
        """Return the predictions as Float64, the logarithm undone.

        Args:
            name: The output's name.
            outputs: (B,) values in the target's units, or logarithms if ``log``.
            state: The learnt state.
        """
        values = outputs.astype(np.float64)
        if self.log:
            values = np.sign(values) * np.expm1(np.minimum(np.abs(values), np.log(HUGE)))
        if self.clip:
            values = np.clip(values, state.low, state.high)
        return pl.DataFrame({name: pl.Series(values, dtype=pl.Float64)})

    def _forward(self, values: Floats) -> Floats:
        return np.sign(values) * np.log1p(np.abs(values)) if self.log else values

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return plain, constant, zero-inflated, heavy-tailed and large columns."""
        return {
            "plain": [1.5, -2.0, 0.25, 8.0, None, 3.0],
            "constant": [7.0, 7.0, 7.0],
            "zero-inflated": [0.0] * 92 + [float(v) for v in range(114, 122)],
            "heavy-tailed": [10.0 ** (i / 10) for i in range(-100, 100)],
            "timestamps": [1.7e9 + i for i in range(100)] + [None],
            "extreme": [1e308, -1e308, 1e-308, 0.0, None],
        }
