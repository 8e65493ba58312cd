"""The tune-up of the machine: measure the choices that matter on the user's own model and rows, and take the fastest."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from deepwright.blocks.image import ImageInput
from deepwright.engine.loop import Task, batch_loss, take

AGREEMENT = 0.02
"""The largest relative difference from fp32 that a candidate's loss and gradient norm may show."""


@dataclass(frozen=True)
class Candidate:
    """One way of computing a step, and what was measured of it.

    Args:
        precision: ``fp32`` or ``bf16``.
        layout: ``contiguous`` or ``channels_last`` (pictures only).
        seconds: Median seconds of a step (forward, loss, backward).
        loss: The loss of the first batch.
        gradient: The norm of the first batch's gradient.
        agrees: Whether loss and gradient agree with fp32's.
    """

    precision: str
    layout: str
    seconds: float = 0.0
    loss: float = 0.0
    gradient: float = 0.0
    agrees: bool = True


@dataclass(frozen=True)
class Tuneup:
    """The choice and the table of all that was tried."""

    chosen: Candidate
    tried: tuple[Candidate, ...]
    seconds: float

    def table(self) -> list[dict[str, Any]]:
        """Return one row a candidate, for the report."""
        return [{**asdict(candidate), "chosen": candidate is self.chosen} for candidate in self.tried]


def candidates(precision: str, layout: str, device: torch.device, *, pictures: bool) -> list[tuple[str, str]]:
    """Return the (precision, layout) pairs worth measuring, fp32 first; pinned choices are kept."""
    precisions = (
        ["fp32", "bf16"] if precision == "auto" and bf16_supported(device) else ["fp32" if precision == "auto" else precision]
    )
    layouts = ["contiguous", "channels_last"] if layout == "auto" and pictures else ["contiguous" if layout == "auto" else layout]
    return [(p, l) for p in precisions for l in layouts]  # noqa: E741


def bf16_supported(device: torch.device) -> bool:
    """Return whether the device computes bf16 in hardware; emulation is never worth measuring."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def tune(task: Task, pairs: Sequence[tuple[str, str]], *, steps: int = 3) -> Tuneup:
    """Measure each (precision, layout) on a copy of the model and return the fastest that agrees with the first.

    The model's weights and torch's random state are left as they were.
    """
    began = time.perf_counter()
    state = torch.get_rng_state()
    tried: list[Candidate] = []
    for precision, layout in pairs:
        torch.set_rng_state(state)
        tried.append(_measure(task, precision, layout, steps, tried[0] if tried else None))
    torch.set_rng_state(state)
    chosen = min((c for c in tried if c.agrees), key=lambda c: c.seconds)
    return Tuneup(chosen, tuple(tried), time.perf_counter() - began)


def _measure(task: Task, precision: str, layout: str, steps: int, reference: Candidate | None) -> Candidate:
    trial = copy.deepcopy(task.model).train()
    set_layout(trial, layout)
    times: list[float] = []
    loss = gradient = 0.0
    for step in range(steps + 1):
        _synchronize(task.rows.device)
        began = time.perf_counter()
        value = batch_loss(trial, take(task, step), precision)
        trial.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        _synchronize(task.rows.device)
        times.append(time.perf_counter() - began)
        if step == 0:
            loss = value.item()
            gradient = float(torch.stack([p.grad.norm() for p in trial.parameters() if p.grad is not None]).norm())
    agrees = reference is None or (_near(loss, reference.loss) and _near(gradient, reference.gradient))
    # The first step pays for allocation and kernel choice; the rest are what an epoch is made of.
    return Candidate(precision, layout, sorted(times[1:])[len(times[1:]) // 2], loss, gradient, agrees)


def set_layout(model: torch.nn.Module, layout: str) -> None:
    """Put convolution weights, and with them what flows through the network, into a memory layout."""
    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model.to(memory_format=memory_format)
    for module in model.modules():
        if isinstance(module, ImageInput):
            module.layout = memory_format


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= AGREEMENT * max(abs(b), 1e-6)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
