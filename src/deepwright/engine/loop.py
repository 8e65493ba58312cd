"""The training loop, to be read (floor 5).

:func:`loop` is a generator: it yields after every step, and what to do about it (show progress, save, stop) is its consumer's
affair. It draws the same numbers whether it runs through or is resumed: the batch of a step and its augmentation are functions
of the seed and the step, and the only other randomness, dropout's, is torch's default generator, which checkpoints hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepwright.batches import Batch, Rows, seeded
from deepwright.blocks.averaging import Averager, swap
from deepwright.blocks.contract import Raw
from deepwright.blocks.optimization import advance
from deepwright.blocks.rates import Rates
from deepwright.blocks.targets import weight
from deepwright.datapath import joined
from deepwright.engine.feed import Feed
from deepwright.engine.parallel import ALONE, World, power_sum
from deepwright.errors import Problem, TrainingError
from deepwright.families import Schedule
from deepwright.model import Model

Score = Callable[[dict[str, NDArray[np.float32]]], dict[str, float]]
"""From predictions on the validation rows to figures; ``"score"`` is the one that is maximised."""

LOOK_EVERY = 16
"""Steps between two looks at the losses on an accelerator, which has to be waited for; a CPU is looked at every step."""


@dataclass(frozen=True)
class Settings:
    """What the loop needs of the recipe, flat.

    Args:
        steps: Optimizer steps in all.
        every: Steps between two evaluations.
        epoch: Steps of one pass over the training rows.
        clip: The largest norm of the whole gradient.
        l1: L1 penalty on weights.
        l2: L2 penalty on weights.
        precision: ``fp32`` or ``bf16``.
        evaluation_batch: Rows a batch in evaluation, where no gradients are kept.
    """

    steps: int
    every: int
    epoch: int
    clip: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    precision: str = "fp32"
    evaluation_batch: int = 1024


@dataclass
class Progress:
    """Where a run is; with the weights, their average and the optimizer, all that a checkpoint needs.

    Args:
        step: Steps done.
        history: One record an evaluation: step, losses, figures, learning rate.
        loss_sum: Sum of the training losses since the last evaluation.
        unread: The last steps, from 1, and their losses, not yet looked at.
        evaluated: Whether this step ended with an evaluation.
    """

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    loss_sum: float = 0.0
    unread: list[tuple[int, Tensor]] = field(default_factory=list)
    evaluated: bool = False

    @property
    def scores(self) -> list[float]:
        """The validation scores so far; higher is better."""
        return [record["score"] for record in self.history]


def unexplained(step: int, lr: float) -> Problem:
    """Return the problem of a loss that is not finite, nothing else being known of it."""
    return Problem(
        "E401", f"the loss is not finite at step {step:,}", got=f"learning rate {lr:.3g}", fix="lower training.optimizer.lr"
    )


@dataclass
class Task:
    """What a loop works on.

    Args:
        model: The model, trained in place.
        feed: The batches.
        validation: Rows that choose the best weights.
        score: From validation predictions to figures.
        settings: What the loop needs of the recipe.
        forward: The model's forward pass, compiled or as it is.
        average: What keeps an average of the weights, which is evaluated instead of them.
        rates: What is frozen, and until when.
        explain: Says why the loss of a step (from 1), at a learning rate, is not finite.
        world: The processes that train together.
        exchange: Sums the gradients, and the loss that it takes and returns, over them.
        decided: From what leaves the graph to the outputs' values.
        told: What there is to tell of what the model starts from.
    """

    model: Model
    feed: Feed
    validation: Rows
    score: Score
    settings: Settings
    forward: Callable[[Mapping[str, Tensor]], dict[str, Raw]]
    average: Averager | None = None
    rates: Rates | None = None
    explain: Callable[[int, float], Problem] = unexplained
    world: World = ALONE
    exchange: Callable[[Tensor], Tensor] | None = None
    decided: Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]] = dict
    told: Sequence[str] = ()

    @property
    def weights(self) -> dict[str, Tensor]:
        """The state dictionary that counts: the average's if there is one. Its tensors change as training goes on."""
        return self.model.state_dict() if self.average is None else self.average.weights(self.model)


def loop(task: Task, optimizer: torch.optim.Optimizer, schedule: Schedule, progress: Progress) -> Generator[Progress, None, None]:
    """Train the task's model in place from ``progress`` on, and yield the progress after every step.

    Raises:
        TrainingError: The loss is not finite any more (E401).
    """
    model, settings = task.model, task.settings
    look_every = 1 if task.feed.rows.device.type == "cpu" else LOOK_EVERY
    parameters = list(model.parameters())
    model.train()
    for batch in task.feed.batches(progress.step, settings.steps):
        factor = schedule.multiplier(progress.step / settings.steps, progress.scores)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if task.rates is not None:
            task.rates.freeze(progress.step / settings.epoch)

        for parameter in parameters:
            parameter.grad = None
        if task.world.size > 1:
            # Each process drops other values, and none has a random state that a checkpoint would have to collect.
            torch.manual_seed(seeded(task.feed.seed, 3, progress.step, task.world.rank).initial_seed())
        loss = backward(task, batch)
        progress.unread.append((progress.step + 1, loss if task.exchange is None else task.exchange(loss)))
        if len(progress.unread) >= look_every:
            settle(task, progress, optimizer)
        if settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
        advance(optimizer)

        progress.step += 1
        if task.average is not None:
            task.average.update(model, progress.step, settings.steps)
        progress.evaluated = progress.step % settings.every == 0 or progress.step == settings.steps
        if progress.evaluated:
            settle(task, progress, optimizer)
            since = progress.step - (progress.history[-1]["step"] if progress.history else 0)
            with _averaged(task):
                figures = task.score(predictions(task, task.validation))
            record = {
                "epoch": progress.step / settings.epoch,
                "step": progress.step,
                "lr": optimizer.param_groups[0]["lr"],
                "train_loss": progress.loss_sum / since,
            }
            progress.history.append(record | figures)
            progress.loss_sum = 0.0
            model.train()
        yield progress


