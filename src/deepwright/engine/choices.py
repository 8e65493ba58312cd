"""The choices that a machine and a budget decide, measured once a run and written into the recipe (floor 5)."""

from __future__ import annotations

import json
import platform
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from deepwright.bundle import write_atomically
from deepwright.engine.loop import Task, predictions
from deepwright.engine.parallel import World
from deepwright.engine.tuneup import Choice, Tuneup, apply, first_choice, tune
from deepwright.errors import DeepwrightError, RecipeError
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe, Training
from deepwright.store import Store, default_store, key_of

LEAST_WORK = 60
"""Runs of fewer steps are not measured: it would cost more than a twentieth of them."""


def choose(recipe: Recipe, task: Task, directory: Path, listener: Listener, world: World) -> tuple[Recipe, list[dict[str, Any]]]:
    """Settle how steps are computed and how many there are, and bring the task in line with it.

    A resumed run takes the choices that it began with, from ``choices.json``; it must not choose anew. Of several processes the
    first one measures, alone, and all take its choices.

    Returns:
        The recipe with the choices written in, and the table of what was tried.
    """
    file = directory / "choices.json"
    found: Any = None
    if world.leads:
        if not file.exists():
            write_atomically(file, json.dumps(_measured(recipe, task, listener)).encode())
        found = json.loads(file.read_text(encoding="utf-8"))
    update, table = world.agree(found)
    steps = update.get("steps") or task.settings.steps
    task.settings = replace(task.settings, steps=steps, every=min(task.settings.every, steps))
    apply(
        task,
        Choice(
            update["precision"],
            update["layout"],
            update["threads"],
            update["prefetch"],
            update["compile"] == "on",
            update["weight_gradients"],
        ),
    )
    return recipe.replace(training=update), table


def device_of(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        RecipeError: This machine has no such device (E106).
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[name]:
        raise RecipeError(
            "E106",
            f"this machine has no {name} device",
            where="training.device",
            got=name,
            expected=", ".join(key for key, there in available.items() if there),
            fix="training: {device: auto}",
        )
    return torch.device(name)


def _measured(recipe: Recipe, task: Task, listener: Listener) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure what is left open on this machine, and turn a time budget into steps.

    Returns:
        The training choices to write into the recipe, and the table of what was tried.
    """
    training, device = recipe.training, task.feed.rows.device
    gradients = "direct" if training.precision == "fp32" else training.weight_gradients
    open_questions = "auto" in (training.precision, training.layout, training.compile, gradients) or None in (
        training.threads,
        training.prefetch,
    )
    worth_it = open_questions and task.settings.steps >= LEAST_WORK
    start = first_choice(task, training, measured=worth_it or training.budget is not None)
    if training.budget is None and not worth_it:
        return _written(start, device), []
    store = default_store()
    key = _key(task, training)
    known = store.get(key) if store is not None else None
    if known is not None:
        start = Choice(**known.facts["choice"])
        if training.budget is None:
            listener(Event("machine", f"{start} on {device.type} (as measured before)", values={"tried": known.facts["table"]}))
            return _written(start, device), known.facts["table"]
    tuneup = tune(task, training, start, total=training.budget, ask=known is None)
    if store is not None and known is None:
        _remember(store, key, tuneup)
    choice = tuneup.chosen.choice
    update = _written(choice, device)
    if not tuneup.chosen.agrees:
        listener(Event("warning", f"declared as it is, {choice} {tuneup.chosen.reason}"))
    refused = sum(not candidate.agrees for candidate in tuneup.tried)
    more = f", {refused} refused" if refused else ""
    listener(
        Event(
            "machine",
            f"{choice} on {device.type} (tried {len(tuneup.tried)} in {tuneup.seconds:.1f} s{more})",
            values={"tried": tuneup.table()},
        )
    )
    if training.budget is not None:
        steps = _steps_in(training.budget, tuneup.chosen.seconds, task)
        steps = max(1, min(steps, (training.epochs or 10**9) * task.settings.epoch))
        update |= {"steps": steps, "epochs": None, "budget": None}
        listener(
            Event(
                "machine", f"the budget of {training.budget:.0f} s holds {steps:,} steps ({steps / task.settings.epoch:.1f} epochs)"
            )
        )
    return update, tuneup.table()


def _key(task: Task, training: Training) -> str:
    """Return what a measurement is remembered by: the machine, the network, the shape of a batch, and what is pinned."""
    device, rows = task.feed.rows.device, task.feed.rows
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    machine = [platform.node(), platform.machine(), name, torch.get_num_threads(), torch.__version__]
    weights = {key: list(value.shape) for key, value in task.model.state_dict().items()}
    arrays = {key: [str(value.dtype), *value.shape[1:]] for key, value in rows.arrays.items()}
    pinned = training.model_dump(mode="json", include=set(Choice.__dataclass_fields__))
    work = [task.feed.sampler.size, task.feed.parts, task.settings.steps.bit_length(), training.gradient_checkpointing]
    return key_of("tuneup", machine, str(task.model), weights, arrays, sorted(task.feed.augment), pinned, work)


def _remember(store: Store, key: str, tuneup: Tuneup) -> None:
    # A cache that cannot be written is no reason not to train.
    with suppress(DeepwrightError), store.writing(key) as entry:
        entry.facts |= {"choice": asdict(tuneup.chosen.choice), "table": tuneup.table()}


def _written(choice: Choice, device: torch.device) -> dict[str, Any]:
    """Return a choice as the recipe declares it.

    The number of threads is part of it: another number sums in another order, which the last bits depend on.
    """
    return {**asdict(choice), "compile": "on" if choice.compile else "off", "device": device.type}


def _steps_in(budget: float, seconds: float, task: Task) -> int:
    """Return the steps that fit into a budget, evaluations and the optimizer's own time counted in."""
    began = time.perf_counter()
    predictions(task, task.validation)
    evaluation = time.perf_counter() - began
    # A tenth is kept for the export and the report, and a step costs more than was measured: the optimizer's update.
    return int(0.9 * budget / (seconds * 1.15 + evaluation / task.settings.every))
