"""The training loop, to be read (floor 5).

:func:`loop` is a generator: it yields after every step, and what to do about it (show progress, save, stop) is its consumer's
affair. It draws the same numbers whether it runs through or is resumed: the batch of a step and its augmentation are functions
of the seed and the step, and the only other randomness, dropout's, is torch's default generator, which checkpoints hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepwright.batches import Augment, Batch, Rows, Sampler, mix, seeded, shrunk
from deepwright.errors import TrainingError
from deepwright.families import Draw, Schedule
from deepwright.model import Model

Score = Callable[[dict[str, NDArray[np.float32]]], dict[str, float]]
"""From predictions on the validation rows to figures; ``"score"`` is the one that is maximised."""


@dataclass(frozen=True)
class Settings:
    """What the loop needs of the recipe, flat.

    Args:
        steps: Optimizer steps in all.
        batch: Rows a step.
        every: Steps between two evaluations.
        seed: The seed of order and augmentation.
        clip: The largest norm of the whole gradient.
        l1: L1 penalty on weights.
        l2: L2 penalty on weights.
        mixup: Mixup's alpha.
        cutmix: CutMix's alpha.
        resize: How large pictures are at first, as a share of their side, and the progress at which they are whole.
        precision: ``fp32`` or ``bf16``.
        evaluation_batch: Rows a batch in evaluation, where no gradients are kept.
    """

    steps: int
    batch: int
    every: int
    seed: int = 0
    clip: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    resize: tuple[float, float] = (1.0, 0.0)
    precision: str = "fp32"
    evaluation_batch: int = 1024


@dataclass
class Progress:
    """Where a run is; with the weights and the optimizer, all that a checkpoint needs.

    Args:
        step: Steps done.
        history: One record an evaluation: step, losses, figures, learning rate.
        loss_sum: Sum of the training losses since the last evaluation.
        evaluated: Whether this step ended with an evaluation.
    """

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    loss_sum: float = 0.0
    evaluated: bool = False

    @property
    def scores(self) -> list[float]:
        """The validation scores so far; higher is better."""
        return [record["score"] for record in self.history]


@dataclass
class Task:
    """What a loop works on.

    Args:
        model: The model, trained in place.
        rows: Training rows.
        validation: Rows that choose the best weights.
        sampler: Which rows each step takes.
        score: From validation predictions to figures.
        settings: What the loop needs of the recipe.
        augment: The change of each picture input, by its key.
    """

    model: Model
    rows: Rows
    validation: Rows
    sampler: Sampler
    score: Score
    settings: Settings
    augment: Mapping[str, Augment] = field(default_factory=dict)


def loop(task: Task, optimizer: torch.optim.Optimizer, schedule: Schedule, progress: Progress) -> Iterator[Progress]:
    """Train the task's model in place from ``progress`` on, and yield the progress after every step.

    Raises:
        TrainingError: The loss is not finite any more (E401).
    """
    model, settings = task.model, task.settings
    penalised = [p for p in model.parameters() if p.ndim > 1]
    while progress.step < settings.steps:
        model.train()
        factor = schedule.multiplier(progress.step / settings.steps, progress.scores)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

        batch = take(task, progress.step)
        loss = batch_loss(model, batch, settings.precision)
        for power, strength in ((1, settings.l1), (2, settings.l2)):
            if strength:
                loss = loss + strength * torch.stack([p.abs().pow(power).sum() for p in penalised]).sum()

        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()

        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                "E401",
                f"the loss became {value} at step {progress.step + 1:,}",
                got=f"learning rate {optimizer.param_groups[0]['lr']:.3g}",
                fix="lower training.optimizer.lr, or set training.clip: 1.0; `deepwright inspect` shows extreme values",
            )
        progress.step += 1
        progress.loss_sum += value
        progress.evaluated = progress.step % settings.every == 0 or progress.step == settings.steps
        if progress.evaluated:
            since = progress.step - (progress.history[-1]["step"] if progress.history else 0)
            figures = task.score(predictions(model, task.validation, settings))
            record = {
                "epoch": -(-progress.step // settings.every),
                "step": progress.step,
                "lr": optimizer.param_groups[0]["lr"],
                "train_loss": progress.loss_sum / since,
            }
            progress.history.append(record | figures)
            progress.loss_sum = 0.0
        yield progress


def take(task: Task, step: int) -> Batch:
    """Return the batch of a step, changed at random as the step's own generator says."""
    index = task.sampler(step)
    seed = task.settings.seed
    batch = task.rows.take(index.to(task.rows.device))
    batch = augmented(batch, task.augment, task.settings, Draw(seeded(seed, 2, step), index, step // task.sampler.steps, seed))
    return resized(batch, task.settings, step / task.settings.steps)


def resized(batch: Batch, settings: Settings, progress: float) -> Batch:
    """Shrink a batch's pictures as far as progressive resizing asks for at ``progress``."""
    start, until = settings.resize
    if progress < until:
        share = start + (1 - start) * progress / until
        for key in batch.arrays:
            if key.endswith(".image"):
                picture = batch.arrays[key].permute(0, 3, 1, 2).float()
                batch.arrays[key] = shrunk(picture, share).permute(0, 2, 3, 1)
    return batch


def augmented(batch: Batch, augment: Mapping[str, Augment], settings: Settings, draw: Draw) -> Batch:
    """Change a batch's pictures at random: each input's own augmentations, then mixup or CutMix."""
    for key, change in augment.items():
        # Augmentations see (B, C, H, W); the wire is (B, H, W, C).
        picture = batch.arrays[key].permute(0, 3, 1, 2).float()
        batch.arrays[key] = change(picture, draw).permute(0, 2, 3, 1)
    images = [key for key in batch.arrays if key.endswith(".image")]
    if images and (settings.mixup or settings.cutmix):
        return mix(batch, images, settings.mixup, settings.cutmix, draw.generator)
    return batch


def batch_loss(model: Model, batch: Batch, precision: str) -> Tensor:
    """Return the total loss of a batch, mixed targets taken in their shares."""
    with autocast(batch, precision):
        raw = model(batch.arrays)
    total = model.total(model.loss(raw, batch.targets, batch.rows))
    if batch.other is None:
        return total
    return batch.share * total + (1 - batch.share) * model.total(model.loss(raw, batch.other, batch.rows))


def autocast(batch: Batch, precision: str) -> AbstractContextManager[object]:
    """Return the context of a precision: bf16 for what gains from it, fp32 for the rest."""
    if precision == "fp32":
        return nullcontext()
    device = next(iter(batch.arrays.values())).device.type
    return torch.autocast(device, dtype=torch.bfloat16)


def predictions(model: Model, rows: Rows, settings: Settings) -> dict[str, NDArray[np.float32]]:
    """Return the values or probabilities of all rows, as they will leave the exported graph."""
    model.eval()
    collected: dict[str, list[Tensor]] = {}
    with torch.inference_mode():
        for batch in rows.slices(settings.evaluation_batch):
            with autocast(batch, settings.precision):
                raw = model(batch.arrays)
            for name, values in model.predict(raw).items():
                collected.setdefault(name, []).append(values.cpu())
    return {name: torch.cat(parts).numpy() for name, parts in collected.items()}


def best_of(scores: Sequence[float]) -> int:
    """Return the index of the best score, of equal ones the last: it has learnt longest."""
    return len(scores) - 1 - int(np.argmax(scores[::-1]))


def should_stop(scores: Sequence[float], patience: int) -> bool:
    """Return whether the last ``patience`` evaluations brought nothing better; 0 never stops."""
    return bool(patience) and len(scores) > patience and len(scores) - 1 - best_of(scores) >= patience
