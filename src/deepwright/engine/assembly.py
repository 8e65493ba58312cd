"""From a resolved recipe and encoded rows to what the loop works on (floor 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepwright.batches import Augment, AugmentSequences, PictureChange, Rows
from deepwright.blocks.numbers import PiecewiseLinearEncoding
from deepwright.blocks.rates import Rates
from deepwright.blocks.recompute import recompute
from deepwright.blockwise import open_rows, open_sampler
from deepwright.datapath import Arrays, DataPath, lengths, pictured, rows_at_once, trimmed
from deepwright.engine.choices import device_of
from deepwright.engine.feed import Feed
from deepwright.engine.loop import Score, Settings, Task
from deepwright.engine.parallel import ALONE, World
from deepwright.errors import RecipeError
from deepwright.facts import Examples
from deepwright.families import Draw, Schedule
from deepwright.machine import available_memory
from deepwright.model import VECTOR, Model, build_model, start_model
from deepwright.recipe import Recipe
from deepwright.store import Stored

AHEAD = 64
"""Rows that an encoder whose result no step changes gets at once."""
FIRST = 200_000
"""Training rows that encoders may see before training starts."""
SHARE = 0.25
"""The share of the available memory that such results may fill."""


@dataclass
class Encoded:
    """Encoded rows of one part of the split.

    Args:
        arrays: Inputs by ``group.array``.
        targets: Targets by output.
        weights: Row weights, if there are any.
        draw: Row probabilities for drawing with replacement, if classes are balanced so.
        stored: The entry of the store that arrays and targets are views of, if the rows are trained from disk.
    """

    arrays: Arrays
    targets: Arrays
    weights: NDArray[np.float32] | None = None
    draw: NDArray[np.float64] | None = None
    stored: Stored | None = None

    def __len__(self) -> int:
        return len(next(iter(self.targets.values())))


def assemble(
    recipe: Recipe, data: DataPath, train: Encoded, validation: Encoded, score: Score, world: World = ALONE
) -> tuple[Task, Rates]:
    """Build the model, from the recipe's seed, and all that its steps need.

    Args:
        recipe: The resolved recipe.
        data: What was learnt from the training rows.
        train: Encoded training rows.
        validation: Encoded rows that choose the best weights.
        score: From validation predictions to figures.
        world: The processes that train together.

    Returns:
        The task, and the learning rates of its parts.

    Raises:
        RecipeError: The device is not there, parts do not fit, or a batch holds fewer rows than there are processes.
    """
    training = recipe.training
    device = device_of(training.device)
    torch.manual_seed(training.seed)
    model = build_model(recipe, data)
    told = start_model(model, recipe, _examples(data, train))
    model.to(device)
    if model.writers and train.stored is not None:
        raise RecipeError(
            "E241",
            "texts are written from rows in memory only",
            where=f"outputs.{model.writers[0]}",
            fix="data: {stream: false}, on fewer rows",
        )
    rows = open_rows(_read(data, train), train.targets, train.weights, device, train.stored)
    _say_complete(model, rows)
    held = Rows(_read(data, validation), validation.targets, validation.weights, device)
    if train.stored is None:
        _encode_ahead(recipe, model, (rows, held))
    sampler = open_sampler(rows, training.batch or len(rows), training.seed, train.draw)
    settings = Settings(
        steps=training.steps or (training.epochs or 1) * sampler.steps,
        every=max(1, round(training.evaluate_every * sampler.steps)),
        epoch=sampler.steps,
        clip=training.clip,
        l1=training.l1,
        l2=training.l2,
        evaluation_batch=rows_at_once(held.arrays, Settings.evaluation_batch, dense=bool(pictured(recipe))),
    )
    resize = (1.0, 0.0) if training.resize is None else (training.resize.start, training.resize.until)
    feed = Feed(
        rows,
        sampler,
        training.seed,
        _augmentations(recipe, data, model),
        training.mixup,
        training.cutmix,
        resize,
        parts=min(training.accumulate or 1, _rows_each(sampler.size, world)),
        world=world,
    )
    alone = next((name for name, route in model.routes.items() if route.alone), None)
    if alone is not None and world.size > 1:
        raise RecipeError(
            "E106",
            "outputs of sequences and of pixels train in one process only",
            where=f"outputs.{alone}",
            got=f"{world.size} processes",
        )
    average = training.average.build() if training.average is not None else None
    rates = Rates(model, model.parts(), training.rates)
    if training.gradient_checkpointing:
        for group, _ in model.grouped(once=True):
            recompute(model.parts()[group])
    task = Task(
        model, feed, held, score, settings, model, average, rates if rates.freezes else None, decided=data.decided, told=told
    )
    return task, rates


def _read(data: DataPath, side: Encoded) -> Arrays:
    """Return the inputs of rows, and of outputs that are texts what is written of them, which tells the next token."""
    arrays = {name: array for name, array in side.arrays.items() if not name.endswith(".prompt")}
    return arrays | data.written(side.targets)


def _examples(data: DataPath, train: Encoded) -> dict[str, Examples]:
    """Return the training rows of each group of inputs, and their classes in the first output that has classes."""
    facts = data.target_facts()
    name = next((key for key, each in facts.items() if each.kind in ("binary", "multiclass", "ordinal")), None)
    classes, count = (None, 0) if name is None else (train.targets[name][:FIRST], len(facts[name].classes))
    first = {key: array[:FIRST] for key, array in train.arrays.items()}
    return {
        group: Examples(
            {key.removeprefix(f"{group}."): array for key, array in first.items() if key.startswith(f"{group}.")}, classes, count
        )
        for group in data.groups()
    }


def _encode_ahead(recipe: Recipe, model: Model, sides: Sequence[Rows]) -> None:
    """Replace what encoders get that no step changes by what they make of it, once instead of at each step, if memory holds it."""
    training = recipe.training
    frozen = {name for name, rate in training.rates.items() if rate.frozen == "always"}
    mixed = training.mixup or training.cutmix or training.resize is not None
    for group, encoder in model.grouped():
        feature = recipe.inputs.get(group)
        part = recipe.tabular if feature is None else feature.encoder
        shape = (encoder.width,) if encoder.members == 1 else (encoder.members, encoder.width)
        if part is None or not (part.fixed or group in frozen) or getattr(feature, "augment", None) or mixed:
            continue
        if model.wants[group] != ("vector",):  # a state for each place is not kept
            continue
        if 4 * math.prod(shape) * sum(map(len, sides)) > SHARE * available_memory():
            continue
        prefix = f"{group}."
        for rows in sides:
            arrays = {key.removeprefix(prefix): value for key, value in rows.arrays.items() if key.startswith(prefix)}
            vectors = torch.empty((len(rows), *shape), device=rows.device)
            each = rows_at_once(rows.arrays, AHEAD)
            with torch.no_grad():
                for start in range(0, len(rows), each):
                    some = trimmed({key: value[start : start + each] for key, value in arrays.items()})
                    vectors[start : start + each] = encoder.eval()(some)
            others = {key: value for key, value in rows.arrays.items() if not key.startswith(prefix)}
            rows.arrays = others | {prefix + VECTOR: vectors}
            if not lengths(rows.arrays):
                rows.lengths = None  # batches need not be of rows of about one length


def _say_complete(model: Model, rows: Rows) -> None:
    """Tell encoders of tables that they need not look for missing numbers, where the training rows, held in memory, lack none."""
    for group, encoder in model.grouped():
        numbers = rows.arrays.get(f"{group}.numbers")
        if numbers is not None and not numbers.is_meta and bool(torch.isfinite(numbers).all()):
            for module in encoder.modules():
                if isinstance(module, PiecewiseLinearEncoding):
                    module.complete = True


def _augmentations(recipe: Recipe, data: DataPath, model: Model) -> dict[str, Augment]:
    """Return one change for each input of pictures, sounds or series: its declared augmentations, one after the other."""
    found: dict[str, Augment] = {}
    kinds = {name: facts.kind for name, facts in data.target_facts().items()}
    for group, facts in data.facts().items():
        parts = getattr(recipe.inputs.get(group), "augment", None)
        if parts and facts.wire in ("sound", "series"):
            found[f"{group}.{facts.wire}"] = _sequences_changed([part.build(getattr(facts, facts.wire)) for part in parts])
        elif parts and facts.wire == "image":
            above = {name: kinds[name] == "mask" for name, route in model.routes.items() if route.wants().get(group) == "map"}
            along = {name: [part.build_along(facts.image, classes=classes) for part in parts] for name, classes in above.items()}
            found[f"{group}.image"] = PictureChange([part.build(facts.image) for part in parts], along)
    return found


def _sequences_changed(changes: Sequence[AugmentSequences]) -> AugmentSequences:
    def change(rows: Tensor, lengths: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        for each in changes:
            rows, lengths = each(rows, lengths, draw)
        return rows, lengths

    return change


def _rows_each(batch: int, world: World) -> int:
    """Return the rows of a batch that each process has at least."""
    if batch < world.size:
        raise RecipeError(
            "E106",
            "a batch holds fewer rows than there are processes",
            where="training.batch",
            got=f"{batch} rows, {world.size} processes",
            fix="raise training.batch, or start fewer processes",
        )
    return batch // world.size


def optimizer_of(recipe: Recipe, rates: Rates) -> torch.optim.Optimizer:
    """Build the optimizer; each part has its own rate, and biases, normalisations and embeddings do not decay."""
    part = recipe.training.optimizer
    if part is None:
        raise RecipeError("E105", "no optimizer is declared", where="training.optimizer")
    return part.build(rates.groups(part.weight_decay))


def schedule_of(recipe: Recipe) -> Schedule:
    """Return the schedule of a resolved recipe."""
    if recipe.training.schedule is None:
        raise RecipeError("E105", "no schedule is declared", where="training.schedule")
    return recipe.training.schedule
