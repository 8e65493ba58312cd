"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): activations are computed again in the backward pass, not kept.

Only the inputs of an encoder's stages are kept, so that the memory of activations falls to about that of the widest stage; a step
costs one more forward pass of the stages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from deepwright.blocks.rates import unwrapped


def recompute(encoder: nn.Module) -> int:
    """Let every stage of an encoder compute its activations again in the backward pass.

    Stages are the entries, with parameters, of the sequences that the encoder holds. Results, gradients, random numbers and the
    statistics of batch normalisations stay the same; so do the names of the weights, and copies of the encoder behave alike.

    Returns:
        How many stages there are; 0 for an encoder that is not made of stages, where nothing is saved.
    """
    stages = list(_stages(encoder))
    for stage in stages:
        # An attribute of the instance, so that no module is put between the stage and its name.
        stage.__dict__["forward"] = partial(_recomputed, stage)
    return len(stages)


def keep(encoder: nn.Module) -> None:
    """Undo :func:`recompute`, as before an export."""
    for stage in _stages(encoder):
        stage.__dict__.pop("forward", None)


def _stages(encoder: nn.Module) -> Iterator[nn.Module]:
    encoder = unwrapped(encoder)
    sequences = [encoder] if isinstance(encoder, nn.Sequential) else encoder.children()
    for sequence in sequences:
        if isinstance(sequence, nn.Sequential | nn.ModuleList):
            yield from (stage for stage in sequence if any(True for _ in stage.parameters()))


def _recomputed(stage: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
    forward: Any = type(stage).forward
    if not (stage.training and torch.is_grad_enabled()):
        plain: Tensor = forward(stage, *args, **kwargs)
        return plain
    result: Tensor = checkpoint(forward, stage, *args, use_reentrant=False, context_fn=partial(_contexts, stage), **kwargs)
    return result


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
    """Return the contexts of the first computation and of the second."""
    return nullcontext(), _statistics_kept(stage)


@contextmanager
def _statistics_kept(stage: nn.Module) -> Iterator[None]:
    """Let batch normalisations write their running statistics into copies, which are thrown away."""
    held = [(module, dict(module._buffers)) for module in stage.modules() if isinstance(module, _NormBase)]
    for module, buffers in held:
        module._buffers.update({name: None if value is None else value.clone() for name, value in buffers.items()})
    try:
        yield
    finally:
        for module, buffers in held:
            module._buffers.update(buffers)
