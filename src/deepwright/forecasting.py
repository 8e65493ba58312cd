"""From a recipe with forecasts to windows of training, validation and test rows (floor 5, free of torch).

in order of time → divide → learn from the training rows → clean, cast, encode once → windows as views

A forecast belongs to the side that all of its rows lie in; what it is made from may reach back into an earlier side, as it does in
use. Nothing is learnt from rows behind the training rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import polars as pl

from deepwright.datapath import DataPath
from deepwright.defaults import resolve_network
from deepwright.errors import DataError, Problem, RecipeError, nearest
from deepwright.families import Encoder, Feature
from deepwright.features.ahead import Ahead, turned
from deepwright.features.forecast import Forecast, ForecastState
from deepwright.features.window import Window
from deepwright.origins import Reach, windowed
from deepwright.preparation import LEAST_ROWS, Part, Prepared
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe, Spans
from deepwright.split import split_rows
from deepwright.table import Note, Table, fingerprint, unused
from deepwright.timeline import Timeline, arranged, borders, season_of, words

SMALL = {"type": "gru", "width": 16, "layers": 1, "dropout": 0.0}
"""The usual encoder of what is known ahead."""
SEASONS, HORIZONS, SHARE = 14, 2, 4
"""The usual window: so many seasons, two weeks of hours; without a season, so many horizons; at most this part of the rows."""


def prepare(recipe: Recipe, table: Table, held: Table | None, test_name: str, listener: Listener) -> Prepared:
    """Resolve a recipe with forecasts against tidy tables, and make windows of every side.

    Args:
        recipe: The recipe.
        table: The tidy training table.
        held: The tidy test table, if there is one; its windows lie in it alone.
        test_name: What the test rows are called.
        listener: Hears of notes.

    Raises:
        RecipeError: The recipe does not fit the data.
        DataError: The data cannot be learnt from.
    """
    digest = fingerprint(table)
    line = arranged(table, recipe.data)
    recipe, notes = declared(recipe, line)
    sides = _sides(recipe, line)
    learnt = sides[0][1]
    recipe = _resolved(recipe, line, learnt)
    _expect_enough(recipe, line, sides)
    notes = [*line.table.notes, *notes, _told(recipe), *_left_over(line, sides)]
    train_rows = line.table.with_frame(line.table.frame[:learnt])
    data = _fitted(recipe, train_rows, line.step)
    recipe = resolve_network(recipe, _count(recipe, 0, learnt), dict.fromkeys(recipe.outputs, "forecast"))
    data = dataclasses.replace(data, recipe=recipe)
    ready = data.prepare(line.table, outputs=True)
    notes += [note for note in ready.notes if note not in notes]
    parts = []
    stride = max(_stride(feature) for feature in recipe.outputs.values())
    for number, (begin, end) in enumerate(sides):
        part, more = _part(data, ready, begin, end, stride if number else 1)
        parts.append(part)
        notes += [note for note in more if note not in notes]
    train, validation, test = parts
    if held is not None:
        other = arranged(held, recipe.data, line.step or None)
        test = _part(data, data.prepare(other.table, outputs=True), 0, len(other.table), stride)[0]
        if not len(test):
            raise DataError("E236", "no forecast fits into the test rows", where=held.name, got=f"{len(held):,} rows")
    for note in notes:
        listener(Event("clean", note.text, values={"what": note.what, "count": note.count, "column": note.column}))
    columns = [
        {"name": name, "type": feature.type_name(), "role": role, "why": ", ".join(_channels(feature))}
        for role, features in (("input", recipe.inputs), ("output", recipe.outputs))
        for name, feature in features.items()
    ]
    return Prepared(recipe, data, train, validation, test if len(test) else None, test_name, None, notes, columns, digest)


def declared(recipe: Recipe, line: Timeline) -> tuple[Recipe, list[Note]]:
    """Name the columns of windows and forecasts.

    Raises:
        RecipeError: A column does not exist (E107), an input or output has a column's name, other inputs and outputs are declared,
            or a column of a window has no effect (E106).
    """
    if problems := list(_misfits(recipe, line)):
        raise RecipeError.of(problems)
    recipe = _with_cycles(recipe, line.time)
    numeric, notes = _numeric(recipe, line)
    outputs = {
        name: feature.model_copy(update={"channels": tuple(numeric)}) if _channels(feature) == ("all",) else feature
        for name, feature in recipe.outputs.items()
    }
    foretold = tuple(dict.fromkeys(channel for feature in outputs.values() for channel in _channels(feature)))
    if not foretold:
        raise RecipeError("E106", "there is no column of numbers to foretell", where="outputs", got=", ".join(line.table.columns))
    inputs: dict[str, Feature] = dict(recipe.inputs)
    if not any(isinstance(feature, Window) for feature in inputs.values()):
        inputs[unused("history", line.table.columns)] = Window()
    for name, feature in inputs.items():
        if isinstance(feature, Window) and feature.channels == "all":
            inputs[name] = feature.model_copy(update={"channels": tuple(numeric) if feature.mix else foretold})
    problems = [
        Problem(
            "E106",
            f"{name} is a window of other columns than are foretold, and each is foretold from its own past alone",
            f"inputs.{name}.channels",
            got=", ".join(_channels(feature)),
            expected=", ".join(foretold),
            fix=f"inputs: {{{name}: {{type: window, mix: true}}}}",
        )
        for name, feature in inputs.items()
        if isinstance(feature, Window) and not feature.mix and set(_channels(feature)) != set(foretold)
    ]
    if problems:
        raise RecipeError.of(problems)
    data = recipe.data.model_copy(update={"columns": "declared"})
    return recipe.replace(inputs=inputs, outputs=outputs, data=data), notes


def _misfits(recipe: Recipe, line: Timeline) -> Iterator[Problem]:
    columns = [*line.table.columns, *recipe.data.derive]
    if len(recipe.outputs) > 1:
        yield Problem(
            "E106",
            "a recipe has one forecast; its columns are foretold together",
            "outputs",
            got=", ".join(recipe.outputs),
            fix="outputs: {NAME: {type: forecast, channels: [COLUMN, COLUMN]}}",
        )
    told = next(iter(recipe.outputs.values()))
    if isinstance(told, Forecast) and told.past and any(isinstance(feature, Ahead) for feature in recipe.inputs.values()):
        yield Problem("E106", "what rebuilds the past does not look ahead", "inputs", fix="outputs: {NAME: {past: false}}")
    wanted: tuple[tuple[str, Mapping[str, Feature], tuple[type[Feature], ...]], ...] = (
        ("inputs", recipe.inputs, (Window, Ahead)),
        ("outputs", recipe.outputs, (Forecast,)),
    )
    for section, features, types in wanted:
        for name, feature in features.items():
            if not isinstance(feature, types):
                names = " or ".join(each.type_name() for each in types)
                yield Problem(
                    "E106",
                    f"beside forecasts, {section} are {names}",
                    f"{section}.{name}",
                    got=feature.type_name(),
                    fix=f"{section}: {{NAME: {{type: {types[0].type_name()}}}}}",
                )
            elif name in columns:
                yield Problem("E106", f"{name!r} is the name of a column", f"{section}.{name}", fix="give it another name")
            for channel in _channels(feature) if isinstance(feature, Window | Ahead | Forecast) else ():
                if channel not in columns and channel != "all":
                    message = f"there is no column {channel!r}{nearest(channel, columns)}"
                    yield Problem("E107", message, f"{section}.{name}.channels", got=", ".join(columns[:30]))


def _with_cycles(recipe: Recipe, time: str) -> Recipe:
    """Write the columns of the calendar down as derived ones."""
    inputs, derived = dict(recipe.inputs), dict(recipe.data.derive)
    for name, feature in inputs.items():
        if isinstance(feature, Ahead) and feature.cycles:
            waves = turned(time, feature.cycles)
            derived |= waves
            inputs[name] = feature.model_copy(update={"channels": (*feature.channels, *waves), "cycles": ()})
    return recipe.replace(inputs=inputs, data={"derive": derived}) if inputs != recipe.inputs else recipe


def _channels(feature: Feature) -> tuple[str, ...]:
    chosen = getattr(feature, "channels", ())
    return (chosen,) if isinstance(chosen, str) else tuple(chosen)


def _numeric(recipe: Recipe, line: Timeline) -> tuple[list[str], list[Note]]:
    """Return the columns of numbers that the recipe does not leave out, and what is not one."""
    found, notes = [], []
    ahead = [channel for feature in recipe.inputs.values() if isinstance(feature, Ahead) for channel in feature.channels]
    for name in line.table.columns:
        if name in (line.time, recipe.data.series, recipe.data.weight, *recipe.data.drop, *ahead):
            continue
        column = line.table.frame[name]
        numbers = column.cast(pl.Float64, strict=False) if column.dtype == pl.String or column.dtype.is_numeric() else None
        if numbers is not None and numbers.null_count() == column.null_count() < len(column):
            found.append(name)
        elif column.null_count() < len(column):
            notes.append(Note("left_out", f"{name} is not foretold: it does not hold numbers alone", column=name))
        else:
            notes.append(Note("left_out", f"{name} is not foretold: it holds no value", column=name))
    return found, notes


def _resolved(recipe: Recipe, line: Timeline, rows: int) -> Recipe:
    """Write down season, look-back and what is taken from windows."""
    usual = season_of(line.step)
    outputs: dict[str, Feature] = {
        name: feature.model_copy(update={"season": min(feature.season or usual, max(1, rows // SHARE))})
        if isinstance(feature, Forecast)
        else feature
        for name, feature in recipe.outputs.items()
    }
    ahead = max(feature.horizon for feature in outputs.values() if isinstance(feature, Forecast))
    season = max(feature.season or 1 for feature in outputs.values() if isinstance(feature, Forecast))
    length = max(1, min(SEASONS * season if season > 1 else HORIZONS * ahead, rows // SHARE))
    inputs: dict[str, Feature] = {}
    for name, feature in recipe.inputs.items():
        if isinstance(feature, Window):
            encoder = feature.encoder or Encoder.parse(feature.usual_encoder)
            update = {
                "length": feature.length or length,
                "season": feature.season or season,
                "encoder": encoder,
                "normalize": feature.normalize or encoder.normalized_by,
            }
            feature = feature.model_copy(update=update)
        elif isinstance(feature, Ahead):
            encoder = feature.encoder or Encoder.parse(SMALL)
            if "sequence" not in encoder.shapes():
                message = f"the encoder {encoder.type_name()} has no state for each row that is foretold"
                where = f"inputs.{name}.encoder"
                raise RecipeError("E108", message, where=where, expected="lstm, gru, rnn, tcn or transformer")
            feature = feature.model_copy(update={"length": ahead, "encoder": encoder})
        inputs[name] = feature
    return recipe.replace(inputs=inputs, outputs=outputs)


def _told(recipe: Recipe) -> Note:
    """Say what is foretold from what, which may not have been declared."""
    (feature,) = (each for each in recipe.outputs.values() if isinstance(each, Forecast))
    look_back = max(each.length or 1 for each in recipe.inputs.values() if isinstance(each, Window))
    names = _channels(feature)
    what = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    if feature.past:
        return Note("forecast", f"{look_back:,} rows of {what} are rebuilt")
    return Note("forecast", f"{feature.horizon:,} rows of {what} are foretold from {look_back:,} rows before")


Sides = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Where the training, validation and test rows begin, and where they end."""


