"""The tune-up of the machine: measure the choices that matter on the user's own model and rows, and take the fastest.

One question after the other, each asked of the best answer so far: precision and memory layout, weight gradients, threads, batches
made ahead, compilation. What computes other numbers than plain fp32 is refused, however fast it is.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import Raw
from deepwright.blocks.gradients import convolutions, small_maps
from deepwright.blocks.image import ImageInput
from deepwright.engine.loop import Task, backward
from deepwright.errors import RecipeError
from deepwright.recipe import Training

SHARE = 0.05
"""The largest part of the expected training time that the tune-up may take."""
AGREEMENT = {"fp32": (1e-3, 0.01, 0.05), "bf16": (0.01, 0.05, 0.2)}
"""By precision: the largest relative differences from plain fp32 that a candidate's loss, the norm of its gradient, and its
gradient may show. Rounding alone was measured, on a convolutional and on a residual network, to make 3e-6, 6e-4 and 0.015 in fp32
(maxima and ReLUs that all but tie fall the other way), and 3e-4, 0.01 and 0.09 in bf16."""
GAIN = 0.03
"""A candidate is taken when it is faster by more than this: less is noise."""
COMPILING = 30.0
"""Seconds that compilation is expected to take before it was tried."""
WORTH_AHEAD = 0.1
"""Making batches ahead is tried where making one takes more than this share of a step. Measured for a small network on a table,
whose batches are quickly made: 93,800 rows/s without, 84,100 with a thread that makes them ahead."""
LEAST_SECONDS, LEAST_STEPS, ENOUGH_SECONDS = 0.05, 3, 0.5
"""A candidate is measured for so many seconds, and so many steps, at least; after :data:`ENOUGH_SECONDS` one step is enough."""
HOPELESS = 2.0
"""What takes so many times as long as the best, in a first step of :data:`ENOUGH_SECONDS` or more, is not measured further."""


@dataclass(frozen=True)
class Choice:
    """One way of computing steps.

    Args:
        precision: ``fp32`` or ``bf16``.
        layout: ``contiguous`` or ``channels_last`` (pictures and sounds only).
        threads: CPU threads within an operator.
        prefetch: Batches made ahead by a background thread.
        compile: Whether the network is compiled.
        weight_gradients: ``direct`` or ``products``; see :mod:`deepwright.blocks.gradients`.
    """

    precision: str = "fp32"
    layout: str = "contiguous"
    threads: int = 1
    prefetch: int = 0
    compile: bool = False
    weight_gradients: str = "direct"

    def __str__(self) -> str:
        layout = [self.layout.replace("_", " ")] if self.layout != "contiguous" else []
        more = [f"{self.prefetch} batches ahead"] * (self.prefetch > 0) + ["compiled"] * self.compile
        more += ["weight gradients by products"] * (self.weight_gradients == "products")
        return ", ".join([f"{self.threads} thread{'s' * (self.threads > 1)}", self.precision, *layout, *more])


@dataclass(frozen=True)
class Candidate:
    """What was measured of one choice.

    Args:
        choice: The choice.
        seconds: Seconds of a step: making the batch, forward, loss, backward.
        warmup: Seconds of the first step, compilation included.
        differences: The relative differences from plain fp32 of the loss, the gradient's norm, and the gradient.
        reason: Why it is refused; empty if it is not.
    """

    choice: Choice
    seconds: float
    warmup: float
    differences: tuple[float, float, float] = (0.0, 0.0, 0.0)
    reason: str = ""

    @property
    def agrees(self) -> bool:
        """Whether its numbers are those of plain fp32."""
        return not self.reason


@dataclass
class Tuneup:
    """The choice and the table of all that was tried."""

    chosen: Candidate
    tried: list[Candidate] = field(default_factory=list)
    seconds: float = 0.0

    def table(self) -> list[dict[str, Any]]:
        """Return one row a candidate, for the report."""
        return [
            {**asdict(each.choice), **_measures(each), "agrees": each.agrees, "chosen": each is self.chosen} for each in self.tried
        ]


def _measures(candidate: Candidate) -> dict[str, Any]:
    names = zip(("loss", "norm", "gradient"), candidate.differences, strict=True)
    # JSON has no infinity: what could not be computed took no time that could be told.
    seconds = candidate.seconds if math.isfinite(candidate.seconds) else None
    measured = {"seconds": seconds, "warmup": candidate.warmup, "reason": candidate.reason}
    return measured | {f"{name}_difference": value for name, value in names}


def tune(task: Task, training: Training, start: Choice, *, total: float | None = None, ask: bool = True) -> Tuneup:
    """Measure what the recipe leaves open and return the fastest choice that agrees with plain fp32.

    The model's weights and torch's random state are left as they were.

    Args:
        task: What is trained.
        training: The recipe's section; what it pins is not asked.
        start: The choice that is measured first, with all that is pinned.
        total: Seconds that training shall take; by default those of all steps at the first choice's speed.
        ask: Whether anything but the first choice is measured.

    Raises:
        RuntimeError: The first choice cannot be computed: out of memory.
        RecipeError: It is pinned to be compiled, and cannot be (E106).
    """
    began = time.perf_counter()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    truth = _Truth(task)
    # What nobody declared may fail: plain fp32 stands behind it.
    first = _tried(task, start, truth) if _plain(start, training) != start else _measure(task, start, truth)
    result = Tuneup(first, [first])
    if not first.agrees and (plain := _plain(start, training)) != start:
        result.tried.append(_measure(task, plain, truth))
        if result.tried[-1].agrees or not math.isfinite(first.seconds):
            result.chosen = result.tried[-1]
    total = task.settings.steps * result.chosen.seconds if total is None else total
    steps = total / result.chosen.seconds
    for question in (_numerics, _gradients, _threads, _prefetch, _compilation) if ask else ():
        for choice in question(result.chosen, training, task):
            if _cost(choice, result.chosen.seconds) > SHARE * total - (time.perf_counter() - began):
                continue
            candidate = _tried(task, choice, truth, HOPELESS * result.chosen.seconds)
            result.tried.append(candidate)
            if not _faster(candidate, result.chosen.seconds, steps):
                continue
            # A machine that others use, too, may have been slow when the best so far was measured: it is measured once more.
            best = result.chosen.seconds
            if _cost(result.chosen.choice, best) <= SHARE * total - (time.perf_counter() - began):
                best = min(best, _tried(task, result.chosen.choice, truth).seconds)
            if _faster(candidate, best, steps):
                result.chosen = candidate
    torch.set_rng_state(state)
    torch.set_num_threads(threads)
    result.seconds = time.perf_counter() - began
    return result


def _faster(candidate: Candidate, seconds: float, steps: float) -> bool:
    """Return whether a candidate agrees and is faster than steps of ``seconds``; its compilation counts, too."""
    warmup = candidate.warmup if candidate.choice.compile else 0.0
    return candidate.agrees and candidate.seconds * steps + warmup < (1 - GAIN) * seconds * steps


def _cost(choice: Choice, seconds: float) -> float:
    """Return about how many seconds it takes to measure a choice whose step takes ``seconds``."""
    steps = 1 + min(LEAST_STEPS, max(1.0, ENOUGH_SECONDS / seconds))
    return steps * seconds + LEAST_SECONDS + (COMPILING if choice.compile else 0)


def _plain(choice: Choice, training: Training) -> Choice:
    """Return a choice with all that the recipe leaves open as plain as can be."""
    plain: dict[str, Any] = {"precision": "fp32", "layout": "contiguous", "compile": False, "weight_gradients": "direct"}
    return replace(choice, **{key: value for key, value in plain.items() if getattr(training, key) == "auto"})


def first_choice(task: Task, training: Training, *, measured: bool) -> Choice:
    """Return what the recipe pins, and for the rest what is usually right; bf16 only where it is going to be ``measured``."""
    maps = any(key.endswith((".image", ".sound")) for key in task.feed.rows.arrays)
    # LSTMs of some hundred steps were measured to be four to nine times as fast in bf16 on a CPU that computes it.
    lstm = any(isinstance(module, torch.nn.LSTM) for module in task.model.modules())
    half = measured and (maps or lstm) and bf16_supported(task.feed.rows.device)
    usual = "products" if half and _matrices(task) else "direct"
    return Choice(
        ("bf16" if half else "fp32") if training.precision == "auto" else training.precision,
        ("channels_last" if maps else "contiguous") if training.layout == "auto" else training.layout,
        training.threads or torch.get_num_threads(),
        training.prefetch or 0,
        training.compile == "on",
        usual if training.weight_gradients == "auto" else training.weight_gradients,
    )


def _convolutions(task: Task) -> bool:
    """Return whether weight gradients of convolutions may be products: those of bf16 on a CPU."""
    return task.feed.rows.device.type == "cpu" and any(convolutions(task.model))


def _matrices(task: Task) -> bool:
    """Return whether a CPU multiplies matrices of bf16 in hardware (AMX), where products were measured to be faster."""
    return _convolutions(task) and bool(torch.cpu._is_amx_tile_supported())


def _numerics(chosen: Candidate, training: Training, task: Task) -> Iterator[Choice]:
    best = chosen.choice
    device = task.feed.rows.device
    maps = any(key.endswith((".image", ".sound")) for key in task.feed.rows.arrays)
    precisions = ["bf16", "fp32"] if training.precision == "auto" and bf16_supported(device) else [best.precision]
    layouts = ["channels_last", "contiguous"] if training.layout == "auto" and maps else [best.layout]
    for precision, layout in sorted(itertools.product(precisions, layouts), key=lambda pair: pair[1] != best.layout):
        if (precision, layout) != (best.precision, best.layout):
            direct = training.weight_gradients == "auto" and precision == "fp32"
            gradients = "direct" if direct else best.weight_gradients
            yield replace(best, precision=precision, layout=layout, weight_gradients=gradients)


def _gradients(chosen: Candidate, training: Training, task: Task) -> Iterator[Choice]:
    best = chosen.choice
    if training.weight_gradients == "auto" and best.precision == "bf16" and _convolutions(task):
        yield replace(best, weight_gradients="direct" if best.weight_gradients == "products" else "products")


def _threads(chosen: Candidate, training: Training, task: Task) -> Iterator[Choice]:
    best = chosen.choice
    if training.threads is None and task.feed.rows.device.type == "cpu" and best.threads > 1:
        for threads in sorted({1, best.threads // 2} - {best.threads}, reverse=True):
            yield replace(best, threads=threads)


def _prefetch(chosen: Candidate, training: Training, task: Task) -> Iterator[Choice]:
    if training.prefetch is not None:
        return
    began = time.perf_counter()
    for step in range(LEAST_STEPS):
        task.feed.take(step, task.settings.steps)
    # A thread that has little to do only gets in the way of the one that computes.
    if time.perf_counter() - began > WORTH_AHEAD * LEAST_STEPS * chosen.seconds:
        yield replace(chosen.choice, prefetch=2)


def _compilation(chosen: Candidate, training: Training, task: Task) -> Iterator[Choice]:
    best = chosen.choice
    # Of sequences every length would be compiled anew.
    if training.compile == "auto" and not task.feed.rows.sequences:
        yield replace(best, compile=True)


def bf16_supported(device: torch.device) -> bool:
    """Return whether the device computes bf16 in hardware; emulation is never worth measuring."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def apply(task: Task, choice: Choice) -> None:
    """Bring a task in line with a choice."""
    task.settings = replace(task.settings, precision=choice.precision)
    task.feed.ahead = choice.prefetch
    if task.feed.rows.device.type == "cpu":
        torch.set_num_threads(choice.threads)
    set_layout(task.model, choice.layout)
    small_maps(task.model, products=choice.weight_gradients == "products")
    task.forward = _compiled(task.model, fixed=not task.feed.rows.sequences) if choice.compile else task.model


