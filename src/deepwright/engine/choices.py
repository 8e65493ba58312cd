"""The choices that a machine and a budget decide, measured once a run and written into the recipe (floor 5)."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from deepwright.bundle import write_atomically
from deepwright.engine.loop import Task, predictions
from deepwright.engine.tuneup import candidates, set_layout, tune
from deepwright.errors import RecipeError
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe


def choose(recipe: Recipe, task: Task, directory: Path, listener: Listener) -> tuple[Recipe, list[dict[str, Any]]]:
    """Settle precision, layout and steps, and bring the task's settings and model in line with them.

    A resumed run takes the choices that it began with, from ``choices.json``; it must not choose anew.

    Returns:
        The recipe with the choices written in, and the table of what was tried.
    """
    file = directory / "choices.json"
    if file.exists():
        update, table = json.loads(file.read_text(encoding="utf-8"))
    else:
        update, table = _measured(recipe, task, listener)
        write_atomically(file, json.dumps([update, table]).encode())
    steps = update.get("steps") or task.settings.steps
    task.settings = replace(task.settings, precision=update["precision"], steps=steps, every=min(task.settings.every, steps))
    set_layout(task.model, update["layout"])
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
    training, rows, settings, sampler = recipe.training, task.rows, task.settings, task.sampler
    pictures = any(key.endswith(".image") for key in rows.arrays)
    pairs = candidates(training.precision, training.layout, rows.device, pictures=pictures)
    update: dict[str, Any] = {"precision": pairs[0][0], "layout": pairs[0][1], "device": rows.device.type}
    # Another number of threads sums in another order: to the last bit, it belongs to the run.
    update["threads"] = torch.get_num_threads()
    if len(pairs) == 1 and training.budget is None:
        return update, []
    # At full size: what progressive resizing saves at first is no measure of the steps that follow.
    tuneup = tune(replace(task, settings=replace(settings, resize=(1.0, 0.0))), pairs)
    update |= {"precision": tuneup.chosen.precision, "layout": tuneup.chosen.layout}
    refused = sum(not candidate.agrees for candidate in tuneup.tried)
    more = f", {refused} refused because the numbers disagree" if refused else ""
    layout = str(update["layout"]).replace("_", " ")
    text = (
        f"{torch.get_num_threads()} threads, {rows.device.type}: {update['precision']}, {layout}, batch {settings.batch}, resident"
    )
    listener(
        Event("machine", f"{text} (tried {len(tuneup.tried)} in {tuneup.seconds:.1f} s{more})", values={"tried": tuneup.table()})
    )
    if training.budget is not None:
        steps = _steps_in(training.budget, tuneup.chosen.seconds, task, update["precision"])
        steps = max(1, min(steps, (training.epochs or 10**9) * sampler.steps))
        update |= {"steps": steps, "epochs": None, "budget": None}
        listener(
            Event("machine", f"the budget of {training.budget:.0f} s holds {steps:,} steps ({steps / sampler.steps:.1f} epochs)")
        )
    return update, tuneup.table()


def _steps_in(budget: float, seconds: float, task: Task, precision: str) -> int:
    """Return the steps that fit into a budget, evaluations and the optimizer's own time counted in."""
    began = time.perf_counter()
    predictions(task.model, task.validation, replace(task.settings, precision=precision))
    evaluation = time.perf_counter() - began
    # A tenth is kept for the export and the report, and a step costs more than was measured: the optimizer's update.
    return int(0.9 * budget / (seconds * 1.15 + evaluation / task.sampler.steps))