def _sides(recipe: Recipe, line: Timeline) -> Sides:
    """Return the rows of each side.

    Raises:
        RecipeError: The split is not by time (E106).
        DataError: There are too few rows for its sides (E231).
    """
    split = recipe.data.split
    if split.by not in ("auto", "time", "file") or split.column not in (None, line.time):
        raise RecipeError(
            "E106",
            "rows of forecasts are divided by time alone",
            where="data.split",
            got=f"by {split.by}" + (f" of {split.column}" if split.column else ""),
            fix="data: {split: {by: time, validation: 0.1, test: 0.2}}",
        )
    times = line.table.frame[line.time]
    if split.spans is not None:
        spans: Spans = split.spans
        _, train, validation, test = borders(times, line.step, (spans.train, spans.validation, spans.test))
        return (0, train), (train, validation), (validation, test)
    rows = split_rows(line.table, split.model_copy(update={"by": "time", "column": line.time}))
    ends = [int(side[-1]) + 1 if len(side) else 0 for side in (rows.train, rows.validation, rows.test)]
    train = ends[0]
    validation = max(ends[1], train)
    # Of a rolling origin the blocks between those that validate and the test rows are on no side.
    test = int(rows.test[0]) if len(rows.test) else validation
    return (0, train), (train, validation), (test, max(ends[2], test))


