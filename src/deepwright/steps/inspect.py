"""The first step: what a data set holds and what is wrong with it (floor 6)."""

from __future__ import annotations

from deepwright.advising import advised
from deepwright.errors import DataError, UsageError, nearest
from deepwright.families import Source
from deepwright.findings import Finding, Severity
from deepwright.opening import read_rows
from deepwright.profiling import Profile, profile
from deepwright.recipe import Data
from deepwright.table import Table, tidy
from deepwright.timeline import arranged, season_of, words


def inspect(
    source: Source | Table | str,
    *,
    target: str | None = None,
    test: Source | Table | str | None = None,
    time: str | None = None,
) -> Profile:
    """Read, tidy and profile a data set, and tell what it may be for; nothing is changed or written.

    Args:
        source: The data: a path, a source part or a table.
        target: The column that is to be predicted, for the findings that concern it.
        test: Test rows, to be compared with the data.
        time: The column of the rows' time, to look at it as forecasts do: order, step, gaps, rows of the same time.

    Raises:
        DataError: The data cannot be read.
        RecipeError: No source recognises the path.
        UsageError: E701, the target is not a column.
    """
    table = tidy(read_rows(source))
    check_targets(table, [] if target is None else [target])
    seen = profile(table, target=target, test=None if test is None else tidy(read_rows(test)))
    if time is None:
        place = source if isinstance(source, str) else source.name if isinstance(source, Table) else source.path
        types = {column.name: column.type for column in seen.columns}
        return seen.model_copy(update={"advice": advised(table, types, place, target)})
    check_targets(table, [time])
    found = _of_time(table, time)
    return seen.model_copy(update={"findings": (*found, *seen.findings)})


def _of_time(table: Table, time: str) -> tuple[Finding, ...]:
    """Return what there is to say of the times of rows."""
    try:
        line = arranged(table, Data(time=time))
    except DataError as error:
        return tuple(
            Finding(code="time", severity="error", columns=(time,), text=f"{each.message}: {each.got}", fix=each.fix)
            for each in error.problems
        )
    step, season = words(line.step), season_of(line.step)
    text = f"a row is {step}" + (f", and {season} of them are a season" if season > 1 else "") if line.step else ""
    told: list[tuple[Severity, str]] = [("warn", note.text) for note in line.table.notes[len(table.notes) :]]
    told += [("info", text)] if text else []
    return tuple(Finding(code="time", severity=severity, columns=(time,), text=each) for severity, each in told)


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
