"""From a resolved recipe and encoded rows to a trained model: what surrounds the loop (floor 5)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepwright.blocks.logs import LogWriter
from deepwright.blocks.lora import has_low_rank, merged
from deepwright.blocks.recompute import keep
from deepwright.datapath import DataPath
from deepwright.engine.assembly import Encoded, assemble, optimizer_of, schedule_of
from deepwright.engine.checkpoint import parse_checkpoint, read_checkpoint, save_checkpoint
from deepwright.engine.choices import choose
from deepwright.engine.diagnose import diagnose
from deepwright.engine.loop import Progress, Score, Task, best_of, loop, settle, should_stop
from deepwright.engine.parallel import ALONE, World
from deepwright.engine.profiling import profiled
from deepwright.engine.sharded import Whole, distribute, fit_optimizer
from deepwright.errors import Problem
from deepwright.facts import RunFacts
from deepwright.model import Model, build_model
from deepwright.parts import Part
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe, Training

UNPROFILED = 5
"""Steps before a profile begins."""
SOONER = 1 / 6
"""The part of the time between checkpoints after which an evaluation makes one. Small networks have many evaluations a second, and
a checkpoint after each took 4 % of the training of a network of 75,000 weights on 40,000 rows."""


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
    logs: Path,
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
        logs: Where the recipe's loggers write, a folder each; its name without an ending is the run's.
        world: The processes that train together; each calls this with the same arguments.

    Returns:
        What training brought, to process 0; nothing to the others.

    Raises:
        TrainingError: The loss is not finite any more, or every checkpoint is damaged.
        RecipeError: The device is not there, or a batch holds fewer rows than there are processes.
    """
    training = recipe.training
    task, rates = assemble(recipe, data, train, validation, score, world)
    model, average = task.model, task.average
    task.explain = partial(_explain, task, data)
    _announce_model(model, recipe, listener)
    for text in task.told:
        listener(Event("model", text))
    with ExitStack() as opened:
        # Whatever ends the run, the tune-up's threads are not left to what comes after it in this process.
        opened.callback(torch.set_num_threads, torch.get_num_threads())
        recipe, table = choose(recipe, task, directory, listener, world)
        sharded = training.parallel == "sharded"
        states = distribute(task, world, sharded=sharded)
        optimizer, schedule = optimizer_of(recipe, rates), schedule_of(recipe)
        fit_optimizer(optimizer, world, sharded=sharded)
        if average is not None:
            average.start(model)
        progress, best, spent = _restore(directory, task, optimizer, states, listener)
        runner = _Runner(task, optimizer, progress, best, recipe.training, directory, spent, listener, logs, states)
        facts = RunFacts(logs.stem, recipe.dump(), progress.step)
        if world.leads:
            runner.writers = [opened.enter_context(each.open(logs / each.type_name(), facts)) for each in training.loggers]
        runner.run(opened.enter_context(closing(loop(task, optimizer, schedule, progress))))
    if not world.leads:
        return None
    if world.size > 1 or has_low_rank(model):
        model = build_model(recipe, data)  # without what only training needed
    for _, encoder in model.grouped(once=True):
        keep(encoder)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())  # frozen ones again, too
    model.load_state_dict(merged(best.weights))
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
    logs: Path
    states: Whole
    stopped: str = ""
    writers: list[LogWriter] = field(default_factory=list)

    def run(self, steps: Iterator[Progress]) -> None:
        began = saved = told = time.monotonic()
        start = self.progress.step
        # The recipe counts epochs; between two of them there may be more than one evaluation, or none.
        patience = math.ceil((self.training.patience or 0) / self.training.evaluate_every)
        stopped = should_stop(self.progress.scores, patience)
        with ExitStack() as profiling:
            for progress in () if stopped else steps:
                now = time.monotonic()
                if progress.evaluated:
                    self._keep_best()
                    self._log()
                wait = self.training.checkpoint_every * (SOONER if progress.evaluated else 1)
                due = now - saved >= wait or progress.step == self.task.settings.steps
                if self.task.world.agree(due) if self.states.collective else due:
                    self.save(now - began)
                    saved = time.monotonic()
                if progress.evaluated or now - told >= 0.2:
                    told = now
                    self._tell(now - began, progress.step - start)
                self._profile(progress.step - start, profiling)
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
            weights = self.task.weights if self.task.average is not None else self.states.model(self.task.model)
            self.best.weights = {name: value.detach().clone() for name, value in weights.items()}

    def _profile(self, done: int, profiling: ExitStack) -> None:
        """Begin and end the profile of steps that the recipe asks for, the first ones left out: they pay for what is set up."""
        if not self.training.profile or not self.task.world.leads:
            return
        if done == UNPROFILED:
            self.logs.mkdir(parents=True, exist_ok=True)
            profiling.enter_context(profiled(self.task.feed.rows.device, self.logs, self.listener))
        if done == UNPROFILED + self.training.profile:
            profiling.close()

    def _log(self) -> None:
        record = self.progress.history[-1]
        for writer in self.writers:
            writer.log(int(record["step"]), {name: value for name, value in record.items() if name not in ("step", "score")})

    def save(self, seconds: float) -> None:
        """Write a checkpoint of all that the rest of the run depends on."""
        world = self.task.world
        settle(self.task, self.progress, self.optimizer)
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
                "average": None if self.task.average is None else self.task.average.state_dict(),
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


def _explain(task: Task, data: DataPath, step: int, lr: float) -> Problem:
    """Make the batch of a bad step once more, and look where its loss stops being finite."""
    feed, settings = task.feed, task.settings
    batch = feed.take(step - 1, settings.steps)
    return diagnose(task.model, batch, settings.precision, data.facts(), step=step, lr=lr, index=feed.sampler(step - 1))


def _announce_model(model: Model, recipe: Recipe, listener: Listener) -> None:
    count = sum(p.numel() for p in model.parameters())
    parts: list[Part | None] = [recipe.tabular, *(f.encoder for f in recipe.inputs.values())]
    if not recipe.inputs:  # what a text goes on with is all of the network
        parts = [f.head for f in recipe.outputs.values()]
    encoders = sorted({part.type_name() for part in parts if part is not None})
    members = f", {model.members} members" if model.members > 1 else ""
    size = f"{count / 1e6:.2f} M" if count >= 10_000 else f"{count:,}"
    listener(
        Event("model", f"{' + '.join(encoders)}{members}, {size} parameters", values={"parameters": count, "encoders": encoders})
    )


def _restore(
    directory: Path, task: Task, optimizer: torch.optim.Optimizer, states: Whole, listener: Listener
) -> tuple[Progress, _Best, float]:
    """Go on from the checkpoint that process 0 finds, or begin."""
    world = task.world
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
    states.restore(task.model, optimizer, state["model"], state["optimizer"])
    if task.average is not None:
        task.average.load_state_dict(state["average"])
        task.average.to(task.feed.rows.device)
    torch.set_rng_state(state["random"])
    progress = Progress(state["step"], state["history"], state["loss_sum"])
    done = progress.step // task.settings.epoch
    listener(Event("resume", f"goes on after step {progress.step:,} ({done:,} epochs done)", values={"step": progress.step}))
    return progress, _Best(state["best_score"], state["best"]), state["seconds"]