def _left_over(line: Timeline, sides: Sides) -> list[Note]:
    notes, times = [], line.table.frame[line.time]
    for begin, end in ((sides[1][1], sides[2][0]), (sides[2][1], len(line.table))):
        if end > begin:
            text = f"{end - begin:,} rows behind {times[begin - 1]} are on no side of the split"
            notes.append(Note("split", text, end - begin))
    step = f"a row is {words(line.step)}" if line.step else ""
    return notes + [Note("time", step, len(line.table), line.time)] * bool(step)


def _fitted(recipe: Recipe, rows: Table, step: str) -> DataPath:
    """Learn from the training rows alone, and what they teach by their order."""
    data = DataPath.fit(recipe, rows)
    ready = data.prepare(rows, outputs=True)
    outputs = {
        name: feature.in_order(ready.frame[name], state, step)
        if isinstance(feature := recipe.outputs[name], Forecast) and isinstance(state, ForecastState)
        else state
        for name, state in data.outputs.items()
    }
    return dataclasses.replace(data, outputs=outputs)


def _count(recipe: Recipe, begin: int, end: int) -> int:
    return len(Reach.of(recipe).origins(begin, end))


def _stride(feature: Feature) -> int:
    return feature.stride if isinstance(feature, Forecast) else 1


def _part(data: DataPath, ready: Table, begin: int, end: int, stride: int) -> tuple[Part, list[Note]]:
    """Return the windows whose forecasts lie in the rows from ``begin`` to ``end``."""
    reach = Reach.of(data.recipe)
    # Values that lie behind the side are never looked at, not even to be filled in.
    known = ready.with_frame(ready.frame[:end])
    arrays, targets, notes = windowed(data, known, reach.origins(begin, end, stride), outputs=True)
    return Part(ready.with_frame(ready.frame.clear()), arrays, targets), notes


def _expect_enough(recipe: Recipe, line: Timeline, sides: Sides) -> None:
    """Refuse sides that no forecast fits into.

    Raises:
        DataError: E236.
    """
    reach, split = Reach.of(recipe), recipe.data.split
    spans = split.spans or Spans()
    judged = split.validation != 0 if split.spans is None else spans.validation is not None
    tested = split.test > 0 or spans.test is not None
    needs = (("training", LEAST_ROWS), ("validation", int(judged)), ("test", int(tested)))
    for (name, least), (begin, end) in zip(needs, sides, strict=True):
        count = len(reach.origins(begin, end))
        if count < least:
            raise DataError(
                "E236",
                f"too few forecasts fit into the {name} rows",
                where=line.table.name,
                got=f"{end - begin:,} rows, {count:,} forecasts",
                expected=f"at least {least}, each of {reach.before:,} rows, then {reach.behind:,} rows that are foretold",
                fix="a shorter horizon or window, or more rows: outputs: {NAME: {type: forecast, horizon: ROWS}}",
            )