def _compiled(model: nn.Module, *, fixed: bool) -> Callable[[Mapping[str, Tensor]], dict[str, Raw]]:
    """Return the model's forward pass, compiled at the first call; where that cannot be done, the call says so (E106).

    Args:
        model: The model.
        fixed: Whether all batches have one shape, so that one compilation serves all; sequences differ in length.
    """
    from torch._dynamo.exc import TorchDynamoException  # 1.5 s to import, which few runs need

    forward = torch.compile(model, dynamic=False if fixed else None)

    def call(arrays: Mapping[str, Tensor]) -> dict[str, Raw]:
        try:
            result: dict[str, Raw] = forward(arrays)
        except TorchDynamoException as error:
            raise RecipeError(
                "E106",
                "the network cannot be compiled on this machine",
                where="training.compile",
                got=next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__),
                expected="a C++ compiler on a CPU, Triton on a GPU",
                fix="training: {compile: off}",
            ) from error
        return result

    return call


def set_layout(model: nn.Module, layout: str) -> None:
    """Put convolution weights, and with them what flows through the network, into a memory layout."""
    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model.to(memory_format=memory_format)
    for module in model.modules():
        if isinstance(module, ImageInput):
            module.layout = memory_format


@dataclass
class _Truth:
    """The loss and the gradient of the first batch in plain fp32, which every candidate is compared with."""

    task: Task
    known: tuple[float, Tensor] | None = None

    def differences(self, task: Task) -> tuple[tuple[float, float, float], float]:
        """Return the relative differences of a trial's loss, gradient norm and gradient, and the seconds of its first step."""
        if self.known is None:
            self.known = _loss_and_gradient(_trial(self.task, Choice(threads=torch.get_num_threads())))
        began = time.perf_counter()
        loss, gradient = _loss_and_gradient(task)
        seconds = time.perf_counter() - began
        true_loss, true_gradient = self.known
        length = float(true_gradient.norm().clamp_min(1e-12))
        return (
            abs(loss - true_loss) / max(abs(true_loss), 1e-6),
            abs(float(gradient.norm()) - length) / length,
            float((gradient - true_gradient).norm()) / length,
        ), seconds


