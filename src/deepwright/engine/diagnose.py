"""Why a loss is not finite: the layer, the output, the columns and the rows that it comes from (floor 5).

The step is computed once more with an eye on every module; it costs a few steps' time, once, before training ends with E401.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from deepwright.batches import Batch
from deepwright.blocks.contract import HeadModule
from deepwright.engine.loop import autocast
from deepwright.errors import Problem
from deepwright.facts import Facts
from deepwright.model import Model

EXTREME = 1e3
"""A number this far from its mean, in standard deviations, or a target this far in its scale, is told."""
SHOWN = 5
"""So many rows are named."""


@dataclass
class _Found:
    """The first thing that is not finite.

    Args:
        name: The module's name in the model; empty for none.
        what: ``output`` or ``gradient``.
        value: The tensor.
        losses: Each output's loss.
        lacking: The places that the sequences of each output have too few for their targets (B,), where any are.
    """

    name: str = ""
    what: str = ""
    value: Tensor | None = None
    losses: dict[str, float] = field(default_factory=dict)
    lacking: dict[str, Tensor] = field(default_factory=dict)


def diagnose(
    model: Model,
    batch: Batch,
    precision: str,
    facts: Mapping[str, Facts],
    *,
    step: int,
    lr: float,
    index: Tensor | None = None,
    random: Tensor | None = None,
) -> Problem:
    """Say where a loss or a gradient that is not finite comes from; for ``TrainingError.of([…])``.

    Call it with the weights that the bad step began with: after an update by NaN every layer is to blame. Weights, gradients aside,
    statistics and random state are left as they are.

    Args:
        model: The model.
        batch: The batch of the step.
        precision: The step's precision.
        facts: What is known of each group of inputs, for the names of columns.
        step: The step, from 1.
        lr: Its learning rate.
        index: The training row of each of the batch's rows.
        random: torch's random state before the step, so that dropout is the same.
    """
    inputs = list(_suspicious(batch, facts, index))
    if bad := [name for name, parameter in model.named_parameters() if not torch.isfinite(parameter).all()]:
        return Problem(
            "E401",
            f"the loss is not finite at step {step:,}: weights became NaN or infinite in an earlier step",
            where=words(model, bad[0]),
            got="; ".join([f"{len(bad)} tensors of weights that are not finite", f"learning rate {lr:.3g}", *inputs]),
            fix=_advice(inputs, overflow=False),
        )
    found = _rerun(model, batch, precision, random)
    for output, lacking in found.lacking.items():
        most = int(lacking.max())
        return Problem(
            "E401",
            f"the loss is not finite at step {step:,}: sequences are too short for the texts of output {output}",
            where=f"the loss of output {output}",
            got=f"up to {most} frame{'s' if most > 1 else ''} too few in {_places(lacking > 0, index)}",
            expected="a frame for each token, and one more between equal ones",
            fix="a smaller hop of the sound, an encoder that halves the frames less often, or leave these rows out",
        )
    overflow = bool(found.name) and precision != "fp32" and not _rerun(model, batch, "fp32", random).name
    if not found.name:
        bad = [name for name, value in found.losses.items() if not _finite(value)]
        where = f"the loss of output {bad[0]}" if bad else ""
        message = f"the loss is not finite at step {step:,}" + ("" if bad else ", but was finite when the step was computed again")
    else:
        where = words(model, found.name)
        message = f"the loss is not finite at step {step:,}: the first {found.what} that is not finite is that of {where}"
    got = [_rows(found.value, index, batch), *inputs, f"learning rate {lr:.3g}, {precision}"]
    return Problem("E401", message, where, "; ".join(filter(None, got)), fix=_advice(inputs, overflow=overflow))


def words(model: Model, name: str) -> str:
    """Return a module's or parameter's name in the words of the recipe: ``input photo, body.3.0 (Conv2d)``."""
    head, _, rest = name.partition(".")
    owner = head
    if head in ("encoders", "heads", "layers"):
        number, _, rest = rest.partition(".")
        known = [group for group, _ in model.grouped(once=True)] if head == "encoders" else model.outputs
        owner = f"{'input' if head == 'encoders' else 'output'} {known[int(number)]}"
    kind = type(model.get_submodule(name)).__name__ if name in dict(model.named_modules()) else "weights"
    return f"{owner}, {rest} ({kind})" if rest else f"{owner} ({kind})"


def _rerun(model: Model, batch: Batch, precision: str, random: Tensor | None) -> _Found:
    """Compute forward, loss and backward as in training, and return the first module whose output or gradient is not finite."""
    found = _Found()
    with _as_it_was(model, random), _watched(model, found):
        with autocast(batch, precision):
            raw = model(batch.arrays)
        losses = model.loss(raw, batch.targets, batch.rows)
        found.losses = {name: value.item() for name, value in losses.items()}
        for name, head in zip(model.outputs, model.heads, strict=True):
            lacking = cast(HeadModule, head).lacking(raw[name], batch.targets[name])
            if lacking is not None and lacking.any():
                found.lacking[name] = lacking
        if not found.name and all(map(_finite, found.losses.values())):
            model.total(losses).backward()  # type: ignore[no-untyped-call]
    return found


@contextmanager
def _watched(model: nn.Module, found: _Found) -> Iterator[None]:
    """Look at the output of every module, innermost first, and at its gradient, last module first."""

    def look(name: str, what: str, value: Tensor) -> None:
        if not found.name and value.is_floating_point() and not torch.isfinite(value).all():
            found.name, found.what, found.value = name, what, value.detach()

    def watch(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            for value in _tensors(output):
                look(name, "output", value)
                if value.requires_grad:
                    value.register_hook(lambda gradient: look(name, "gradient", gradient))  # type: ignore[no-untyped-call]

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _as_it_was(model: nn.Module, random: Tensor | None) -> Iterator[None]:
    """Put the model into training with the given random state, and put statistics, gradients and random state back."""
    state = torch.get_rng_state()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    gradients = [parameter.grad for parameter in model.parameters()]
    mode = model.training
    for parameter in model.parameters():
        parameter.grad = None
    if random is not None:
        torch.set_rng_state(random)
    model.train()
    try:
        yield
    finally:
        model.train(mode)
        torch.set_rng_state(state)
        for name, value in model.named_buffers():
            value.copy_(buffers[name])
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient


def _suspicious(batch: Batch, facts: Mapping[str, Facts], index: Tensor | None) -> Iterator[str]:
    """Yield what the batch holds that is infinite or extreme, by column; a missing value (NaN) is neither."""
    for key, array in (*batch.arrays.items(), *((f"output {name}", target) for name, target in batch.targets.items())):
        if not array.is_floating_point():
            continue
        group, _, kind = key.rpartition(".")
        known = facts[group].numbers if kind == "numbers" and group in facts else ()
        if kind in ("image", "sound"):
            bad = ~torch.isfinite(array).flatten(1).all(1)
            if bad.any():
                what = "pictures" if kind == "image" else "sounds"
                yield f"input {group} has {what} that are not finite in {_places(bad, index)}"
            continue
        table = array.flatten(1) if array.ndim > 1 else array.unsqueeze(1)
        for column in range(table.shape[1]):
            values = table[:, column]
            bad = values.abs() > EXTREME
            if bad.any():
                label = f"column {known[column].label}" if column < len(known) else key
                worst = values[bad][values[bad].abs().argmax()].item()
                yield f"{label} is {worst:.3g} standard deviations from its mean in {_places(bad, index)}"
    if batch.rows is not None and not torch.isfinite(batch.rows).all():
        yield f"row weights are not finite in {_places(~torch.isfinite(batch.rows), index)}"


def _rows(value: Tensor | None, index: Tensor | None, batch: Batch) -> str:
    """Return which rows of a tensor (B, …) are not finite, if it is one of rows."""
    count = len(next(iter(batch.targets.values())))
    if value is None or not value.ndim or len(value) != count:
        return ""
    return f"not finite in {_places(~torch.isfinite(value).reshape(count, -1).all(1), index)}"


def _places(bad: Tensor, index: Tensor | None) -> str:
    """Return rows in words: those of the training rows if their numbers are known, else of the batch."""
    if bad.all() and len(bad) > 1:
        return f"all {len(bad):,} rows of the batch"
    place = bad.nonzero().squeeze(1).cpu()
    rows: Sequence[int] = sorted((place if index is None else index.cpu()[place]).tolist())
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    kind = "training" if index is not None else "the batch's"
    return f"{kind} row{'s' if len(rows) > 1 else ''} {', '.join(f'{row:,}' for row in rows[:SHOWN])}{more} (from 0)"


def _advice(inputs: Sequence[str], *, overflow: bool) -> str:
    if overflow:
        return "the same step is finite in fp32: training: {precision: fp32}"
    if column := next((line.split(" ")[1] for line in inputs if line.startswith("column ")), None):
        return f"mend the column, or clip it: data: {{clean: {{{column}: {{outliers: clip}}}}}}"
    return "lower training.optimizer.lr (deepwright find lr suggests one), or set training.clip: 1.0"


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _finite(value: float) -> bool:
    return abs(value) < float("inf")
