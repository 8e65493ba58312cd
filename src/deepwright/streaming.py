"""From a scan to encoded rows without ever holding the table: one column in memory at a time (floor 5, free of torch).

Each column is read as a whole, learnt from by the very functions that prepare a table in memory, so that what is learnt is equal
to the last bit, encoded, and written to the store. Only the rows of the table that are validated and tested on are kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.clean import CleanState, drop_rows, fit_clean, state_notes
from deepwright.datapath import Arrays, DataPath, missing_targets, prepared, tidied
from deepwright.defaults import resolve_network
from deepwright.derive import made_of
from deepwright.errors import DataError, DeepwrightError, Problem, RecipeError
from deepwright.families import Feature, State
from deepwright.machine import processors
from deepwright.pixels import DTYPES as PICTURES
from deepwright.preparation import (
    LEAST_ROWS,
    Prepared,
    balance,
    check_enough,
    check_labels,
    declare_columns,
    encoded,
    row_weights,
    stored_part,
)
from deepwright.progress import Event, Listener
from deepwright.recipe import Clean, Recipe
from deepwright.scan import Scan
from deepwright.split import split_rows
from deepwright.store import ArrayWriter, EntryWriter, Store, Stored, key_of
from deepwright.table import Note, Table, summed

Indices = NDArray[np.int64]

_SLICE = 1 << 17
"""Rows that are encoded at once."""
_MERGE = 1 << 24
"""Bytes that are interleaved at once when the columns of an encoder become one array."""


def prepare_scan(
    recipe: Recipe, scan: Scan, held: Table | None, test_name: str, store: Store | None, listener: Listener
) -> Prepared:
    """Resolve a recipe against a scan, and encode its training rows into the store.

    Types that the recipe leaves open are inferred from a sample of the rows. All else is learnt from all training rows and equal
    to what :func:`deepwright.preparation.prepare` learns.

    Args:
        recipe: The recipe.
        scan: The rows.
        held: The tidy test table, if there is one.
        test_name: What the test rows are called.
        store: Where the encoded rows go.
        listener: Hears of notes.

    Raises:
        RecipeError: The recipe does not fit the data, or asks for what cannot be streamed (E241).
        DataError: The data cannot be learnt from; the problems of all columns together.
    """
    _check_streamable(recipe, held)
    if store is None:
        raise RecipeError(
            "E241", "streamed rows are trained from the cache, which is off", where="data.stream", fix="unset DEEPWRIGHT_CACHE"
        )
    digest = scan.fingerprint()
    sample = tidied(recipe, scan.sample())
    recipe, notes, columns = declare_columns(recipe, sample)
    _check_streamable(recipe, held)  # of what was inferred, too
    notes = [note for note in notes if note.what not in ("strip", "missing_marker")]  # they are counted anew, over all rows
    if len(scan) > len(sample):
        notes.append(Note("sample", f"types that are not declared are inferred from {len(sample):,} of the {len(scan):,} rows"))
    del sample
    sides = _divided(recipe, scan)
    learnt = _stored(recipe, scan, sides, digest, store)
    data, notes = learnt.data, [*notes, *(note for note in [*sides.notes, *learnt.notes] if note not in notes)]
    kinds = {name: facts.kind for name, facts in data.target_facts().items()}
    recipe = resolve_network(data.recipe, len(sides.train), kinds)
    data = dataclasses.replace(data, recipe=recipe)
    kept = _resident(recipe, scan, np.concatenate([sides.validation, sides.test]))
    count = len(sides.validation)
    validation = encoded(data, kept.with_frame(kept.frame[:count]))
    test = encoded(data, kept.with_frame(kept.frame[count:])) if len(sides.test) else None
    if held is not None:
        notes += [Note(note.what, f"{held.name}: {note.text}", note.count, note.column) for note in held.notes]
        check_labels(data, None, held)
        test = encoded(data, missing_targets(held, recipe.outputs)[0])
    stored, nothing = learnt.stored, validation.table.with_frame(validation.table.frame.head(0))
    weights = stored.load("weights").astype(np.float32) if "weights" in stored.names else None
    train = stored_part(data, stored, nothing, weights)
    balance(recipe, data, train)
    for note in notes:
        listener(Event("clean", note.text, values={"what": note.what, "count": note.count, "column": note.column}))
    return Prepared(recipe, data, train, validation, test, test_name, None, notes, columns, digest)


def _check_streamable(recipe: Recipe, held: Table | None) -> None:
    problems = []
    if recipe.data.select is not None:
        fix = "choose the columns once, on fewer rows with data: {stream: false}, and write the inputs into the recipe"
        problems.append(Problem("E241", "choosing columns looks at all of them together", "data.select", fix=fix))
    for name, feature in recipe.outputs.items():
        if feature.dtype in PICTURES:
            fix = "data: {stream: false}"
            problems.append(
                Problem("E241", "pictures and what is true of their pixels are read together", f"outputs.{name}", fix=fix)
            )
    for name, feature in {**recipe.inputs, **recipe.outputs}.items():
        if feature.same_as is not None:
            fix = "data: {stream: false}"
            problems.append(
                Problem(
                    "E241",
                    "columns that are read one by one cannot be shared",
                    f"{'inputs' if name in recipe.inputs else 'outputs'}.{name}.same_as",
                    fix=fix,
                )
            )
    for name, feature in recipe.outputs.items():
        if feature.in_text:
            fix = "data: {stream: false}"
            problems.append(Problem("E241", "spans need the text beside them", f"outputs.{name}", fix=fix))
    if recipe.training.balance == "resample":
        fix = "training: {balance: weights}"
        problems.append(Problem("E241", "rows that are read in blocks cannot be drawn", "training.balance", "resample", fix=fix))
    if recipe.data.negatives is not None:
        problems.append(
            Problem("E241", "pairs that were not there are drawn in memory only", "data.negatives", fix="stream: false")
        )
    if recipe.data.split.validation == 0 and recipe.data.split.test == 0 and held is None and recipe.data.split.folds is None:
        fix = "data: {split: {validation: 0.01}}"
        problems.append(Problem("E241", "streamed training needs validation or test rows", "data.split", fix=fix))
    if problems:
        raise RecipeError.of(problems)


# Which rows ---------------------------------------------------------------------------------------------------------------


@dataclass
class _Sides:
    """The rows of each side, as ascending indices into the scan."""

    train: Indices
    validation: Indices
    test: Indices
    notes: list[Note]


def _divided(recipe: Recipe, scan: Scan) -> _Sides:
    """Leave out rows without an output and duplicates, divide the rest, and drop what is declared from the training rows."""
    clean, split = recipe.data.clean, recipe.data.split
    outputs = [name for name in recipe.outputs if name in scan.schema]
    table = tidied(recipe, scan.read(outputs or scan.columns[:1]))
    rows: Indices = np.arange(len(table))
    if outputs:
        table, rows = missing_targets(table, outputs)
    notes = [note for note in table.notes if note.what == "missing_target"]
    if clean.duplicates == "drop":
        first = _first_of_each(recipe, scan, rows)
        if lost := len(rows) - len(first):
            text = f"{lost:,} training {'row' if lost == 1 else 'rows'} dropped: each repeats an earlier one in every column"
            notes.append(Note("duplicates", text, lost))
        table, rows = table.with_frame(table.frame[first]), rows[first]
    for column in (split.column, split.group):
        if column is not None and column in scan.schema and column not in table.columns:
            read = tidied(recipe, scan.read([column])).frame[column]
            table = table.with_frame(table.frame.with_columns(read[rows]))
    name = next(iter(recipe.outputs))
    target = table.frame[name] if name in table.columns else None
    sides = split_rows(table, split, target=target, stratify=recipe.outputs[name].dtype == "text" and recipe.outputs[name].strata)
    notes += sides.notes
    train = rows[sides.train]
    for name, rule in clean.columns.items():
        if (rule.missing == "drop" or rule.outliers == "drop") and name in scan.schema:
            train = _kept(recipe, scan, name, train, rows[sides.train], notes)
    return _Sides(train, rows[sides.validation], rows[sides.test], notes)


def _first_of_each(recipe: Recipe, scan: Scan, rows: Indices) -> Indices:
    """Return the positions in ``rows`` of rows that repeat no earlier one, told by a 64-bit hash of all columns.

    Among 10 million rows two different ones are taken for equal with a probability of 3e-6.
    """
    mixed = np.zeros(len(rows), np.uint64)
    for name in scan.columns:
        column = tidied(recipe, scan.read([name])).frame[name][rows]
        hashed = pl.DataFrame([column]).hash_rows().to_numpy()
        with np.errstate(over="ignore"):
            mixed = (mixed ^ hashed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    return np.sort(np.unique(mixed, return_index=True)[1]).astype(np.int64)


def _kept(recipe: Recipe, scan: Scan, name: str, rows: Indices, fitting: Indices, notes: list[Note]) -> Indices:
    """Drop the training rows that one column's rule drops; its fences are learnt before any rule dropped rows."""
    part = _recipe_of(recipe, name)
    table = tidied(part, scan.read([name]))
    known = table.with_frame(table.frame[fitting])
    rule = part.data.clean.model_copy(update={"duplicates": "keep"})
    state = fit_clean(known, rule, _types(recipe))
    kept, index = drop_rows(table.with_frame(table.frame[rows]), rule, state)
    notes += [note for note in kept.notes[len(table.notes) :] if note not in notes]
    return rows[index]


