"""Categories: one of several values without an order."""

from __future__ import annotations

import zlib
from itertools import accumulate
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from deepwright.encoding import Labels, decode_classes, label_counts
from deepwright.errors import DataError
from deepwright.facts import CategoryFacts, Facts, TargetFacts
from deepwright.families import Feature, State

_BUCKETS = 1024
_FIRST = 2
"""The id of the first known value; 0 is missing, 1 unseen or rare."""


class CategoryState(Labels):
    """What a category column taught."""

    ids: tuple[int, ...]
    """The id of each value: from 2 on, or 1 for a rare one."""
    known: int
    """How many values have an id of their own."""
    buckets: int
    """How many further ids the values without one of their own share; 0: they are all id 1."""
    dropped: int
    """How many values found no place under ``max_size``."""
    baseline: int
    """The most frequent id, hash buckets left aside."""


class Category(Feature):
    """One of several values. As an output: classification among the values of the training rows.

    A missing value is id 0. A value that training did not see, or saw fewer than ``min_count`` times, is id 1, so that id 1
    is trained on exactly the rare values and stands for what is unlike the common ones. An output has every value of the
    training rows as a class, in natural order, the rare ones too; with two of them the second is the positive class (see
    ``binary`` to choose it).
    """

    state: ClassVar[type[State]] = CategoryState

    min_count: int = Field(2, ge=1)
    """Inputs only: values of fewer training rows share the id of unseen values."""
    max_size: int = Field(10_000, ge=0)
    """The most values that are told apart; the most frequent stay."""
    hash: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Inputs only: how many buckets the values without an id of their own are spread over, by a stable hash (CRC-32), instead
    of sharing one; 0: none; ``auto``: 1024 if there are more values than ``max_size``. With ``max_size: 0`` all are hashed."""

    def fit(self, column: pl.Series) -> CategoryState:
        """Learn the values and their counts.

        Raises:
            DataError: There is no value (E260).
        """
        counts = label_counts(column, self.max_size)
        dropped = column.n_unique() - (column.null_count() > 0) - len(counts)
        common = [rows >= self.min_count for rows in counts.values()]
        ids = tuple(_FIRST - 1 + rank if own else 1 for rank, own in zip(accumulate(common), common, strict=True))
        buckets = (_BUCKETS if dropped else 0) if self.hash == "auto" else self.hash
        shares = {0: column.null_count()} | {i: rows for i, rows in zip(ids, counts.values(), strict=True) if i != 1}
        if not buckets:
            shares[1] = len(column) - sum(shares.values())
        return CategoryState(
            values=tuple(counts),
            counts=tuple(counts.values()),
            ids=ids,
            known=sum(common),
            buckets=buckets,
            dropped=dropped,
            baseline=max(sorted(shares), key=shares.__getitem__),
        )

    def encode(self, column: pl.Series, state: CategoryState) -> dict[str, NDArray[np.generic]]:
        """Return ``categories`` (B, 1)."""
        # UNKNOWN and MISSING are -1 and -2: they take the last two entries
        ids = np.asarray((*state.ids, 0, 1), dtype=np.int32)[state.positions(column)]
        if state.buckets:
            for row in np.flatnonzero(ids == 1).tolist():
                ids[row] = _FIRST + state.known + zlib.crc32(column[row].encode()) % state.buckets
        return {"categories": ids[:, None]}

    def facts(self, name: str, state: CategoryState) -> Facts:
        """Return the one column's facts."""
        return Facts(name, categories=(CategoryFacts(name, _FIRST + state.known + state.buckets, state.baseline),))

    def target(self, column: pl.Series, state: CategoryState) -> NDArray[np.int32]:
        """Return (B,) the class index, -1 if missing or unseen."""
        return state.targets(column)

    def target_facts(self, name: str, state: CategoryState) -> TargetFacts:
        """Return the classes; ``binary`` if there are two.

        Raises:
            DataError: There are more values than ``max_size`` (E264).
        """
        if state.dropped:
            total = len(state.values) + state.dropped
            raise DataError(
                "E264",
                "the output has too many classes",
                where=f"column {name}",
                got=f"{total:,} values in the training rows",
                expected=f"at most {self.max_size:,} (max_size)",
                fix=f"outputs: {{{name}: {{type: category, max_size: {total}}}}}, or make it a number",
            )
        kind: Literal["binary", "multiclass"] = "binary" if len(state.values) == 2 else "multiclass"
        return TargetFacts(name, kind, state.values, state.counts, sum(state.counts))

    def decode(self, name: str, outputs: NDArray[np.float32], state: CategoryState) -> pl.DataFrame:
        """Return the most probable label, and the probability of every class.

        Args:
            name: The output's name.
            outputs: (B, classes) probabilities.
            state: The learnt state.
        """
        return decode_classes(name, outputs, state.values)

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return small, constant, all-distinct and odd columns."""
        return {
            "three values": ["red", "green", "red", None, "blue", "green"],
            "two values": ["<=50K", ">50K", "<=50K", "<=50K"],
            "constant": ["a", "a", "a"],
            "all distinct": [f"id{i}" for i in range(20)],
            "numerals": ["10", "9", "9", "1", None, "10"],
            "odd texts": ["", "  ", "🙂", "a\nb", "", None, "ß"],
        }
