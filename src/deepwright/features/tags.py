"""Tags: any number of labels a row."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from deepwright.casting import split_tags
from deepwright.encoding import Labels, label_counts, no_values, probability_columns
from deepwright.facts import Dtype, Facts, NumberFacts, TargetFacts
from deepwright.families import Feature, State


class TagsState(Labels):
    """What a tags column taught: ``values`` are the tags in natural order."""

    rows: int
    """Training rows that are not missing (they may have no tag)."""
    missing: int
    """Missing training rows."""


class Tags(Feature):
    """Any number of tags a row. As an output: multi-label classification, one probability a tag.

    An empty list has no tag; a missing list is missing. Tags that training did not see, or not often enough, are left out.
    """

    dtype: ClassVar[Dtype] = "tags"
    state: ClassVar[type[State]] = TagsState

    min_count: int = Field(1, ge=1)
    """Tags of fewer training rows are left out."""
    max_size: int = Field(1000, ge=1)
    """The most tags; the most frequent stay."""
    separator: str | None = None
    """What stands between the tags of a text; by default ``|``, ``;`` or ``,``, whichever most rows of the training table hold, and
    written down. ``""``: a text is one tag. Lists need none."""
    threshold: float = Field(0.5, gt=0, lt=1)
    """Outputs only: the probability from which on a tag is predicted."""

    def read(self, column: pl.Series) -> pl.Series:
        """Return texts split into their tags."""
        return column if self.separator is None or column.dtype != pl.String else split_tags(column, self.separator)

    def fit(self, column: pl.Series) -> TagsState:
        """Learn the tags and how many rows carry each.

        Raises:
            DataError: There is no tag that is frequent enough (E260).
        """
        rows = column.drop_nulls()
        single = rows.list.drop_nulls().list.unique()
        counts = {k: n for k, n in label_counts(single.explode().alias(column.name)).items() if n >= self.min_count}
        if not counts:
            raise no_values(column, f"tag on {self.min_count} rows or more")
        kept = set(sorted(counts, key=lambda tag: -counts[tag])[: self.max_size])
        values = tuple(tag for tag in counts if tag in kept)
        return TagsState(
            values=values, counts=tuple(counts[tag] for tag in values), rows=len(rows), missing=len(column) - len(rows)
        )

    def encode(self, column: pl.Series, state: TagsState) -> dict[str, NDArray[np.generic]]:
        """Return ``numbers`` (B, tags) of 0 and 1, NaN rows if missing."""
        return {"numbers": self.target(column, state)}

    def facts(self, name: str, state: TagsState) -> Facts:
        """Return one number column a tag."""
        return Facts(name, numbers=tuple(NumberFacts(f"{name}.{tag}", missing=state.missing > 0) for tag in state.values))

    def target(self, column: pl.Series, state: TagsState) -> NDArray[np.float32]:
        """Return (B, tags) of 0 and 1, NaN rows if missing."""
        hot = np.zeros((len(column), len(state.values)), dtype=np.float32)
        lengths = column.list.len().fill_null(0).to_numpy()
        flat = column.filter(pl.Series(lengths > 0)).explode()
        positions = state.positions(flat)
        rows = np.repeat(np.arange(len(column)), lengths)
        hot[rows[positions >= 0], positions[positions >= 0]] = 1.0
        hot[column.is_null().to_numpy()] = np.nan
        return hot

    def target_facts(self, name: str, state: TagsState) -> TargetFacts:
        """Return the tags and the rows that carry each."""
        return TargetFacts(name, "multilabel", state.values, state.counts, state.rows)

    def decode(self, name: str, outputs: NDArray[np.float32], state: TagsState) -> pl.DataFrame:
        """Return the tags of each row as List(String), and the probability of every tag.

        Args:
            name: The output's name.
            outputs: (B, tags) probabilities.
            state: The learnt state.
        """
        tags = np.asarray(state.values, dtype=object)
        lists = [tags[row].tolist() for row in outputs >= self.threshold]
        first = pl.Series(lists, dtype=pl.List(pl.String))
        return pl.DataFrame({name: first} | probability_columns(name, outputs, state.values))

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return lists with repeated, missing and no tags."""
        return {
            "few": [["a", "b"], [], None, ["b", "b"], ["c"]],
            "odd": [["", "🙂"], ["🙂", None], ["10", "9"]],
            "constant": [["x"], ["x"]],
        }