def _resident(recipe: Recipe, scan: Scan, rows: Indices) -> Table:
    """Return some rows with all columns that the model needs, read one at a time."""
    names = dict.fromkeys(
        raw for name in {**recipe.inputs, **recipe.outputs} for raw in sorted(made_of(name, recipe.data.derive)[0])
    )
    names |= dict.fromkeys([recipe.data.weight] if recipe.data.weight else [])
    columns: list[pl.Series] = []
    notes: list[Note] = []
    for name in names:
        table = tidied(recipe, scan.read([name]))
        columns.append(table.frame[name][rows])
        notes += table.notes
    return Table(pl.DataFrame(columns), scan.name, tuple(summed(notes)), scan.base)


# One column at a time -----------------------------------------------------------------------------------------------------


@dataclass
class _Learnt:
    """What one pass over the columns brought."""

    data: DataPath
    stored: Stored
    notes: list[Note]


@dataclass
class _Column:
    """What one feature learnt, and its encoded training rows on disk."""

    state: State
    clean: CleanState
    arrays: dict[str, ArrayWriter] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def _stored(recipe: Recipe, scan: Scan, sides: _Sides, digest: str, store: Store) -> _Learnt:
    """Learn from and encode the training rows, or take both from the store if nothing that they depend on has changed."""
    from deepwright import __version__

    declared = recipe.dump()
    data = {key: value for key, value in declared["data"].items() if key not in ("source", "test", "stream", "workers")}
    rows = hashlib.sha256(sides.train.astype("<i8").tobytes()).hexdigest()
    key = key_of("streamed", __version__, pl.__version__, digest, data, declared["inputs"], declared["outputs"], rows)
    stored = store.get(key)
    if stored is None:
        least = 4 * (len(recipe.inputs) + len(recipe.outputs)) * len(sides.train)
        with store.writing(key, least) as writer:
            _write(recipe, scan, sides, writer)
        stored = store.get(key)
        if stored is None:
            raise DataError("E240", "the encoded rows were removed while they were written", where=str(store.root))
    notes = [Note(**note) for note in stored.facts["notes"]]
    return _Learnt(DataPath.load(recipe, stored.facts["states"]), stored, notes)