@contextmanager
def _averaged(task: Task) -> Iterator[None]:
    """Let the model hold the averaged weights for a while, if there are any."""
    if task.average is None:
        yield
        return
    held = swap(task.model, task.average.weights(task.model))
    try:
        yield
    finally:
        swap(task.model, held)


def backward(task: Task, batch: Batch) -> Tensor:
    """Add the gradients of a batch to the parameters, part by part, and return its loss."""
    penalty = _penalty(task)
    if not batch.parts and task.world.size == 1:
        loss = batch_loss(task, batch)
        (loss if penalty is None else loss + penalty).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    totals = _totals(task, batch)
    parts = list(batch.split()) or [batch]
    losses: list[Tensor] = []
    for part in parts:
        loss = batch_loss(task, part, totals, 1 / (len(parts) * task.world.size))
        last = len(losses) == len(parts) - 1
        (loss if penalty is None or not last else loss + penalty).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def _totals(task: Task, batch: Batch) -> list[dict[str, Tensor]]:
    """Return what the losses of a batch's targets, and of its mixed-in ones, are divided by: the weight of all rows."""
    sides = [side for side in (batch.targets, batch.other) if side]
    weights = torch.stack([weight(target, batch.rows).sum() for side in sides for target in side.values()])
    values = iter(task.world.sum(weights))
    return [{name: next(values) for name in side} for side in sides]


def batch_loss(task: Task, batch: Batch, totals: Sequence[Mapping[str, Tensor]] = (), share: float = 1.0) -> Tensor:
    """Return the total loss of a batch, mixed targets taken in their shares.

    Args:
        task: What is trained.
        batch: The batch, or a part of one.
        totals: Of a part: what the losses of its targets, and of its mixed-in ones, are divided by.
        share: Of a part: its share of what does not depend on rows.
    """
    model = task.model
    with autocast(batch, task.settings.precision):
        raw = task.forward(batch.arrays)

    def side(targets: Mapping[str, Tensor], which: int) -> Tensor:
        whole = totals[which] if totals else None
        return model.total(model.loss(raw, targets, batch.rows, complete=batch.complete, totals=whole), share)

    total = side(batch.targets, 0)
    return total if batch.other is None else batch.share * total + (1 - batch.share) * side(batch.other, 1)


def settle(task: Task, progress: Progress, optimizer: torch.optim.Optimizer) -> None:
    """Look at the losses of the last steps and add them up.

    Raises:
        TrainingError: One is not finite (E401).
    """
    if not progress.unread:
        return
    steps, losses = zip(*progress.unread, strict=True)
    progress.unread.clear()
    values = [losses[0].item()] if len(losses) == 1 else torch.stack(losses).tolist()
    for step, value in zip(steps, values, strict=True):
        if not math.isfinite(value):
            raise TrainingError.of([task.explain(step, optimizer.param_groups[0]["lr"])])
        progress.loss_sum += value


def _penalty(task: Task) -> Tensor | None:
    """Return this process's share of the L1 and L2 penalties on weights; biases and normalisations are exempt."""
    settings = task.settings
    terms = [
        strength * torch.stack([power_sum(p, power, task.world) for p in task.model.parameters() if p.ndim > 1]).sum()
        for power, strength in ((1, settings.l1), (2, settings.l2))
        if strength
    ]
    return torch.stack(terms).sum() if terms else None


def autocast(batch: Batch, precision: str) -> AbstractContextManager[object]:
    """Return the context of a precision: bf16 for what gains from it, fp32 for the rest."""
    if precision == "fp32":
        return nullcontext()
    device = next(iter(batch.arrays.values())).device.type
    return torch.autocast(device, dtype=torch.bfloat16)


def predictions(task: Task, rows: Rows) -> dict[str, NDArray[np.float32]]:
    """Return the values or probabilities of all rows, as they will leave the exported graph."""
    model, settings, world = task.model, task.settings, task.world
    model.eval()
    collected: dict[str, list[NDArray[Any]]] = {}
    # Every process predicts as many rows; the last ones overlap where the rows do not divide.
    count = -(-len(rows) // world.size)
    starts = [min(rank * count, len(rows) - count) for rank in range(world.size)]
    start = starts[world.rank]
    with torch.inference_mode():
        for batch in rows.slices(settings.evaluation_batch, start, start + count):
            with autocast(batch, settings.precision):
                raw = model(batch.arrays)
            left = {name: values.cpu().numpy() for name, values in model.predict(raw).items()}
            for name, values in task.decided(left).items():
                collected.setdefault(name, []).append(values)
    mine = {name: joined(parts) for name, parts in collected.items()}
    if world.size == 1:
        return mine
    ends = [*starts[1:], len(rows)]
    return {
        name: np.concatenate(
            [
                part.numpy()[: end - start]
                for part, start, end in zip(world.gather(torch.from_numpy(values)), starts, ends, strict=True)
            ]
        )
        for name, values in mine.items()
    }


def best_of(scores: Sequence[float]) -> int:
    """Return the index of the best score, of equal ones the last: it has learnt longest."""
    return len(scores) - 1 - int(np.argmax(scores[::-1]))


def should_stop(scores: Sequence[float], patience: int) -> bool:
    """Return whether the last ``patience`` evaluations brought nothing better; 0 never stops."""
    return bool(patience) and len(scores) > patience and len(scores) - 1 - best_of(scores) >= patience
