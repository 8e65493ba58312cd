"""Which rows belong together."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.encoding import no_values
from deepwright.facts import Dtype, TargetFacts
from deepwright.families import Feature, State
from deepwright.retrieval import place_counts

_MOST = 2_000_000
"""The most values that recur whose numbers of rows are remembered; the commonest ones are."""


class MatchState(State):
    """What a column of matches taught."""

    recurring: tuple[tuple[int, int], ...] = ()
    """The code of each value that several training rows have, and how many; the commonest first."""
    rows: int = 0
    """The training rows with a value."""


class Match(Feature):
    """Which rows of two inputs belong together, an output without labels: each row is a pair that matches.

    The network learns to tell the right partner from those of the other rows of its batch. The column says whose partners are the
    same and are not told apart: an identifier, or the second input itself (``data: {derive: {match: answer}}``). The prediction for
    a row is how alike the vectors of its two inputs are.
    """

    dtype: ClassVar[Dtype] = "text"
    state: ClassVar[type[State]] = MatchState
    strata: ClassVar[bool] = False

    def fit(self, column: pl.Series) -> MatchState:
        """Learn which values recur, and how often.

        Raises:
            DataError: There is no value (E260).
        """
        known = column.drop_nulls()
        if known.is_empty():
            raise no_values(column, "value")
        counts = known.value_counts().filter(pl.col("count") > 1)
        found = zip(_codes(counts[column.name]).tolist(), counts["count"].to_list(), strict=True)
        recurring = sorted(found, key=lambda pair: (-pair[1], pair[0]))[:_MOST]
        return MatchState(recurring=tuple(recurring), rows=len(known))

    def target(self, column: pl.Series, state: MatchState) -> NDArray[np.int64]:
        """Return (B,) a code that rows of equal values share, -1 where missing."""
        del state
        return _codes(column)

    def target_facts(self, name: str, state: MatchState) -> TargetFacts:
        """Return how often values recur."""
        return TargetFacts(name, "match", rows=state.rows, recurring=state.recurring)

    def counts(
        self, outputs: NDArray[Any], target: NDArray[Any], state: MatchState, likelihood: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return what :func:`deepwright.retrieval.place_counts` tells of each row's partner among those of all rows."""
        del state, likelihood
        return place_counts(outputs[:, 0], outputs[:, 1], target)

    def decode(self, name: str, outputs: NDArray[Any], state: MatchState) -> pl.DataFrame:
        """Return how alike the two vectors of each row are: their product, which is the cosine unless the head measures otherwise.

        Args:
            name: The output's name.
            outputs: (B, 2, D) vectors.
            state: The learnt state.
        """
        del state
        alike = np.einsum("bd,bd->b", outputs[:, 0], outputs[:, 1]) if len(outputs) else np.zeros(0, np.float32)
        return pl.DataFrame([pl.Series(name, alike, dtype=pl.Float32)])

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return identifiers, some of which recur."""
        return {"recurring": ["a", "b", "a", None, "c"], "distinct": ["one", "two", "three"]}


def _codes(column: pl.Series) -> NDArray[np.int64]:
    """Return the same 63-bit number for equal values, whatever the version of any library; -1 where missing."""
    distinct = column.drop_nulls().unique(maintain_order=True)
    codes = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1 for text in distinct]
    table = pl.DataFrame({"value": distinct, "code": pl.Series(codes, dtype=pl.Int64)})
    asked = pl.DataFrame({"value": column})
    return asked.join(table, on="value", how="left", maintain_order="left")["code"].fill_null(-1).to_numpy().astype(np.int64)