def _write(recipe: Recipe, scan: Scan, sides: _Sides, writer: EntryWriter) -> None:
    if len(sides.train) < LEAST_ROWS:
        check_enough(recipe, Table(pl.DataFrame({"rows": sides.train}), scan.name))
    problems: list[Problem] = []
    learnt: dict[str, _Column] = {}
    features = {**recipe.inputs, **recipe.outputs}
    with ThreadPoolExecutor(workers(recipe)) as pool, ThreadPoolExecutor(1) as background:
        writing: Future[None] | None = None  # one column is encoded while the next one is read and learnt from
        for name, feature in features.items():
            try:
                learnt[name], column = _learn(recipe, scan, sides.train, name, feature)
            except DeepwrightError as error:
                problems += error.problems
                continue
            if writing is not None:
                writing.result()
            if not problems:
                place = writer.scratch / f"column-{len(learnt)}"
                writing = background.submit(_encode, learnt[name], column, feature, name in recipe.outputs, place, pool)
            del column
        if writing is not None:
            writing.result()
        if recipe.data.weight is not None:
            name = recipe.data.weight
            weights = row_weights(name, Table(tidied(recipe, scan.read([name])).frame[sides.train], scan.name))
            writer.put("weights", np.asarray(weights))
    if problems:
        raise DataError.of(problems)
    clean = _merged(recipe, scan, sides.train, [column.clean for column in learnt.values()])
    states = {name: column.state for name, column in learnt.items()}
    data = DataPath(recipe, clean, {n: states[n] for n in recipe.inputs}, {n: states[n] for n in recipe.outputs})
    for group, names in data.groups().items():
        for key in dict.fromkeys(key for name in names for key in learnt[name].arrays):
            _interleave(writer, f"{group}.{key}", [learnt[n].arrays[key] for n in names if key in learnt[n].arrays])
    for name in recipe.outputs:
        _interleave(writer, f"target {name}", [learnt[name].arrays["target"]])
    notes = [*summed(note for column in learnt.values() for note in column.notes), *state_notes(clean)]
    writer.facts |= {"states": data.dump(), "notes": [dataclasses.asdict(note) for note in notes]}


