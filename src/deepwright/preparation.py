"""From a recipe to encoded training, validation and test rows (floor 5, free of torch).

read → tidy → declare columns → set test rows aside → drop → split → learn → clean, derive, cast → encode
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.caching import encode_cached, encode_stored, too_large
from deepwright.clean import CleanState, drop_rows, fit_clean
from deepwright.datapath import Arrays, DataPath, missing_targets, tidied
from deepwright.defaults import input_feature, resolve_columns, resolve_network, resolve_split, target_feature
from deepwright.derive import derive
from deepwright.errors import DataError, RecipeError
from deepwright.facts import PIXELS, TargetFacts
from deepwright.families import Feature
from deepwright.findings import unseen_labels
from deepwright.negatives import drawn, with_output
from deepwright.origins import foretells
from deepwright.pixels import DTYPES as PICTURES
from deepwright.progress import Event, Listener, silent
from deepwright.recipe import Clean, Negatives, Recipe
from deepwright.scan import Scan
from deepwright.selection import select_columns
from deepwright.split import split_rows
from deepwright.store import Store, Stored
from deepwright.table import Note, Table, fingerprint, unused

LEAST_ROWS = 10
"""Fewer training rows than this are refused."""


@dataclass
class Part:
    """One side of the split, encoded.

    Args:
        table: The prepared rows (clean, derived, cast), for reports; empty for rows that are streamed.
        arrays: Inputs by ``group.array``.
        targets: Targets by output.
        weights: Row weights, if the recipe declares any.
        stored: The entry of the store that ``arrays`` and ``targets`` are views of, if the rows are trained from there.
    """

    table: Table
    arrays: Arrays
    targets: Arrays
    weights: NDArray[np.float32] | None = None
    stored: Stored | None = None

    def __len__(self) -> int:
        return len(next(iter(self.targets.values())))


@dataclass
class Prepared:
    """Everything that training needs, and what was decided on the way.

    Args:
        recipe: The resolved recipe.
        data: What was learnt from the training rows.
        train: Training rows.
        validation: Rows that choose the best weights.
        test: Rows never trained on, if there are any.
        test_name: Where the test rows come from.
        draw: Row probabilities, if classes are balanced by resampling.
        notes: What reading, cleaning and dividing did.
        columns: One entry a column: name, type, why.
        fingerprint: SHA-256 of the raw training table.
    """

    recipe: Recipe
    data: DataPath
    train: Part
    validation: Part
    test: Part | None
    test_name: str
    draw: NDArray[np.float64] | None
    notes: list[Note]
    columns: list[dict[str, str]]
    fingerprint: str


def open_scan(recipe: Recipe) -> Scan | None:
    """Return the training rows as a scan if they are to be streamed, else nothing.

    Raises:
        DataError: A file is missing or unreadable.
    """
    source, stream = recipe.data.source, recipe.data.stream
    if source is None or stream is False:
        return None
    if foretells(recipe):
        if stream is True:
            raise RecipeError(
                "E241", "rows that windows are views of stay in memory", where="data.stream", fix="data: {stream: auto}"
            )
        return None
    if any(getattr(feature, "across", ()) for feature in recipe.inputs.values()):
        return None
    scan = source.scan()
    return scan if scan is not None and (stream is True or scan.large()) else None


def held_out_rows(recipe: Recipe) -> tuple[Recipe, Table | None, str]:
    """Return the tidy test table, if there is one, and what it is called.

    A source that knows its own official test part (a folder of pictures with ``test/``) brings it when the recipe sets none aside.
    """
    split, test = recipe.data.split, recipe.data.test
    if test is None and recipe.data.source is not None and split.test == 0 and split.by not in ("column", "last"):
        test = recipe.data.source.held_out()
        recipe = recipe.replace(data={"test": test}) if test is not None else recipe
    held = tidied(recipe, test.read()) if test is not None else None
    return recipe, held, held.name if held is not None else "test rows of the split"


def load_tables(recipe: Recipe) -> tuple[Table, Table | None, str, Recipe]:
    """Read the training table and, if there is one, the test table.

    Raises:
        RecipeError: No source is declared (E105).
        DataError: A file cannot be read.
    """
    source = recipe.data.source
    if source is None:
        raise RecipeError(
            "E105", "no data are declared", where="data.source", expected="a file or folder", fix="data: {source: FILE}"
        )
    table = tidied(recipe, source.read())
    declared = recipe.data.test
    recipe, held, name = held_out_rows(recipe)
    if recipe.data.test is not declared:
        table = dataclasses.replace(table, notes=taken_notes(table.notes))
    return table, held, name, recipe


def open_tables(recipe: Recipe, table: Table | None, targets: Sequence[str]) -> tuple[Table, Table | None, str, Recipe]:
    """Return tidy training and test tables, what the latter are called, and the recipe with inferred targets declared.

    Args:
        recipe: The recipe as the user gave it.
        table: Rows from memory, instead of ``data.source``.
        targets: Output columns whose types are inferred, beside the recipe's own.

    Raises:
        RecipeError: No source is declared (E105), or a target is no column (E107).
        DataError: A file cannot be read, or a target cannot be predicted.
    """
    if table is None:
        table, held, name, recipe = load_tables(recipe)
    else:
        held = tidied(recipe, recipe.data.test.read()) if recipe.data.test is not None else None
        table, name = tidied(recipe, table), held.name if held is not None else "test rows of the split"
    return table, held, name, with_types(recipe, table, targets)


def with_types(recipe: Recipe, table: Table, targets: Sequence[str]) -> Recipe:
    """Return the recipe with types, inferred from a tidy table, for columns declared without one and for outputs that it lacks."""
    recipe = _typed(recipe, table)
    inferred: dict[str, Feature]
    if recipe.data.time is not None and targets and not recipe.outputs:
        inferred = {unused("future", table.columns): Feature.parse({"type": "forecast", "channels": list(targets)})}
    elif recipe.data.time is not None and not recipe.outputs:
        inferred = {unused("future", table.columns): Feature.parse("forecast")}
    else:
        inferred = {target: target_feature(table, target)[0] for target in targets if target not in recipe.outputs}
    return recipe.replace(outputs={**recipe.outputs, **inferred}) if inferred else recipe


def _typed(recipe: Recipe, table: Table) -> Recipe:
    """Give columns that are declared without a type the one that fits."""
    open_inputs, open_outputs = (
        {name: feature for name, feature in columns.items() if not feature.typed} for columns in (recipe.inputs, recipe.outputs)
    )
    if not open_inputs and not open_outputs:
        return recipe
    if derived := [name for name in (*open_inputs, *open_outputs) if name in recipe.data.derive]:
        raise RecipeError("E105", f"{', '.join(derived)}: the type of a derived column must be named", where="data.derive")
    inputs = {name: input_feature(table, name, given) for name, given in open_inputs.items()}
    outputs = {name: Feature.completed(given, target_feature(table, name)[0].type_name()) for name, given in open_outputs.items()}
    return recipe.replace(inputs={**recipe.inputs, **inputs}, outputs={**recipe.outputs, **outputs})


def taken_notes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return the notes with the one that tells of test rows beside replaced: they are taken."""
    told = Note("held_out", "the test part that lies beside is taken as test rows")
    return (*(note for note in notes if note.what != "held_out"), told)


