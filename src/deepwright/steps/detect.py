"""detect: which rows in order of time are unusual, by what a bundle says of them (no torch unless asked for)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepwright.bundle import Bundle
from deepwright.datapath import DataPath, tidied
from deepwright.detecting import LEVEL, Calibration, judged, scores, told
from deepwright.errors import DataError, UsageError
from deepwright.families import Source
from deepwright.opening import Engine, open_predictor, read_rows
from deepwright.origins import Reach, foretells, step_of, windowed
from deepwright.progress import Event, Listener, silent
from deepwright.table import Table
from deepwright.timeline import arranged

TRUE = ("1", "1.0", "true", "yes")
"""What stands for an unusual row in a column of truth."""


def detect(
    bundle: Path,
    source: Source | Table | str,
    *,
    alarms: float = 0.001,
    truth: str | None = None,
    engine: Engine = "auto",
    listener: Listener = silent,
) -> tuple[pl.DataFrame, dict[str, Any] | None]:
    """Score every row.

    Args:
        bundle: A bundle with a forecast.
        source: Rows with a time.
        alarms: The share of usual rows that are alarms nonetheless.
        truth: A column that tells which rows are unusual (1, true, yes), to judge the alarms by.
        engine: What computes; see :func:`deepwright.steps.predict.predict`.
        listener: Hears of notes and progress.

    Returns:
        A row for each row in order of time: its time, ``score``, ``alarm``, the ``column`` that errs most, what was ``told`` of it
        and its ``value``; the score is null where no window says anything. And how alarms agree with the truth, if that is told.

    Raises:
        BundleError: The bundle is damaged.
        DataError: The rows do not fit, or there are too few (E236).
        UsageError: The bundle makes no forecasts, or was trained without validation rows (E707); ``alarms`` is no share (E701).
    """
    opened = Bundle.open(bundle)
    calibration = _calibration(opened)
    if not 0 < alarms <= 1 - LEVEL:
        raise UsageError("E701", "not a share of alarms", got=alarms, expected=f"more than 0, at most {1 - LEVEL:g}")
    predictor = open_predictor(opened, engine)
    data = predictor.data
    table = tidied(opened.recipe, read_rows(source, opened.recipe))
    if truth is not None and truth not in table.columns:
        raise UsageError(
            "E701",
            f"no column {truth!r} tells the truth",
            where=table.name,
            expected=", ".join(table.columns[:20]),
            fix="--truth COLUMN",
        )
    line = arranged(table, opened.recipe.data, step_of(data) or None)
    ready = data.prepare(line.table, outputs=True)
    reach = Reach.of(opened.recipe)
    origins = reach.origins(0, len(ready))
    if not len(origins):
        raise DataError(
            "E236",
            "there are fewer rows than a score is made from",
            where=table.name,
            got=f"{len(ready):,} rows",
            expected=f"at least {reach.before + reach.behind:,}",
        )
    arrays, targets, notes = windowed(data, ready, origins, outputs=True)
    for note in (*line.table.notes, *notes):
        listener(Event("note", note.text, values={"what": note.what, "count": note.count}))
    said = told(predictor.backend, data, arrays, targets, origins, len(ready))
    score, worst = scores(said.errors, calibration.scales)
    limit = calibration.threshold(alarms)
    flags = np.nan_to_num(score, nan=-1.0) > limit
    text = f"{int(flags.sum()):,} of {len(flags):,} rows score above {limit:.3g}"
    listener(Event("detected", text, values={"alarms": int(flags.sum()), "threshold": limit}))
    frame = _frame(data, ready.frame, line.table.frame[line.time], score, flags, worst, said.values)
    return frame, None if truth is None else _agreement(line.table, truth, flags, score)


def _calibration(opened: Bundle) -> Calibration:
    found = opened.manifest.get("scores")
    if not foretells(opened.recipe) or found is None:
        raise UsageError(
            "E707",
            "the bundle cannot tell unusual rows",
            where=str(opened.path),
            got="no validation rows" if foretells(opened.recipe) else ", ".join(opened.recipe.outputs),
            expected="a forecast, trained with validation rows",
            fix="deepwright train DATA --time COLUMN",
        )
    return Calibration.model_validate(found)


def _frame(data: DataPath, frame: pl.DataFrame, times: pl.Series, score: Any, flags: Any, worst: Any, values: Any) -> pl.DataFrame:
    name, target = next(iter(data.target_facts().items()))
    channels = target.forecast.channels if target.forecast is not None else ()
    row = np.arange(len(frame))
    actual = frame[name].to_numpy()
    known = ~np.isnan(score)

    def each(numbers: Any) -> pl.Series:
        return pl.Series(np.where(known, numbers, np.nan)).fill_nan(None)

    return pl.DataFrame(
        {
            times.name: times,
            "score": each(score),
            "alarm": pl.Series(flags),
            "column": pl.select(pl.when(pl.Series(known)).then(pl.Series(np.asarray(channels)[worst]))).to_series(),
            "told": each(values[row, worst]),
            "value": each(actual[row, worst]),
        }
    )


def _agreement(table: Table, truth: str, flags: Any, score: Any) -> dict[str, Any]:
    said = table.frame[truth].cast(pl.String).str.to_lowercase().is_in(TRUE).fill_null(False).to_numpy()
    scored = ~np.isnan(score)
    return dict(judged(flags[scored], said[scored]))