def _learn(recipe: Recipe, scan: Scan, rows: Indices, name: str, feature: Feature) -> tuple[_Column, pl.Series]:
    """Fit one feature to the training rows, and return what it learnt and the rows, ready to be encoded."""
    part = _recipe_of(recipe, name)
    whole = tidied(part, scan.read(sorted(made_of(name, recipe.data.derive)[0])))
    table = whole.with_frame(whole.frame[rows])
    if name in recipe.outputs and name in table.columns:
        check_enough(part, table)
    try:
        clean = fit_clean(table, part.data.clean, _types(recipe))
        ready = prepared(part, clean, table, outputs=True)
        state = feature.learn(ready.frame[name])
    except DataError:
        # Of the training rows alone nobody knows the numbers: an error of all rows tells the true places.
        prepared(part, fit_clean(whole, part.data.clean, _types(recipe)), whole, outputs=True)
        raise
    return _Column(state, clean, notes=list(ready.notes)), ready.frame[name]


def _encode(made: _Column, column: pl.Series, feature: Feature, output: bool, place: Path, pool: ThreadPoolExecutor) -> None:
    """Encode the rows of one feature into files at ``place``, a slice at a time."""

    def encode(start: int) -> Arrays:
        some = column[start : start + _SLICE]
        return {"target": feature.target(some, made.state)} if output else dict(feature.encode(some, made.state))

    for arrays in _ahead(pool, encode, range(0, len(column), _SLICE)):
        for key, array in arrays.items():
            if key not in made.arrays:
                made.arrays[key] = ArrayWriter(Path(f"{place}-{key}.npy"), (len(column), *array.shape[1:]), array.dtype)
            made.arrays[key].append(array)
    for each in made.arrays.values():
        each.close()