def prepare(
    recipe: Recipe, table: Table, held: Table | None, test_name: str, listener: Listener, store: Store | None = None
) -> Prepared:
    """Resolve a recipe against tidy tables and encode every part.

    Args:
        recipe: The recipe.
        table: The tidy training table.
        held: The tidy test table, if there is one.
        test_name: What the test rows are called.
        listener: Hears of notes.
        store: Where encoded rows are kept between runs, and training rows that do not fit into memory; ``None``: nowhere.

    Raises:
        RecipeError: The recipe does not fit the data.
        DataError: The data cannot be learnt from; all problems of a kind together.
    """
    digest, rule = fingerprint(table), recipe.data.negatives
    if rule is not None:
        table, held = with_output(table, rule), with_output(held, rule) if held is not None else None
    whole = table
    recipe, table, notes, columns = _declared(recipe, table)
    recipe = resolve_split(recipe, len(table), tested=held is not None or recipe.data.split.test > 0)
    table, train_rows, validation_rows, test_rows, more = _divided(recipe, table)
    notes += more
    fitting, judging = (table.with_frame(table.frame[rows]) for rows in (train_rows, validation_rows))
    official = held is not None
    if held is None and len(test_rows):
        held = table.with_frame(table.frame[test_rows])
    if rule is not None:
        fitting, judging, held = _with_negatives(rule, recipe.data.split.seed, whole, fitting, judging, held)
    check_enough(recipe, fitting)
    with _true_places(recipe, whole):
        data = _selected(recipe, DataPath.fit(recipe, fitting), fitting, notes)
    kinds = {name: facts.kind for name, facts in data.target_facts().items()}
    recipe = resolve_network(data.recipe, len(fitting), kinds)
    data = dataclasses.replace(data, recipe=recipe)
    if official and held is not None:
        notes += [Note(note.what, f"{held.name}: {note.text}", note.count, note.column) for note in held.notes]
        check_labels(data, fitting, held)
        held, _ = missing_targets(held, recipe.outputs)
    with _true_places(recipe, whole):
        train = encoded(data, fitting, store, listener, train=True)
        validation = encoded(data, judging, store, listener)
    notes += [note for note in train.table.notes if note not in notes]
    test = encoded(data, held, store, listener) if held is not None else None
    draw = balance(recipe, data, train)
    for note in notes:
        listener(Event("clean", note.text, values={"what": note.what, "count": note.count, "column": note.column}))
    return Prepared(recipe, data, train, validation, test, test_name, draw, notes, columns, digest)


