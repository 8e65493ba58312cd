"""From a resolved recipe and encoded rows to a trained model: what surrounds the loop (floor 5)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepwright.batches import Augment, Rows, Sampler
from deepwright.blocks.decay import weight_decay_groups
from deepwright.datapath import Arrays, DataPath
from deepwright.engine.checkpoint import load_checkpoint, save_checkpoint
from deepwright.engine.choices import choose, device_of
from deepwright.engine.loop import Progress, Score, Settings, Task, best_of, loop, should_stop
from deepwright.errors import RecipeError
from deepwright.families import Draw, Schedule
from deepwright.model import Model, build_model
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe, Training

SAVE_EVERY = 30.0
"""Seconds between two checkpoints within an epoch."""


@dataclass
class Encoded:
    """Encoded rows of one part of the split."""

    arrays: Arrays
    targets: Arrays
    weights: NDArray[np.float32] | None = None
    draw: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.targets.values())))


@dataclass
class Fitted:
    """What training brought.

    Args:
        model: The model with the best evaluation's weights, on the CPU in fp32.
        recipe: The recipe with the tune-up's choices and the steps of a budget written in.
        history: One record an evaluation.
        best: The index of the best evaluation.
        stopped: Why training ended.
        seconds: Seconds of training, the time before a resume included.
        machine: The tune-up's table.
    """

    model: Model
    recipe: Recipe
    history: list[dict[str, float]]
    best: int
    stopped: str
    seconds: float
    machine: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Best:
    score: float = -float("inf")
    weights: dict[str, Tensor] = field(default_factory=dict)


def fit(
    recipe: Recipe, data: DataPath, train: Encoded, validation: Encoded, score: Score, directory: Path, listener: Listener
) -> Fitted:
    """Train, from the directory's checkpoint on if there is one.

    Args:
        recipe: The resolved recipe.
        data: What was learnt from the training rows.
        train: Encoded training rows.
        validation: Encoded rows that choose the best weights.
        score: From validation predictions to figures.
        directory: Where checkpoints are kept.
        listener: Hears of progress.

    Raises:
        TrainingError: The loss is not finite any more, or every checkpoint is damaged.
        RecipeError: The device is not there.
    """
    training = recipe.training
    torch.set_num_threads(training.threads or torch.get_num_threads())
    device = device_of(training.device)
    torch.manual_seed(training.seed)
    model = build_model(recipe, data)
    _announce_model(model, recipe, listener)
    model.to(device)
    rows, held = (Rows(part.arrays, part.targets, part.weights, device) for part in (train, validation))
    sampler = Sampler(len(rows), training.batch or len(rows), training.seed, train.draw)
    settings = Settings(
        steps=training.steps or (training.epochs or 1) * sampler.steps,
        batch=sampler.size,
        every=sampler.steps,
        seed=training.seed,
        clip=training.clip,
        l1=training.l1,
        l2=training.l2,
        mixup=training.mixup,
        cutmix=training.cutmix,
        resize=(1.0, 0.0) if training.resize is None else (training.resize.start, training.resize.until),
    )
    task = Task(model, rows, held, sampler, score, settings, _augmentations(recipe, data))
    recipe, table = choose(recipe, task, directory, listener)
    optimizer, schedule = _optimizer(recipe, model), _schedule(recipe)
    saved = load_checkpoint(directory)
    progress, best, spent = _restore(saved, model, optimizer, listener) if saved else (Progress(), _Best(), 0.0)
    runner = _Runner(task, optimizer, progress, best, recipe.training, directory, spent, listener)
    runner.run(loop(task, optimizer, schedule, progress))
    model.load_state_dict(best.weights)
    index = best_of(progress.scores)
    return Fitted(
        model.to("cpu").to(memory_format=torch.contiguous_format).eval(),
        recipe,
        progress.history,
        index,
        runner.stopped,
        runner.seconds,
        table,
    )


@dataclass
class _Runner:
    """Consumes the loop: best weights, checkpoints, early stopping, telling."""

    task: Task
    optimizer: torch.optim.Optimizer
    progress: Progress
    best: _Best
    training: Training
    directory: Path
    spent: float
    listener: Listener
    stopped: str = ""

    def run(self, steps: Iterator[Progress]) -> None:
        began = saved = told = time.monotonic()
        start = self.progress.step
        patience = self.training.patience or 0
        if not should_stop(self.progress.scores, patience):
            for progress in steps:
                now = time.monotonic()
                if progress.evaluated:
                    self._keep_best()
                if progress.evaluated or now - saved >= SAVE_EVERY:
                    self.save(now - began)
                    saved = time.monotonic()
                if progress.evaluated or now - told >= 0.2:
                    told = now
                    self._tell(now - began, progress.step - start)
                if progress.evaluated and should_stop(progress.scores, patience):
                    break
        self.seconds = self.spent + time.monotonic() - began
        done = self.progress.step >= self.task.settings.steps
        index = best_of(self.progress.scores) + 1
        self.stopped = f"all {self.task.settings.steps:,} steps done" if done else f"no better for {patience} epochs"
        self.listener(Event("stopped", f"{self.stopped}; best is epoch {index}", values={"best_epoch": index}))

    def _keep_best(self) -> None:
        score = self.progress.scores[-1]
        if score >= self.best.score or not self.best.weights:
            self.best.score = score
            self.best.weights = {name: value.detach().clone() for name, value in self.task.model.state_dict().items()}

    def save(self, seconds: float) -> None:
        """Write a checkpoint of all that the rest of the run depends on."""
        save_checkpoint(
            self.directory,
            {
                "model": self.task.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "best": self.best.weights,
                "best_score": self.best.score,
                "step": self.progress.step,
                "history": self.progress.history,
                "loss_sum": self.progress.loss_sum,
                "random": torch.get_rng_state(),
                "seconds": self.spent + seconds,
            },
        )

    def _tell(self, seconds: float, steps: int) -> None:
        progress, settings = self.progress, self.task.settings
        rate = steps / max(seconds, 1e-9)
        epoch, epochs = -(-progress.step // settings.every), -(-settings.steps // settings.every)
        figures = {} if not progress.history else progress.history[-1]
        shown = [f"epoch {epoch}/{epochs}", f"{rate * settings.batch:,.0f} rows/s"]
        name = self.training.monitor
        if name and name in figures:
            better = " ▲" if progress.scores[-1] >= max(progress.scores) else ""
            shown.append(f"valid {name} {figures[name]:.4f}{better}")
        self.listener(
            Event(
                "training",
                "  ".join(shown),
                progress.step / settings.steps,
                (settings.steps - progress.step) / max(rate, 1e-9),
                {
                    "epoch": epoch,
                    "epochs": epochs,
                    "step": progress.step,
                    "rows_per_second": rate * settings.batch,
                    "evaluated": progress.evaluated,
                    **(figures if progress.evaluated else {}),
                },
            )
        )


def _announce_model(model: Model, recipe: Recipe, listener: Listener) -> None:
    count = sum(p.numel() for p in model.parameters())
    encoders = sorted(
        {part.type_name() for part in (recipe.tabular, *(f.encoder for f in recipe.inputs.values())) if part is not None}
    )
    members = f", {model.members} members" if model.members > 1 else ""
    size = f"{count / 1e6:.2f} M" if count >= 10_000 else f"{count:,}"
    listener(
        Event("model", f"{' + '.join(encoders)}{members}, {size} parameters", values={"parameters": count, "encoders": encoders})
    )


def _augmentations(recipe: Recipe, data: DataPath) -> dict[str, Augment]:
    """Return one change for each picture input: its declared augmentations, one after the other."""
    found: dict[str, Augment] = {}
    for group, facts in data.facts().items():
        parts = getattr(recipe.inputs.get(group), "augment", None)
        if facts.image is None or not parts:
            continue
        changes = [part.build(facts.image) for part in parts]

        def change(picture: Tensor, draw: Draw, changes: list[Augment] = changes) -> Tensor:
            for each in changes:
                picture = each(picture, draw)
            return picture

        found[f"{group}.image"] = change
    return found


def _optimizer(recipe: Recipe, model: Model) -> torch.optim.Optimizer:
    """Build the optimizer; biases, normalisations and embeddings do not decay."""
    part = recipe.training.optimizer
    if part is None:
        raise RecipeError("E105", "no optimizer is declared", where="training.optimizer")
    return part.build(weight_decay_groups(model, part.weight_decay))


def _schedule(recipe: Recipe) -> Schedule:
    if recipe.training.schedule is None:
        raise RecipeError("E105", "no schedule is declared", where="training.schedule")
    return recipe.training.schedule


def _restore(
    saved: tuple[dict[str, Any], list[str]], model: Model, optimizer: torch.optim.Optimizer, listener: Listener
) -> tuple[Progress, _Best, float]:
    state, skipped = saved
    for line in skipped:
        listener(Event("warning", line))
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    progress = Progress(state["step"], state["history"], state["loss_sum"])
    listener(
        Event(
            "resume", f"goes on after step {progress.step:,} ({len(progress.history)} epochs done)", values={"step": progress.step}
        )
    )
    return progress, _Best(state["best_score"], state["best"]), state["seconds"]
