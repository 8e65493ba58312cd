"""Forecasts and the windows that they are made from: where one can begin, and what it then knows (floor 5, free of torch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright import metrics
from deepwright.datapath import Arrays, DataPath, tidied
from deepwright.derive import made_of, needed_columns
from deepwright.errors import DataError, Problem
from deepwright.facts import ForecastFacts
from deepwright.features.ahead import Ahead
from deepwright.features.forecast import Forecast, ForecastState
from deepwright.features.window import Window
from deepwright.recipe import Recipe
from deepwright.table import Note, Table
from deepwright.timeline import Timeline, arranged, following
from deepwright.windows import filled, views


def foretells(recipe: Recipe) -> bool:
    """Return whether the outputs are forecasts of rows in order of time."""
    return any(isinstance(feature, Forecast) for feature in recipe.outputs.values())


@dataclass(frozen=True)
class Reach:
    """How far windows reach from an origin, the last row that a forecast knows.

    Args:
        before: Rows up to the origin, itself included, that windows and naive forecasts need.
        behind: Rows behind it that are foretold.
        first: The first row that is told, counted from the origin: 1, or one of the past.
    """

    before: int
    behind: int
    first: int = 1

    @classmethod
    def of(cls, recipe: Recipe) -> Reach:
        """Return the reach of a resolved recipe."""
        lengths = [feature.length or 1 for feature in recipe.inputs.values() if isinstance(feature, Window)]
        told = next(feature for feature in recipe.outputs.values() if isinstance(feature, Forecast))
        before = max([*lengths, (told.season or 1) + (told.horizon if told.past else 0)])
        return cls(before, 0 if told.past else told.horizon, 1 - told.horizon if told.past else 1)

    def origins(self, begin: int, end: int, stride: int = 1) -> range:
        """Return the origins whose forecasts lie in the rows from ``begin`` to ``end``; what they know may lie before."""
        return range(max(begin - self.first, self.before - 1), end - self.behind, stride)


def windowed(data: DataPath, ready: Table, origins: range, *, outputs: bool) -> tuple[Arrays, Arrays, list[Note]]:
    """Return what is known at each origin, and what is foretold, as views of the rows; and what was missing.

    Args:
        data: What was learnt.
        ready: Prepared rows, in order of time.
        origins: The last known row of each forecast.
        outputs: Whether the rows behind are there, so that there are targets.
    """
    arrays: Arrays = {}
    targets: Arrays = {}
    notes: list[Note] = []
    for key, rows in data.encode(ready).items():
        feature = data.recipe.inputs[key.rpartition(".")[0]]
        whole, count = filled(rows.astype("float32", copy=False))
        if count:
            text = f"{key.rpartition('.')[0]}: {count:,} missing values are the last known ones before them"
            notes.append(Note("filled", text, count))
        if isinstance(feature, Ahead):
            arrays[key] = views(whole, 0, feature.length or 1, origins)
        else:
            arrays[key] = views(whole, getattr(feature, "length", None) or 1, 0, origins)
    if outputs:
        for name, rows in data.targets(ready).items():
            feature = data.recipe.outputs[name]
            if isinstance(feature, Forecast):
                before, behind = (feature.season or 1) + feature.horizon * feature.past, feature.horizon * (not feature.past)
                targets[name] = views(rows, before, behind, origins)
    return arrays, targets, notes


def latest(data: DataPath, table: Table) -> tuple[Timeline, Table, int]:
    """Return rows to be predicted from in order of time, prepared, and the last one in which anything is known of what is foretold.

    Raises:
        DataError: There are fewer rows than windows need (E236), what is known ahead is missing (E237), or they do not fit the
            model's columns.
    """
    recipe = data.recipe
    line = arranged(tidied(recipe, table), recipe.data, step_of(data) or None)
    frame = line.table.frame
    past = {channel for feature in recipe.inputs.values() if isinstance(feature, Window) for channel in feature.channels}
    # A derived column is known where all that it is made of is; one of the time alone always is, and tells nothing.
    sources = [made_of(name, recipe.data.derive)[0] - {line.time} for name in sorted(past)]
    own = [pl.all_horizontal(pl.col(*each).is_not_null()) for each in sources if each and each <= set(frame.columns)]
    places = frame.select(pl.any_horizontal(own)).to_series().arg_true() if own else pl.Series([], dtype=pl.UInt32)
    reach = Reach.of(recipe)
    last = int(places[-1]) if len(places) else -1 if own else len(frame) - 1
    if last + 1 < reach.before:
        raise DataError(
            "E236",
            "there are fewer rows than a forecast is made from",
            where=table.name,
            got=f"{last + 1:,} rows with values" if len(places) else "no row with a value",
            expected=f"the last {reach.before:,} rows",
            fix="bring more rows, or train with a shorter window: inputs: {NAME: {type: window, length: ROWS}}",
        )
    known = _known_ahead(recipe)
    if known is not None and last >= 0:
        line = _prolonged(line, last, reach.behind, known, step_of(data))
    return line, data.prepare(line.table, outputs=False), last


def _known_ahead(recipe: Recipe) -> tuple[str, ...] | None:
    """Return the columns that rows to predict from must hold ahead; nothing if the model reads none."""
    ahead = [feature for feature in recipe.inputs.values() if isinstance(feature, Ahead)]
    derived = recipe.data.derive
    needed = needed_columns(derived) - {str(recipe.data.time)}
    plain = {channel for feature in ahead for channel in feature.channels if channel not in derived}
    return tuple(sorted(plain | needed)) if ahead else None


def _prolonged(line: Timeline, last: int, count: int, known: tuple[str, ...], step: str) -> Timeline:
    """Return rows that end ``count`` behind the last known one, those that are not there with nothing but their time.

    Raises:
        DataError: What is known ahead is missing there (E237).
    """
    frame = line.table.frame[: last + 1 + count]
    missing = last + 1 + count - len(frame)
    if missing > 0:
        times = following(frame[line.time][-1], step, missing).cast(frame.schema[line.time])
        more = pl.DataFrame({line.time: times})
        frame = pl.concat([frame, more], how="diagonal_relaxed")
    lost = [name for name in known if name not in frame.columns or frame[name][last + 1 :].null_count()]
    if lost:
        raise DataError.of(
            Problem(
                "E237",
                f"{name} is known ahead, and missing in the rows that are foretold",
                where=line.table.name,
                expected=f"{count:,} rows behind {frame[line.time][last]} with a value of {name}",
            )
            for name in lost
        )
    return Timeline(line.table.with_frame(frame), line.time, line.step)


def step_of(data: DataPath) -> str:
    """Return the step that was learnt, a duration such as ``1h``; empty if times are irregular."""
    return next((str(state.step) for state in data.outputs.values() if isinstance(state, ForecastState)), "")


PICTURES, SHOWN = 6, 400
"""Forecasts that a report shows, and the rows of each side of one at most."""


def judged(
    data: DataPath,
    outputs: Mapping[str, NDArray[Any]],
    targets: Mapping[str, NDArray[Any]],
    arrays: Arrays,
    ready: pl.DataFrame,
) -> dict[str, metrics.OutputReport]:
    """Return the report of each output, of forecasts with some of them beside what came.

    Args:
        data: What was learnt.
        outputs: The outputs' values.
        targets: As the data path encodes them.
        arrays: What the outputs were made from.
        ready: The prepared rows.
    """
    measured, facts = data.measured(outputs, targets, ready), data.measured_facts()
    # Targets of answers are their first and last token.
    sizes = {name: targets[name][:, 1] - targets[name][:, 0] + 1 for name, each in facts.items() if each.kind == "answer"}
    reports = {name: metrics.evaluate(facts[name], *measured[name], sizes=sizes.get(name)) for name in facts}
    if foretells(data.recipe):
        # The longest window tells most of what was before.
        name, window = max(
            ((name, feature) for name, feature in data.recipe.inputs.items() if isinstance(feature, Window)),
            key=lambda item: item[1].length or 0,
        )
        past = tuple(window.channels), arrays[f"{name}.window"]
        shown = {name: _shown(facts[name].forecast, outputs[name], targets[name], *past) for name in reports}
        reports = {name: report.model_copy(update={"windows": shown[name]}) for name, report in reports.items()}
    return reports


def _shown(
    facts: ForecastFacts | None, outputs: NDArray[Any], target: NDArray[Any], channels: tuple[str, ...], past: NDArray[Any]
) -> tuple[metrics.Window, ...]:
    """Return some forecasts, spread over all of them and over the columns."""
    if facts is None or not len(outputs):
        return ()
    rows = np.unique(np.linspace(0, len(outputs) - 1, PICTURES).round().astype(int))
    spread = np.linspace(0, len(facts.channels) - 1, len(rows)).round().astype(int)
    found = []
    for row, channel in zip(rows.tolist(), spread.tolist(), strict=True):
        center, scale = facts.centers[channel], facts.scales[channel]

        def units(values: NDArray[Any], center: float = center, scale: float = scale) -> tuple[float | None, ...]:
            known = values.astype(np.float64) * scale + center
            return tuple(None if np.isnan(value) else float(value) for value in known)

        name, most = facts.channels[channel], min(SHOWN, 2 * facts.horizon)
        # What a naive forecast repeats, if windows are of other columns.
        before = past[row, -most:, channels.index(name)] if name in channels else target[row, : facts.season, channel]
        told = outputs[row, :SHOWN, channel].astype(np.float64)
        middle = told[:, facts.quantiles.index(0.5)] if facts.quantiles else told
        band = {"low": tuple(told[:, 0].tolist()), "high": tuple(told[:, -1].tolist())} if len(facts.quantiles) > 1 else {}
        actual = units(target[row, facts.season :, channel][:SHOWN])
        found.append(
            metrics.Window(
                name=name,
                origin=row,
                before=units(before),
                actual=actual,
                predicted=tuple(middle.tolist()),
                **band,
            )
        )
    return tuple(found)
