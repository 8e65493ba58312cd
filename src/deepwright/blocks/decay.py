"""Which parameters weight decay leaves alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn


def weight_decay_groups(model: nn.Module, weight_decay: float, *, without: Collection[int] = ()) -> list[dict[str, Any]]:
    """Return the parameter groups of an optimizer, each parameter once, in the model's order.

    Parameters that take no gradient, and those whose ``id`` is in ``without``, are left out.

    Exempt are parameters called ``bias``, those of one axis or none (normalisations, tokens), those of ``nn.Embedding``, and
    those of modules that say ``decay_exempt = True`` (embeddings of numbers, scaling vectors), as their papers do.
    """
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    seen = set(without)
    for module in model.modules():
        kept = isinstance(module, nn.Embedding) or getattr(module, "decay_exempt", False)
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            (exempt if kept or name == "bias" or parameter.ndim <= 1 else decayed).append(parameter)
    if not weight_decay:
        decayed, exempt = [], [*decayed, *exempt]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
