"""Finding a learning rate and a batch size by trying them on the user's own model and rows (floor 5).

Both work on a copy of the model and leave torch's random state as it was, so that a training afterwards is not changed by them.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from deepwright.batches import Batch
from deepwright.blocks.rates import Rates
from deepwright.blockwise import open_sampler
from deepwright.engine.assembly import optimizer_of
from deepwright.engine.loop import Task, backward
from deepwright.errors import TrainingError
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe

LOWEST, HIGHEST = 1e-6, 10.0
"""The learning rates that a range test goes through."""
DIVERGED = 4.0
"""A running mean of losses that lies above the least so far by so many times its fall from the first ends a range test."""
SMOOTHING = 0.9
"""How much of the running mean of losses, which tells when they diverge, stays from step to step."""
WINDOW = 6
"""Steps to both sides over which the finished curve is smoothed, if it has as many."""
FEWEST = 5
"""Steps without which there is no curve."""
FALLEN = 0.1
"""The fall of the loss counts from where this share of it is done: before, learning rates are too low to matter."""
NEAR = 0.95
"""A batch size is good enough if it reaches this share of the best rows a second."""


@dataclass(frozen=True)
class RateTest:
    """What a learning-rate range test found (L. Smith, arXiv 1506.01186).

    Args:
        rates: The learning rate of each step, rising exponentially.
        losses: The training loss of each step.
        smoothed: The same, smoothed over the steps about each.
        suggestion: The middle of the fall of the smoothed loss, by the logarithm of the rate: a peak learning rate to take.
        steepest: Where the smoothed loss falls fastest.
        diverged: Whether the loss rose so far that the test ended early.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float
    steepest: float
    diverged: bool


@dataclass(frozen=True)
class BatchTrial:
    """One batch size and what was measured of it.

    Args:
        batch: Rows a step.
        rows_per_second: Training rows a second.
        seconds: Median seconds of a step.
        memory: Peak bytes on the device; 0 where it cannot be told.
        fits: Whether the step fitted into memory.
    """

    batch: int
    rows_per_second: float = 0.0
    seconds: float = 0.0
    memory: int = 0
    fits: bool = True


@dataclass(frozen=True)
class BatchTest:
    """What trying batch sizes found.

    Args:
        trials: Each batch size tried.
        suggestion: The smallest that reaches 95 % of the best rate: larger ones train no faster, and learn less from a row.
        largest: The largest that fitted into memory, of those tried.
    """

    trials: tuple[BatchTrial, ...]
    suggestion: int
    largest: int

    def table(self) -> list[dict[str, Any]]:
        """Return one row a trial, for reports."""
        return [{**asdict(trial), "chosen": trial.batch == self.suggestion} for trial in self.trials]


def find_rate(
    task: Task, recipe: Recipe, listener: Listener, *, steps: int = 100, low: float = LOWEST, high: float = HIGHEST
) -> RateTest:
    """Train with a learning rate that rises exponentially from ``low`` to ``high``, until the loss diverges.

    Args:
        task: What is trained; it is left as it was.
        recipe: The resolved recipe, for its optimizer; groups keep their rates relative to each other.
        listener: Hears of progress.
        steps: Steps from ``low`` to ``high``.
        low: The first learning rate.
        high: The last one.

    Raises:
        TrainingError: The loss is not finite at the lowest learning rates already (E401), or never falls (E407).
    """
    rates, losses = list[float](), list[float]()
    mean = first = least = math.nan
    diverged = False
    with _aside(task) as trial:
        optimizer = _optimizer(recipe, trial)
        base = recipe.training.optimizer.lr if recipe.training.optimizer is not None else 1.0
        for step in range(steps):
            rate = low * (high / low) ** (step / max(steps - 1, 1))
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] / base * rate
            loss = _step(trial, optimizer, trial.feed.take(step, steps))
            if not math.isfinite(loss):
                diverged = True
                break
            mean = loss if step == 0 else SMOOTHING * mean + (1 - SMOOTHING) * loss
            first, least = (mean, mean) if step == 0 else (first, min(least, mean))
            rates.append(rate)
            losses.append(loss)
            listener(Event("training", f"learning rate {rate:.2g}  loss {mean:.4f}", (step + 1) / steps))
            if mean > least + DIVERGED * max(first - least, 0.1 * abs(least)):
                diverged = True
                break
    if len(rates) < FEWEST:
        raise TrainingError(
            "E401",
            "the loss is not finite, or rises, however low the learning rate",
            got=f"learning rate {rates[-1] if rates else low:.2g}",
            fix="`deepwright inspect` shows extreme values",
        )
    smoothed = _smooth(losses)
    if not int(np.argmin(smoothed)):
        raise TrainingError("E407", "the loss falls at no learning rate", got=f"{len(rates)} steps, {low:g} to {rates[-1]:.2g}")
    suggestion, steepest = (_rounded(rates[place(smoothed)]) for place in (_valley, _steepest))
    return RateTest(tuple(rates), tuple(losses), tuple(smoothed.tolist()), suggestion, steepest, diverged)


