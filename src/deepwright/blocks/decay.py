"""Which parameters weight decay leaves alone, and which learn at a rate of their own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn


def weight_decay_groups(model: nn.Module, weight_decay: float, *, without: Collection[int] = ()) -> list[dict[str, Any]]:
    """Return the parameter groups of an optimizer, each parameter once, in the model's order.

    Parameters that take no gradient, and those whose ``id`` is in ``without``, are left out.

    Exempt are parameters called ``bias``, those of one axis or none (normalisations, tokens), those of ``nn.Embedding``, and
    those of modules that say ``decay_exempt = True`` (embeddings of numbers, scaling vectors), as their papers do.

    The biases of modules that say ``bias_rate = 64.0`` form a group of their own, whose ``rate`` multiplies the optimizer's
    learning rate (see :func:`deepwright.blocks.optimization.rated`).
    """
    decayed: list[nn.Parameter] = []
    exempt: dict[float, list[nn.Parameter]] = {1.0: []}
    seen = set(without)
    for module in model.modules():
        kept = isinstance(module, nn.Embedding) or getattr(module, "decay_exempt", False)
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            rate = float(getattr(module, "bias_rate", 1.0)) if name == "bias" else 1.0
            (exempt.setdefault(rate, []) if kept or name == "bias" or parameter.ndim <= 1 else decayed).append(parameter)
    if not weight_decay:
        decayed, exempt[1.0] = [], [*decayed, *exempt[1.0]]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": weight_decay}]
    groups += [{"params": some, "weight_decay": 0.0} | ({} if rate == 1 else {"rate": rate}) for rate, some in exempt.items()]
    return [group for group in groups if group["params"]]
