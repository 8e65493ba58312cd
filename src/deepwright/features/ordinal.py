"""Ordinals: categories with an order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, field_validator

from deepwright.encoding import Label, Labels, Scaling, decode_classes, label_counts, natural_order
from deepwright.errors import DataError, Problem, nearest
from deepwright.facts import Facts, TargetFacts
from deepwright.families import Feature, State

_SCALES: tuple[tuple[str, ...], ...] = (
    ("very poor", "poor", "fair", "good", "very good", "premium", "ideal"),
    ("very poor", "very bad", "poor", "bad", "below average", "fair", "average", "typical", "good", "very good", "excellent"),
    ("none", "very low", "low", "medium", "moderate", "high", "very high", "critical"),
    ("none", "minimal", "mild", "moderate", "severe", "critical"),
    ("tiny", "small", "medium", "large", "huge"),
    ("xxs", "xs", "s", "m", "l", "xl", "xxl", "xxxl"),
    ("never", "rarely", "seldom", "sometimes", "often", "usually", "always"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"),
    ("primary", "secondary", "tertiary"),
    ("beginner", "intermediate", "advanced", "expert"),
    ("bronze", "silver", "gold", "platinum", "diamond"),
    ("first", "second", "third", "fourth", "fifth"),
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
)
_NUMERAL = re.compile(r"\d+(?:\.\d+)?")


class OrdinalState(Labels):
    """What an ordinal column taught: ``values`` are in their order."""

    missing: int
    """Training rows without a value."""
    wire: Scaling
    """How the rank of an input reaches the wire."""


class Ordinal(Feature):
    """One of several values with an order. As an output: ordinal classification, which knows that near misses are better.

    An input travels as its rank, scaled; each rank has a bin of its own. A value that training did not see counts as missing.
    Without ``order``, the order is inferred where it is beyond doubt: from numbers in the values (``0-9``, ``10-19``, ``20+``)
    or well-known scales (poor … excellent, low … high, S … XL).
    """

    state: ClassVar[type[State]] = OrdinalState

    order: tuple[Label, ...] | None = Field(None, min_length=2)
    """The values from least to greatest; inferred by default."""

    @field_validator("order")
    @classmethod
    def _distinct(cls, order: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if order is not None and len(set(order)) < len(order):
            raise ValueError("the order holds a value twice")
        return order

    def fit(self, column: pl.Series) -> OrdinalState:
        """Learn the counts, and the order if it is not declared.

        Raises:
            DataError: There is no value (E260), ``order`` leaves values out (E262), or the order cannot be inferred (E263).
        """
        counts = label_counts(column)
        order = self.order or infer_order(counts)
        if order is None:
            raise DataError(
                "E263",
                "the order of the values cannot be inferred",
                where=f"column {column.name}",
                got=", ".join(repr(label) for label in list(counts)[:10]) + (", …" if len(counts) > 10 else ""),
                fix=f"{column.name}: {{type: ordinal, order: [{', '.join(list(counts)[:20])}]}}, from least to greatest",
            )
        if unknown := [label for label in counts if label not in order]:
            more = f" (and {len(unknown) - 10} more values)" if len(unknown) > 10 else ""
            raise DataError.of(
                Problem(
                    "E262",
                    f"order leaves out {label!r}, which {counts[label]:,} rows hold{nearest(label, order)}{more}",
                    where=f"column {column.name}",
                    expected=" < ".join(order[:20]),
                    fix=f"add it to the order, or   data: {{clean: {{{column.name}: {{replace: {{{label}: VALUE}}}}}}}}",
                )
                for label in unknown[:10]
            )
        rows = tuple(counts.get(label, 0) for label in order)
        wire = Scaling.standard(np.repeat(np.arange(len(order), dtype=np.float64), rows), bins=len(order))
        return OrdinalState(values=order, counts=rows, missing=column.null_count(), wire=wire)

    def encode(self, column: pl.Series, state: OrdinalState) -> dict[str, NDArray[np.generic]]:
        """Return ``numbers`` (B, 1)."""
        ranks = state.positions(column)
        return {"numbers": state.wire.apply(np.where(ranks < 0, np.nan, ranks))[:, None]}

    def facts(self, name: str, state: OrdinalState) -> Facts:
        """Return the one column's facts."""
        return Facts(name, numbers=(state.wire.facts(name, "piecewise", missing=state.missing > 0),))

    def target(self, column: pl.Series, state: OrdinalState) -> NDArray[np.int32]:
        """Return (B,) the rank from 0 on, -1 if missing or unseen."""
        return state.targets(column)

    def target_facts(self, name: str, state: OrdinalState) -> TargetFacts:
        """Return the classes in their order."""
        return TargetFacts(name, "ordinal", state.values, state.counts, sum(state.counts))

    def decode(self, name: str, outputs: NDArray[np.float32], state: OrdinalState) -> pl.DataFrame:
        """Return the most probable label, and the probability of every class.

        Args:
            name: The output's name.
            outputs: (B, classes) probabilities.
            state: The learnt state.
        """
        return decode_classes(name, outputs, state.values)

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return columns with a known scale, numbers, ranges, and one value."""
        return {
            "scale": ["Good", "Fair", "Ideal", None, "Very Good", "Good"],
            "numerals": ["1", "2", "10", "2"],
            "ranges": ["18-24", "<18", "65+", "25-64", None],
            "constant": ["low", "low"],
        }


def infer_order(labels: Iterable[str]) -> tuple[str, ...] | None:
    """Return the labels in order where it is beyond doubt: known scales, numerals, ranges; else ``None``."""
    listed = natural_order(labels)
    if len(listed) == 1:
        return tuple(listed)
    ranks: dict[str, float] = {}
    for scale in _SCALES:
        words = [word for label in listed for word in scale if label.strip().casefold() == word]
        if len(words) == len(set(words)) == len(listed):
            return tuple(sorted(listed, key=lambda label: scale.index(label.strip().casefold())))
    for label in listed:
        if not (numerals := _NUMERAL.findall(label)):
            return None
        below = label.lstrip().casefold().startswith(("<", "≤", "under", "below", "less", "up to"))
        above = label.rstrip().casefold().endswith(("+", "over", "more")) or label.lstrip().startswith((">", "≥"))
        negative = -1.0 if label.lstrip().startswith("-") else 1.0
        ranks[label] = negative * float(numerals[0]) - 0.25 * below + 0.25 * above
    if len(set(ranks.values())) < len(ranks):
        return None
    return tuple(sorted(listed, key=ranks.__getitem__))
