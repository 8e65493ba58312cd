"""What several kinds of columns share: labels, bin edges and scaling (floor 2, free of torch)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BeforeValidator

from deepwright.errors import DataError
from deepwright.facts import NumberFacts
from deepwright.families import State

Floats = NDArray[np.float64]

LIMIT = 1e4
"""The largest magnitude on the wire, so that no outlier can swamp a batch."""

HUGE = 1e300
"""Infinities and anything beyond count as this, so that sums and differences stay finite."""

_TINY = 1e-20
_NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SMALL = 512
"""Up to this many rows a dictionary beats starting Polars' threads (1 row: 4 against 500 microseconds)."""


def _label(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Label = Annotated[str, BeforeValidator(_label, json_schema_input_type=str | int | float)]
"""A value of a text column in a recipe; YAML reads ``1`` as a number, and it means the text ``"1"``."""


def no_values(column: pl.Series, what: str = "value") -> DataError:
    """Return the error for a column that has nothing to learn from."""
    return DataError(
        "E260",
        f"no {what} in the {len(column):,} training rows",
        where=f"column {column.name}",
        expected=f"at least one {what}",
        fix=f"data: {{drop: [{column.name}]}}",
    )


# Labels ---------------------------------------------------------------------------------------------------------------------


UNKNOWN, MISSING = -1, -2
"""The positions of a value that training did not see, and of a missing one."""


class Labels(State):
    """The values that a feature knows, in an order that does not depend on the order of the rows."""

    values: tuple[str, ...]
    """The known values."""
    counts: tuple[int, ...]
    """The training rows that hold each."""

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The position of each value."""
        return {value: position for position, value in enumerate(self.values)}

    def positions(self, column: pl.Series) -> NDArray[np.int32]:
        """Return the position of every row's value (B,): :data:`UNKNOWN` or :data:`MISSING` where it has none."""
        if len(column) <= _SMALL:
            get = self.index.get
            found = (MISSING if value is None else get(value, UNKNOWN) for value in column.to_list())
            return np.fromiter(found, np.int32, len(column))
        ids = column.cast(pl.Enum(self.values), strict=False).to_physical().cast(pl.Int32).fill_null(UNKNOWN).to_numpy()
        return np.where(column.is_null().to_numpy(), np.int32(MISSING), ids) if column.null_count() else ids

    def targets(self, column: pl.Series) -> NDArray[np.int32]:
        """Return the class index of every row (B,), -1 where it is missing or unknown."""
        return np.maximum(self.positions(column), -1)


def natural_order(labels: Iterable[str]) -> list[str]:
    """Sort labels as numbers if they all are, else as texts: ``9`` stands before ``10``."""
    listed = list(labels)
    if all(_NUMERAL.fullmatch(label) for label in listed):
        return sorted(listed, key=lambda label: (float(label), label))
    return sorted(listed)


def label_counts(column: pl.Series, most: int | None = None) -> dict[str, int]:
    """Return how many rows hold each value, in natural order; missing values are left out.

    Args:
        column: The training rows.
        most: How many values to keep, the most frequent ones; of equally frequent ones those that come first as texts.

    Raises:
        DataError: There is no value (E260).
    """
    table = column.rename("value").drop_nulls().value_counts(name="rows")
    if table.is_empty():
        raise no_values(column)
    if most is not None and most < len(table):
        table = table.sort("rows", "value", descending=[True, False]).head(most)
    counts = dict(zip(table["value"].to_list(), table["rows"].to_list(), strict=True))
    return {label: counts[label] for label in natural_order(counts)}


def probability_columns(name: str, outputs: NDArray[np.float32], values: tuple[str, ...]) -> dict[str, pl.Series]:
    """Return ``{"name:class": probabilities}`` for outputs of shape (B, classes)."""
    return {f"{name}:{value}": pl.Series(outputs[:, i], dtype=pl.Float32) for i, value in enumerate(values)}


def decode_classes(name: str, outputs: NDArray[np.float32], values: tuple[str, ...]) -> pl.DataFrame:
    """Return the most probable label of each row, and the probability of every class.

    Args:
        name: The output's name, and that of the first column.
        outputs: (B, classes) probabilities.
        values: The labels in the order of the probabilities.
    """
    best = pl.Series(values, dtype=pl.String).gather(outputs.argmax(axis=1))
    return pl.DataFrame({name: best} | probability_columns(name, outputs, values))


# Numbers --------------------------------------------------------------------------------------------------------------------


def floats(column: pl.Series) -> Floats:
    """Return a numeric column as float64 (B,): NaN where it is missing, infinities as :data:`HUGE`, -0.0 as 0.0."""
    values: Floats = np.clip(column.cast(pl.Float64).to_numpy(), -HUGE, HUGE) + 0.0
    return values


def spread(values: Floats) -> float:
    """Return the standard deviation without overflow or underflow, or 1 for a constant."""
    away = np.abs(values - values.mean())
    largest = float(away.max())
    return largest * float(np.sqrt(np.mean((away / largest) ** 2))) or 1.0 if largest else 1.0


def bin_edges(ordered: Floats, bins: int) -> Floats:
    """Return increasing edges (at most ``bins`` + 1) that follow the density of the values and respect point masses.

    Plain quantiles of a column that is 92 % zeros are nearly all zero. So every value that alone fills a bin (a point mass)
    becomes an edge of its own, fenced by its neighbours where there is room, and the remaining edges are quantiles of the
    remaining values. A column with few distinct values has an edge at each. Nothing is random.

    Args:
        ordered: Sorted values (n,), finite, n >= 1.
        bins: The most bins.
    """
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))  # np.unique would sort once more
    distinct, counts = ordered[starts], np.diff(starts, append=len(ordered))
    if len(distinct) <= bins + 1:
        return distinct
    heavy = np.flatnonzero(counts > len(ordered) / bins)  # fewer than `bins`, since the shares add up to one
    fenced = np.unique(np.clip(np.concatenate([heavy - 1, heavy, heavy + 1]), 0, len(distinct) - 1))
    fixed = fenced if len(fenced) <= (bins + 1) // 2 else heavy
    is_light = np.ones(len(distinct), bool)
    is_light[heavy] = False
    rest = ordered[np.repeat(is_light, counts)] if len(heavy) else ordered
    # the quantiles of sorted values by the inverse of their distribution function (np.quantile's "inverted_cdf")
    places = np.ceil(len(rest) * np.linspace(0, 1, bins + 1 - len(fixed)) - 1).astype(np.int64)
    return np.unique(np.concatenate([distinct[fixed], rest[np.maximum(places, 0)]]))


