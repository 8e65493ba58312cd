"""From a resolved recipe and encoded rows to a trained model: what surrounds the loop (floor 5)."""

from __future__ import annotations

import math
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
from deepwright.engine.checkpoint import parse_checkpoint, read_checkpoint, save_checkpoint
from deepwright.engine.choices import choose, device_of
from deepwright.engine.feed import Feed
from deepwright.engine.loop import Progress, Score, Settings, Task, best_of, loop, settle, should_stop
from deepwright.engine.parallel import ALONE, World
from deepwright.engine.sharded import Whole, distribute, fit_optimizer
from deepwright.errors import RecipeError
from deepwright.families import Schedule
from deepwright.model import Model, build_model
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe, Training


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
    recipe: Recipe,
    data: DataPath,
    train: Encoded,
    validation: Encoded,
    score: Score,
    directory: Path,
    listener: Listener,
    world: World = ALONE,
) -> Fitted | None:
    """Train, from the directory's checkpoint on if there is one.

    Args:
        recipe: The resolved recipe.
        data: What was learnt from the training rows.
        train: Encoded training rows.
        validation: Encoded rows that choose the best weights.
        score: From validation predictions to figures.
        directory: Where checkpoints are kept.
        listener: Hears of progress.
        world: The processes that train together; each calls this with the same arguments.

    Returns:
        What training brought, to process 0; nothing to the others.

    Raises:
        TrainingError: The loss is not finite any more, or every checkpoint is damaged.
        RecipeError: The device is not there, or a batch holds fewer rows than there are processes.
    """
    training = recipe.training
    device = device_of(training.device)
    torch.manual_seed(training.seed)
    model = build_model(recipe, data)
    _announce_model(model, recipe, listener)
    model.to(device)
    rows, held = (Rows(part.arrays, part.targets, part.weights, device) for part in (train, validation))
    sampler = Sampler(len(rows), training.batch or len(rows), training.seed, train.draw)
    settings = Settings(
        steps=training.steps or (training.epochs or 1) * sampler.steps,
        every=max(1, round(training.evaluate_every * sampler.steps)),
        epoch=sampler.steps,
        clip=training.clip,
        l1=training.l1,
        l2=training.l2,
    )
    parts = min(training.accumulate, _rows_each(sampler.size, world))
    augment = _augmentations(recipe, data)
    feed = Feed(rows, sampler, training.seed, augment, training.mixup, training.cutmix, parts=parts, world=world)
    task = Task(model, feed, held, score, settings, model)
    threads = torch.get_num_threads()
    recipe, table = choose(recipe, task, directory, listener, world)
    sharded = training.parallel == "sharded"
    states = distribute(task, world, sharded=sharded)
    optimizer, schedule = _optimizer(recipe, model), _schedule(recipe)
    fit_optimizer(optimizer, world, sharded=sharded)
    progress, best, spent = _restore(directory, model, optimizer, states, world, listener)
    runner = _Runner(task, optimizer, progress, best, recipe.training, directory, spent, listener, states)
    try:
        runner.run(loop(task, optimizer, schedule, progress))
    finally:
        torch.set_num_threads(threads)
    if not world.leads:
        return None
    if world.size > 1:
        model = build_model(recipe, data)  # without what several processes needed
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
    states: Whole
    stopped: str = ""

    def run(self, steps: Iterator[Progress]) -> None:
        began = saved = told = time.monotonic()
        start = self.progress.step
        # The recipe counts epochs; between two of them there may be more than one evaluation, or none.
        patience = math.ceil((self.training.patience or 0) / self.training.evaluate_every)
        if not should_stop(self.progress.scores, patience):
            for progress in steps:
                now = time.monotonic()
                if progress.evaluated:
                    self._keep_best()
                due = now - saved >= self.training.checkpoint_every
                if progress.evaluated or (self.task.world.agree(due) if self.states.collective else due):
                    self.save(now - began)
                    saved = time.monotonic()
                if progress.evaluated or now - told >= 0.2:
                    told = now
                    self._tell(now - began, progress.step - start)
                if progress.evaluated and should_stop(progress.scores, patience):
                    break
        self.seconds = self.spent + time.monotonic() - began
        done = self.progress.step >= self.task.settings.steps
        best = self.progress.history[best_of(self.progress.scores)]["epoch"]
        self.stopped = f"all {self.task.settings.steps:,} steps done" if done else f"no better for {self.training.patience} epochs"
        self.listener(Event("stopped", f"{self.stopped}; best is epoch {best:g}", values={"best_epoch": best}))

    def _keep_best(self) -> None:
        score = self.progress.scores[-1]
        if score >= self.best.score:
            self.best.score = score
            weights = self.states.model(self.task.model)
            self.best.weights = {name: value.detach().clone() for name, value in weights.items()}

    def save(self, seconds: float) -> None:
        """Write a checkpoint of all that the rest of the run depends on."""
        world = self.task.world
        settle(self.progress, self.optimizer)
        if not world.leads and not self.states.collective:
            return
        model, optimizer = self.states.model(self.task.model), self.states.optimizer(self.task.model, self.optimizer)
        if not world.leads:
            return
        save_checkpoint(
            self.directory,
            {
                "model": model,
                "optimizer": optimizer,
                "best": self.best.weights,
                "best_score": self.best.score,
                "step": self.progress.step,
                "history": self.progress.history,
                "loss_sum": self.progress.loss_sum,
                "random": torch.get_rng_state(),
                "seconds": self.spent + seconds,
                "processes": world.size,
            },
        )

    def _tell(self, seconds: float, steps: int) -> None:
        progress, settings = self.progress, self.task.settings
        rate = steps / max(seconds, 1e-9)
        batch = self.task.feed.sampler.size
        epoch, epochs = -(-progress.step // settings.epoch), -(-settings.steps // settings.epoch)
        figures = {} if not progress.history else progress.history[-1]
        shown = [f"epoch {epoch}/{epochs}", f"{rate * batch:,.0f} rows/s"]
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
                    "rows_per_second": rate * batch,
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

        def change(picture: Tensor, generator: torch.Generator, changes: list[Augment] = changes) -> Tensor:
            for each in changes:
                picture = each(picture, generator)
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


def _restore(
    directory: Path, model: Model, optimizer: torch.optim.Optimizer, states: Whole, world: World, listener: Listener
) -> tuple[Progress, _Best, float]:
    """Go on from the checkpoint that process 0 finds, or begin."""
    found, skipped = read_checkpoint(directory) if world.leads else (None, [])
    body = world.send(found)
    for line in skipped:
        listener(Event("warning", line))
    if body is None:
        return Progress(), _Best(), 0.0
    state = parse_checkpoint(body)
    if state["processes"] != world.size:
        text = f"the run began with {state['processes']} processes; with {world.size} the result is the same but for rounding"
        listener(Event("warning", text, values={"processes": world.size}))
    states.restore(model, optimizer, state["model"], state["optimizer"])
    torch.set_rng_state(state["random"])
    progress = Progress(state["step"], state["history"], state["loss_sum"])
    listener(
        Event(
            "resume", f"goes on after step {progress.step:,} ({len(progress.history)} epochs done)", values={"step": progress.step}
        )
    )
    return progress, _Best(state["best_score"], state["best"]), state["seconds"]
