"""An evaluation in a line, and the rows that a report shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.datapath import DataPath, pictured
from deepwright.metrics import METRICS, OutputReport
from deepwright.reporting.examples import example_rows
from deepwright.table import Table


def headline(report: OutputReport) -> str:
    """Return the first metrics of an output in one line, each with its interval, and the naive baseline."""
    shown = []
    for name in list(report.metrics)[:4]:
        measure = report.metrics[name]
        if measure.value is None:
            continue
        interval = "" if measure.low is None or measure.high is None else f" [{_figure(measure.low)}, {_figure(measure.high)}]"
        shown.append(f"{METRICS[report.kind][name].label} {measure.value:.4f}{interval}")
    main = report.baseline.get(report.main)
    naive = f"   ({report.baseline_text}: {METRICS[report.kind][report.main].label} {_figure(main)})" if main is not None else ""
    return f"{report.name}: " + "   ".join(shown) + naive


def _figure(value: float) -> str:
    """Return four digits; what is zero but for rounding is zero."""
    return f"{0.0 if abs(value) < 1e-9 else value:.4g}"


def worst_rows(
    data: DataPath, ready: Table, reports: Mapping[str, OutputReport], outputs: Mapping[str, NDArray[Any]]
) -> dict[str, pl.DataFrame]:
    """Return, for each output, its worst rows with what was predicted, for the report; of pixels, some middling and good ones, too.

    Args:
        data: What was learnt.
        ready: Prepared rows.
        reports: The report of each output.
        outputs: The outputs' values.
    """
    found, pairs = {}, pictured(data.recipe)
    for name, report in reports.items():
        if name in pairs:
            found[name] = example_rows(data, ready.frame, name, pairs[name], report, outputs[name])
            continue
        rows: NDArray[np.int64] = np.array(report.worst[:12], np.int64)
        predictions = data.decode_one(name, outputs[name][rows], ready.frame[rows])
        own = [column for column in predictions.columns if column == name or column.startswith(f"{name}:")]
        renamed = [pl.col(column).alias("predicted" + column.removeprefix(name)) for column in own]
        shown = ready.frame[rows]
        if name in shown.columns:
            shown = shown.with_columns(data.recipe.outputs[name].actual(shown[name], data.outputs[name]))
        found[name] = pl.concat([shown, predictions.select(renamed)], how="horizontal")
    return found