def _with_negatives(
    rule: Negatives, seed: int, whole: Table, fitting: Table, judging: Table, held: Table | None
) -> tuple[Table, Table, Table | None]:
    """Draw what was not there beside the rows of every side; what was there on any side is drawn for none."""
    known = whole if held is None else whole.with_frame(pl.concat([whole.frame, held.frame], how="diagonal_relaxed"))
    sides = [drawn(side, known, rule, seed + number) for number, side in enumerate((fitting, judging))]
    return sides[0], sides[1], None if held is None else drawn(held, known, rule, seed + 2)


@contextmanager
def _true_places(recipe: Recipe, whole: Table) -> Iterator[None]:
    """Let an error of some rows tell their places in the whole table: of a part of the split, nobody knows the numbers."""
    try:
        yield
    except DataError:
        data = DataPath.fit(recipe, whole)
        encoded(data, whole)
        raise


def check_labels(data: DataPath, known: Table | None, table: Table) -> None:
    """Refuse rows to be evaluated whose class labels training never saw: they would count as nothing.

    Raises:
        DataError: E214, for each output, with the nearest known labels and the cleaning that would make them equal.
    """
    ready = data.prepare(table, outputs=True)
    problems = []
    for name, facts in data.target_facts().items():
        if not facts.classes or facts.kind in PIXELS or ready.frame[name].dtype != pl.String:
            continue
        labels = known.frame[name] if known is not None and name in known.columns else pl.Series(name, facts.classes, pl.String)
        labels = pl.concat([labels.cast(pl.String), pl.Series(name, facts.classes, pl.String)])
        if problem := unseen_labels(labels, ready.frame[name], name, table.name):
            problems.append(problem)
    if problems:
        raise DataError.of(problems)


def _declared(recipe: Recipe, table: Table) -> tuple[Recipe, Table, list[Note], list[dict[str, str]]]:
    """Complete the columns: constructed ones, inferred inputs, and rows without any output left out."""
    recipe, notes, columns = declare_columns(recipe, table)
    known = len(table.notes)
    table, _ = missing_targets(table, recipe.outputs)
    return recipe, table, [*notes, *table.notes[known:]], columns