def _ahead(pool: ThreadPoolExecutor, work: Any, items: Iterable[int]) -> Iterator[Any]:
    """Yield ``work(item)`` in order, a few items ahead in the pool's threads, so that results do not pile up."""
    waiting: list[Any] = []
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > 4:
            yield waiting.pop(0).result()
    for each in waiting:
        yield each.result()


def _interleave(writer: EntryWriter, name: str, columns: list[ArrayWriter]) -> None:
    """Write the columns of several features as one array, side by side."""
    first = columns[0]
    rows, tail = first.shape[0], first.shape[2:]
    if len(first.shape) == 1:
        shape: tuple[int, ...] = (rows,)
    else:
        shape = (rows, sum(column.shape[1] for column in columns), *tail)
    array = writer.array(name, shape, first.dtype)
    size = max(1, _MERGE // max(1, first.dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))))
    files = [column.path.open("rb", buffering=0) for column in columns]
    try:
        for file, column in zip(files, columns, strict=True):
            file.seek(column.path.stat().st_size - column.dtype.itemsize * int(np.prod(column.shape, dtype=np.int64)))
        for start in range(0, rows, size):
            count = min(size, rows - start)
            parts = [_read(file, column, count) for file, column in zip(files, columns, strict=True)]
            array.append(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
    finally:
        for file, column in zip(files, columns, strict=True):
            file.close()
            column.path.unlink()


def _read(file: Any, column: ArrayWriter, rows: int) -> NDArray[Any]:
    shape = (rows, *column.shape[1:])
    return np.fromfile(file, column.dtype, int(np.prod(shape, dtype=np.int64))).reshape(shape)


# The recipe of one column -------------------------------------------------------------------------------------------------


def _recipe_of(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe cut down to one feature and what it is made of."""
    raw, derived = made_of(name, recipe.data.derive)
    rules = {key: rule for key, rule in recipe.data.clean.columns.items() if key in raw}
    clean = recipe.data.clean.model_copy(update={"columns": rules})
    data = recipe.data.model_copy(update={"clean": clean, "derive": derived})
    inputs = {key: feature for key, feature in recipe.inputs.items() if key == name}
    outputs = {key: feature for key, feature in recipe.outputs.items() if key == name}
    return recipe.model_copy(update={"data": data, "inputs": inputs, "outputs": outputs})


def _types(recipe: Recipe) -> dict[str, str]:
    return {name: feature.dtype for name, feature in {**recipe.inputs, **recipe.outputs}.items()}


def _merged(recipe: Recipe, scan: Scan, rows: Indices, states: list[CleanState]) -> CleanState:
    """Return what cleaning learnt of all columns, those that are cleaned but are no input included."""
    rules = recipe.data.clean.columns
    used = {raw for name in {**recipe.inputs, **recipe.outputs} for raw in made_of(name, recipe.data.derive)[0]}
    for name in rules:
        if name in used:
            continue
        part = Clean(columns={name: rules[name]})
        table = tidied(recipe, scan.read([name])) if name in scan.schema else Table(pl.DataFrame({c: [] for c in scan.columns}))
        states.append(fit_clean(table.with_frame(table.frame[rows] if len(table) else table.frame), part, _types(recipe)))
    fences = {name: fence for state in states for name, fence in state.fences.items()}
    unused = {name: keys for state in states for name, keys in state.unused.items()}
    collapsed = {name for state in states for name in state.collapsed}
    return CleanState(
        fences={name: fences[name] for name in rules if name in fences},
        collapsed=tuple(name for name in rules if name in collapsed),
        unused={name: unused[name] for name in rules if name in unused},
    )


def workers(recipe: Recipe) -> int:
    """Return the threads that encode rows."""
    return recipe.data.workers or min(8, processors())
