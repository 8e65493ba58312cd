"""Pairs of a user and an item that were not there, drawn beside those that were, for implicit feedback (floor 2)."""

from __future__ import annotations

import numpy as np
import polars as pl

from deepwright.errors import RecipeError, nearest
from deepwright.recipe import Negatives
from deepwright.table import Note, Table, cast

YES, NO = "yes", "no"
"""The labels of pairs that were there, and of those that were drawn."""

TRIES = 20
"""How often a pair is drawn anew that was there after all; a user with nearly all items gets fewer."""


def with_output(table: Table, rule: Negatives) -> Table:
    """Return the rows with the output that they all have: :data:`YES`.

    Raises:
        RecipeError: The output is a column already (E124), or a column that is named is not there (E107).
    """
    if rule.output in table.columns:
        raise RecipeError("E124", f"there is a column {rule.output!r} already", where="data.negatives.output", got=table.name)
    for key, names in (("user", [rule.user]), ("item", [rule.item]), ("columns", rule.columns)):
        for name in names:
            if name not in table.columns:
                raise RecipeError(
                    "E107",
                    f"there is no column {name!r}{nearest(name, table.columns)}",
                    where=f"data.negatives.{key}",
                    got=", ".join(table.columns[:30]),
                )
    return table.with_frame(table.frame.with_columns(pl.lit(YES).alias(rule.output)))


def drawn(table: Table, known: Table, rule: Negatives, seed: int) -> Table:
    """Return the rows, and ``rule.count`` rows more for each: the same user with an item that ``known`` does not have of it.

    Items are drawn uniformly from those of ``known``; their columns are those of their first row there.

    Args:
        table: Rows of ``known``.
        known: All rows, whatever their side of the split.
        rule: The recipe's declaration.
        seed: The seed of the draws.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    offer = known.frame.drop_nulls(rule.item).unique(rule.item, keep="first", maintain_order=True).select(rule.item, *rule.columns)
    users = pl.DataFrame({"key": _text(known, rule.user).unique(maintain_order=True)}).with_row_index("code")
    places = pl.DataFrame({"key": _text(table.with_frame(offer), rule.item)}).with_row_index("code")

    def codes(rows: Table, name: str, index: pl.DataFrame) -> pl.Series:
        asked = pl.DataFrame({"key": _text(rows, name)})
        return asked.join(index, on="key", how="left", nulls_equal=True, maintain_order="left")["code"].cast(pl.Int64)

    taken = np.unique((codes(known, rule.user, users) * len(offer) + codes(known, rule.item, places)).drop_nulls().to_numpy())
    rows = np.repeat(np.arange(len(table)), rule.count)
    base = codes(table, rule.user, users).to_numpy()[rows] * len(offer)
    chosen = np.full(len(rows), -1)
    for _ in range(TRIES):
        open_ = np.flatnonzero(chosen < 0)
        picks = random.integers(0, max(len(offer), 1), len(open_))
        fresh = ~np.isin(base[open_] + picks, taken)
        chosen[open_[fresh]] = picks[fresh]
    rows, chosen = rows[chosen >= 0], chosen[chosen >= 0]
    more = table.frame[rows].with_columns(offer[chosen].get_columns()).with_columns(pl.lit(NO).alias(rule.output))
    note = Note("negatives", f"{len(rows):,} pairs that were not there are drawn beside {len(table):,} that were", len(rows))
    return table.with_frame(pl.concat([table.frame, more], how="vertical_relaxed"), note)


def _text(table: Table, name: str) -> pl.Series:
    """Return identifiers as texts, so that numbers and their numerals are the same."""
    return cast(table.frame[name], "text", where=f"{table.name}: column {name}")[0]