def _trial(task: Task, choice: Choice) -> Task:
    """Return a task on a copy of the model, in line with a choice."""
    # At full size: what progressive resizing saves at first is no measure of the steps that follow.
    trial = replace(task, model=copy.deepcopy(task.model).train(), feed=replace(task.feed, resize=(1.0, 0.0)))
    apply(trial, choice)
    return trial


def _loss_and_gradient(task: Task) -> tuple[float, Tensor]:
    """Return the first batch's loss and whole gradient, without dropout, whose masks depend on how they are drawn."""
    with _without_dropout(task.model):
        task.model.zero_grad(set_to_none=True)
        loss = backward(task, task.feed.take(0, task.settings.steps)).item()
    parts = [p.grad.float().flatten() for p in task.model.parameters() if p.grad is not None]
    return loss, torch.cat(parts).cpu()


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    model.eval()
    for module in model.modules():
        # What is normalised by the batch computes other things in evaluation, and training is what is compared.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
    yield
    model.train()


def _tried(task: Task, choice: Choice, truth: _Truth, hopeless: float = math.inf) -> Candidate:
    """Measure a choice; what cannot be computed here is refused like what computes wrong numbers."""
    try:
        return _measure(task, choice, truth, hopeless)
    except (RuntimeError, RecipeError) as error:  # an unsupported operator, too little memory; no compiler
        return Candidate(choice, math.inf, 0.0, reason=str(error).partition("\n")[0] or type(error).__name__)