def find_batch(task: Task, recipe: Recipe, listener: Listener, *, smallest: int = 16, steps: int = 3) -> BatchTest:
    """Double the batch until it does not fit, exceeds the rows, or twice in a row is slower than a smaller one.

    Args:
        task: What is trained; it is left as it was.
        recipe: The resolved recipe, for its optimizer.
        listener: Hears of progress.
        smallest: The batch size to begin with.
        steps: Steps measured for each size, after one that is not counted.

    Raises:
        TrainingError: Not even the smallest batch fits (E405).
    """
    trials: list[BatchTrial] = []
    size, slower = min(smallest, len(task.feed.rows)), 0
    while True:
        trial = _try_batch(task, recipe, size, steps)
        best = max((t.rows_per_second for t in trials), default=0.0)
        trials.append(trial)
        text = f"{trial.rows_per_second:,.0f} rows/s" if trial.fits else "does not fit into memory"
        listener(Event("machine", f"batch {size:>6,}  {text}", values=asdict(trial)))
        slower = slower + 1 if trial.rows_per_second < best else 0
        # On a GPU the question is also what fits; a CPU's memory must not be filled to find out.
        if not trial.fits or 2 * size > len(task.feed.rows) or (slower > 1 and task.feed.rows.device.type == "cpu"):
            break
        size *= 2
    fitting = [t for t in trials if t.fits]
    if not fitting:
        raise TrainingError(
            "E405", "not even the smallest batch fits into memory", got=f"{trials[0].batch} rows", fix="take a smaller network"
        )
    best = max(t.rows_per_second for t in fitting)
    return BatchTest(tuple(trials), next(t.batch for t in fitting if t.rows_per_second >= NEAR * best), fitting[-1].batch)


def _try_batch(task: Task, recipe: Recipe, size: int, steps: int) -> BatchTrial:
    """Measure steps of one batch size; what it used is given back, whether it fits or not."""
    device, times = task.feed.rows.device, list[float]()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        with _aside(task) as trial:
            optimizer = _optimizer(recipe, trial)
            feed = replace(trial.feed, sampler=open_sampler(trial.feed.rows, size, 0), resize=(1.0, 0.0))
            for step in range(steps + 1):
                began = time.perf_counter()
                _step(trial, optimizer, feed.take(step, steps + 1))
                times.append(time.perf_counter() - began)
    except torch.OutOfMemoryError:
        return BatchTrial(size, fits=False)
    seconds = sorted(times[1:])[len(times[1:]) // 2]
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return BatchTrial(size, size / seconds, seconds, memory)


def _step(task: Task, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """Make one step and return its loss, which also waits for the device."""
    task.model.train()
    optimizer.zero_grad(set_to_none=True)
    loss = backward(task, batch)
    if task.settings.clip is not None:
        nn.utils.clip_grad_norm_(task.model.parameters(), task.settings.clip)
    optimizer.step()
    return loss.item()


def _optimizer(recipe: Recipe, task: Task) -> torch.optim.Optimizer:
    return optimizer_of(recipe, Rates(task.model, task.model.parts(), recipe.training.rates))


@contextmanager
def _aside(task: Task) -> Iterator[Task]:
    """Yield the task with a copy of the model, and put torch's random state back afterwards."""
    state = torch.get_rng_state()
    try:
        model = copy.deepcopy(task.model)
        yield replace(task, model=model, forward=model)
    finally:
        torch.set_rng_state(state)


def _smooth(losses: Sequence[float]) -> NDArray[np.float64]:
    """Return the losses smoothed by a triangular window about each step, which does not lag behind as a running mean does."""
    window = np.bartlett(2 * min(WINDOW, (len(losses) - 1) // 2) + 1)
    share = np.convolve(np.ones(len(losses)), window, "same")[: len(losses)]
    return np.convolve(np.asarray(losses, np.float64), window, "same")[: len(losses)] / share


def _steepest(smoothed: NDArray[np.float64]) -> int:
    """Return where a loss falls fastest by the logarithm of the learning rate, whose steps are even, before its least."""
    return int(np.argmin(np.gradient(smoothed)[: max(int(np.argmin(smoothed)), 1)]))


def _valley(smoothed: NDArray[np.float64]) -> int:
    """Return the middle of the fall of a loss: from where a tenth of it is done, for good, to the least."""
    end = int(np.argmin(smoothed))
    # The last such place: of small batches, a loss dips and rises long before it falls.
    waiting = np.flatnonzero(smoothed[: end + 1] > smoothed[0] - FALLEN * (smoothed[0] - smoothed[end]))
    return (int(waiting[-1]) + 1 + end) // 2 if len(waiting) else end


def _rounded(rate: float) -> float:
    """Return a rate with two digits, as one would write it."""
    return float(f"{rate:.1e}")