def declare_columns(recipe: Recipe, table: Table) -> tuple[Recipe, list[Note], list[dict[str, str]]]:
    """Complete the recipe's columns by the rows of a tidy table.

    Returns:
        The recipe, the notes of the table and of columns left out, and one entry a column: name, type, role, why.
    """
    # Only the types of constructed columns matter here: rows are cleaned, and made anew, when they are encoded.
    derived = derive(table, recipe.data.derive, on_error="missing")
    recipe, more, whys = resolve_columns(recipe, derived)
    sides = {"input": recipe.inputs, "output": recipe.outputs}
    columns = [
        {"name": name, "type": feature.type_name(), "role": role, "why": whys.get(name, "declared" if role == "input" else "")}
        for role, features in sides.items()
        for name, feature in features.items()
    ]
    return recipe, [*table.notes, *more], columns


def _divided(recipe: Recipe, table: Table) -> tuple[Table, Any, Any, Any, list[Note]]:
    """Drop duplicates, divide the rows, then drop what is declared from the training rows only."""
    clean = recipe.data.clean
    before = len(table.notes)
    once, _ = drop_rows(table, Clean(duplicates=clean.duplicates), CleanState())
    first = next(iter(recipe.outputs))
    feature = recipe.outputs[first]
    target = once.frame[first] if first in once.columns else None
    sides = split_rows(once, recipe.data.split, target=target, stratify=feature.dtype == "text" and feature.strata)
    train = np.asarray(sides.train)
    if any(rule.missing == "drop" or rule.outliers == "drop" for rule in clean.columns.values()):
        types = {name: each.dtype for name, each in {**recipe.inputs, **recipe.outputs}.items()}
        fitting = once.with_frame(once.frame[train])
        kept, index = drop_rows(fitting, clean.model_copy(update={"duplicates": "keep"}), fit_clean(fitting, clean, types))
        once = Table(once.frame, once.name, (*once.notes, *kept.notes[len(fitting.notes) :]), once.base)
        train = train[index]
    return once, train, np.asarray(sides.validation), np.asarray(sides.test), [*once.notes[before:], *sides.notes]


def check_enough(recipe: Recipe, table: Table) -> None:
    """Refuse training rows that are too few, or an output that holds one value only.

    Raises:
        DataError: E402 or E403.
    """
    if len(table) < LEAST_ROWS:
        raise DataError(
            "E402",
            "there are too few rows to train on",
            where=table.name,
            got=f"{len(table)} training rows",
            expected=f"at least {LEAST_ROWS}",
        )
    for name in recipe.outputs:
        if recipe.outputs[name].dtype in PICTURES:
            continue  # what pixels hold is told when they are read
        if name in table.columns and table.frame[name].drop_nulls().n_unique() < 2:
            raise DataError(
                "E403",
                "the output holds one value only",
                where=f"{table.name}: column {name}",
                got=repr(table.frame[name].drop_nulls().head(1).to_list()),
                expected="at least two different values in the training rows",
            )


def _selected(recipe: Recipe, data: DataPath, table: Table, notes: list[Note]) -> DataPath:
    """Choose input columns as declared; the choice is written into the recipe, so that it is not made again."""
    select = recipe.data.select
    if select is None:
        return data
    ready = data.prepare(table, outputs=True)
    types = {name: feature.type_name() for name, feature in recipe.inputs.items()}
    first, facts = next(iter(data.target_facts().items()))
    report = select_columns(ready, types, ready.frame[first], facts.kind, select, recipe.training.seed)
    inputs = {name: feature for name, feature in recipe.inputs.items() if name not in report.dropped}
    if report.dropped:
        scores = ", ".join(f"{name} {report.scores[name]:.4f}" for name in report.dropped)
        notes.append(Note("select", f"selection by {report.by.replace('_', ' ')} leaves out: {scores}", len(report.dropped)))
    section = recipe.data.model_copy(update={"select": None, "drop": [*recipe.data.drop, *report.dropped]})
    states = {name: state for name, state in data.inputs.items() if name in inputs}
    return dataclasses.replace(data, recipe=recipe.replace(inputs=inputs, data=section), inputs=states)