def _measure(task: Task, choice: Choice, truth: _Truth, hopeless: float = math.inf) -> Candidate:
    trial = _trial(task, choice)
    steps = trial.settings.steps
    differences, warmup = truth.differences(trial)
    refusal = _refusal(choice, differences)
    if refusal or (not choice.compile and warmup > max(hopeless, ENOUGH_SECONDS)):
        return Candidate(choice, warmup, warmup, differences, refusal)
    device = trial.feed.rows.device
    # Of a run of few short steps, not more than a hundredth.
    least = min(LEAST_SECONDS, 0.01 * steps * warmup)
    times: list[float] = []
    batches = trial.feed.batches(0, min(steps, 1000))
    _synchronize(device)
    began = last = time.perf_counter()
    for batch in batches:
        trial.model.zero_grad(set_to_none=True)
        backward(trial, batch)
        _synchronize(device)
        now = time.perf_counter()
        if choice.compile and now - last > warmup and not times:
            # The comparison compiled the network as it is evaluated; this compiled it as it is trained.
            warmup, began = now - last, now
        else:
            times.append(now - last)
        last = now
        if times and (now - began > ENOUGH_SECONDS or (len(times) >= LEAST_STEPS and now - began > least)):
            break
    batches.close()
    # The comparison has paid for allocation and kernel choice; the median leaves a moment's disturbance alone.
    return Candidate(choice, sorted(times)[len(times) // 2], warmup, differences, refusal)


def _refusal(choice: Choice, differences: tuple[float, float, float]) -> str:
    """Return why a choice's numbers are not those of plain fp32, if they are not."""
    names = ("loss", "norm of the gradient", "gradient")
    for name, found, allowed in zip(names, differences, AGREEMENT[choice.precision], strict=True):
        if not found <= allowed:  # a NaN is refused, too
            return f"the {name} differs from plain fp32 by {found:.2g}, allowed is {allowed:.2g}"
    return ""


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