class Scaling(State):
    """How numbers reach the wire: ``clip((value - center) / scale)``, computed in float64, kept as float32.

    float32 alone could not tell two timestamps of 1.7e9 seconds apart that lie less than 128 seconds from each other.
    """

    center: float
    """The value that becomes 0."""
    scale: float
    """The distance that becomes 1."""
    edges: tuple[float, ...] = ()
    """Strictly increasing bin edges in the units of the wire, each exact in float32."""
    baseline: float = 0.0
    """The median in the units of the wire."""

    @classmethod
    def learn(cls, ordered: Floats, center: float, scale: float, bins: int | None = None) -> Self:
        """Learn the edges and the baseline for a given centre and scale.

        Args:
            ordered: Sorted training values (n,), finite, n >= 1.
            center: The value that becomes 0.
            scale: The distance that becomes 1.
            bins: The most bins, or ``None`` for no edges.
        """
        plain = cls(center=center, scale=scale)
        baseline = float(plain.apply(ordered[(len(ordered) - 1) // 2 :][:1])[0])
        edges: list[float] = []
        if bins:
            wire = plain.apply(bin_edges(ordered, bins))
            wire[np.abs(wire) < _TINY] = 0.0  # so that one over the width of a bin is finite in float32
            edges = np.unique(wire).tolist()
        return cls(center=center, scale=scale, edges=tuple(edges) if len(edges) > 1 else (), baseline=baseline)

    @classmethod
    def standard(cls, ordered: Floats, bins: int | None = None) -> Self:
        """Scale by the mean and the standard deviation."""
        return cls.learn(ordered, float(ordered.mean()), spread(ordered), bins)

    @classmethod
    def winsorised(cls, ordered: Floats, bins: int | None = None) -> Self:
        """Scale by the mean and the standard deviation of the values limited to their 0.5 % and 99.5 % quantiles."""
        inner = np.clip(ordered, *np.quantile(ordered, [0.005, 0.995]))
        inner = inner if inner[0] < inner[-1] else ordered
        return cls.learn(ordered, float(inner.mean()), spread(inner), bins)

    @classmethod
    def robust(cls, ordered: Floats) -> Self:
        """Scale by the median and the interquartile range, or the standard deviation where that range is empty."""
        first, median, third = np.quantile(ordered, [0.25, 0.5, 0.75])
        return cls.learn(ordered, float(median), float(third - first) or spread(ordered))

    def apply(self, values: Floats) -> NDArray[np.float32]:
        """Scale values of any shape; NaN stays."""
        with np.errstate(over="ignore"):
            return np.clip((values - self.center) / self.scale, -LIMIT, LIMIT).astype(np.float32)

    def facts(self, label: str, view: Any, *, missing: bool) -> NumberFacts:
        """Return the facts of a column that is scaled so; without edges the view is ``standard``."""
        return NumberFacts(label, view if self.edges else "standard", self.edges, missing, self.baseline)


# Several columns side by side -----------------------------------------------------------------------------------------------


def side_by_side(column: pl.Series) -> Floats:
    """Return a column of Array(Float64) as (B, C), NaN where a value, or a row, is missing."""
    width = column.dtype.shape[0] if isinstance(column.dtype, pl.Array) else 0
    parts = [column.arr.get(i).cast(pl.Float64).fill_null(np.nan).to_numpy() for i in range(width)]
    return np.stack(parts, 1) if parts else np.zeros((len(column), 0))


def learnt_scales(column: pl.Series, names: Sequence[str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each of several columns side by side, 1 for a constant.

    Args:
        column: Array(Float64).
        names: The columns' names, for messages.

    Raises:
        DataError: A column has no finite number (E260).
    """
    centers, scales = [], []
    values = side_by_side(column)
    for index, each in enumerate(values.T):
        known = np.sort(np.clip(each[np.isfinite(each)], -HUGE, HUGE))  # sums do not depend on the order of the rows
        if not len(known):
            raise no_values(column.alias(names[index] if index < len(names) else column.name), "number")
        centers.append(float(known.mean()))
        scales.append(spread(known))
    if not centers:
        raise no_values(column, "number")
    return tuple(centers), tuple(scales)


def columns_scaled(values: Floats, centers: Sequence[float], scales: Sequence[float]) -> NDArray[np.float32]:
    """Return standardised values (B, C), computed in float64; NaN stays, infinite ones are as large as the wire carries."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values - np.asarray(centers)) / np.asarray(scales)
    return np.asarray(np.clip(scaled, -LIMIT, LIMIT), np.float32)