def encoded(data: DataPath, table: Table, store: Store | None = None, listener: Listener = silent, *, train: bool = False) -> Part:
    """Clean, derive, cast and encode rows whose outputs are known.

    Args:
        data: What was learnt.
        table: Tidy rows.
        store: Where encoded rows are kept between runs.
        listener: Hears of a store that cannot be written.
        train: Whether they are training rows, which stay on disk if they are too large for the memory.

    Raises:
        RecipeError: The rows are too large for the memory, and there is no store, or they are to be drawn at random (E241).
        DataError: Values do not fit their columns, or row weights are no weights.
    """
    ready = data.prepare(table, outputs=True)
    weights = row_weights(data.recipe.data.weight, table)
    if train and too_large(data, ready):
        stored = encode_stored(data, ready, store)
        return stored_part(data, stored, ready, weights)
    return Part(ready, encode_cached(data, ready, store, listener), data.targets(ready), weights)


def stored_part(data: DataPath, stored: Stored, table: Table, weights: NDArray[np.float32] | None) -> Part:
    """Return rows whose inputs and targets are views of an entry of the store.

    Raises:
        RecipeError: They are to be drawn at random, which rows that are read in blocks cannot be (E241).
    """
    if data.recipe.training.balance == "resample":
        raise RecipeError(
            "E241",
            "rows that are read in blocks cannot be drawn",
            where="training.balance",
            got="resample",
            fix="training: {balance: weights}",
        )
    groups = tuple(f"{group}." for group in data.groups())
    arrays = {name: stored.map(name) for name in stored.names if name.startswith(groups)}
    targets = {name: stored.map(f"target {name}") for name in data.recipe.outputs}
    return Part(table, arrays, targets, weights, stored)


def row_weights(name: str | None, table: Table) -> NDArray[np.float32] | None:
    """Return the weights (rows,) in the column ``name``, if the recipe names one.

    Raises:
        DataError: They are not numbers, zero or more, none missing and not all zero (E103).
    """
    weights: NDArray[np.float32] | None = None
    if name is not None:
        column = table.frame[name].cast(pl.Float64, strict=False)
        bad = (column.is_null() | ~column.is_finite() | (column < 0)).fill_null(True).arg_true()
        if len(bad) or (len(column) and not column.sum()):
            shown = ", ".join(f"row {row + 1}: {table.frame[name][row]!r}" for row in bad.head(10).to_list())
            raise DataError(
                "E103",
                "row weights must be numbers, zero or more, none missing and not all zero",
                where=f"{table.name}: column {name}",
                got=shown or "zero in every row",
                fix="mend the column, or leave it out: data: {weight: null}",
            )
        weights = column.to_numpy().astype(np.float32)
    return weights


def balance(recipe: Recipe, data: DataPath, train: Part) -> NDArray[np.float64] | None:
    """Make each class of the first class output count the same: by the part's row weights, or by the probabilities returned.

    Raises:
        RecipeError: There is no class output (E106).
    """
    if recipe.training.balance == "none":
        return None
    for name, facts in data.target_facts().items():
        if facts.classes and train.targets[name].ndim == 1:  # a class for each row; tags, labels and masks have several
            share = _inverse_share(facts, train.targets[name])
            if recipe.training.balance == "resample":
                return share
            train.weights = (share if train.weights is None else share * train.weights).astype(np.float32)
            return None
    raise RecipeError(
        "E106",
        "there is no output with one class for each row",
        where="training.balance",
        got=recipe.training.balance,
        fix="training: {balance: none}",
    )


def _inverse_share(facts: TargetFacts, target: NDArray[Any]) -> NDArray[np.float64]:
    counts = np.maximum(np.bincount(target[target >= 0], minlength=len(facts.classes)), 1)
    weights = counts.sum() / (len(counts) * counts)
    return np.where(target >= 0, weights[target], 0.0)
