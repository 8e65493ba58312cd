"""The first step: what a data set holds and what is wrong with it (floor 6)."""

from __future__ import annotations

from deepwright.errors import UsageError, nearest
from deepwright.families import Source
from deepwright.opening import read_rows
from deepwright.profiling import Profile, profile
from deepwright.table import Table, tidy


def inspect(source: Source | Table | str, *, target: str | None = None, test: Source | Table | str | None = None) -> Profile:
    """Read, tidy and profile a data set; nothing is changed or written.

    Args:
        source: The data: a path, a source part or a table.
        target: The column that is to be predicted, for the findings that concern it.
        test: Test rows, to be compared with the data.

    Raises:
        DataError: The data cannot be read.
        RecipeError: No source recognises the path.
        UsageError: E701, the target is not a column.
    """
    table = tidy(read_rows(source))
    check_targets(table, [] if target is None else [target])
    return profile(table, target=target, test=None if test is None else tidy(read_rows(test)))


def check_targets(table: Table, targets: list[str]) -> None:
    """Refuse a target that is not a column.

    Raises:
        UsageError: E701, with the nearest column.
    """
    for target in targets:
        if target not in table.columns:
            raise UsageError(
                "E701",
                f"the target {target!r} is not a column{nearest(target, table.columns)}",
                where=table.name,
                expected="one of " + ", ".join(table.columns[:30]) + (", …" if len(table.columns) > 30 else ""),
                fix="--target COLUMN",
            )
