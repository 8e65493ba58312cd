"""LoRA: weights that learn by a product of two thin matrices (Hu et al. 2021, arXiv 2106.09685).

``W' = W + (alpha / rank) B A``, where W is frozen, A starts at random and B at zero. The sum is made before the layer runs, so that
linear layers and convolutions of any kernel need no code of their own. It is part of training only: bundle and graph hold W'.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

_ORIGINAL = ".parametrizations.weight.original"
_LOW = ".parametrizations.weight.0."


class LowRank(nn.Module):
    """``weight + scale · (B A)``, in the weight's own shape.

    Args:
        weight: (outputs, …) of a linear layer or a convolution, taken as a matrix (outputs, all else).
        rank: The columns of B and the rows of A.
        alpha: ``scale`` is ``alpha / rank``.
    """

    scale: Tensor

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        outputs, rest = weight.shape[0], weight[0].numel()
        self.down = nn.Parameter(weight.new_empty(rank, rest))
        self.up = nn.Parameter(weight.new_zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.register_buffer("scale", weight.new_tensor(alpha / rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer uses."""
        return low_rank(weight, self.down, self.up, self.scale)


def low_rank(weight: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
    """Return ``weight + scale · (up @ down)``."""
    return weight + (scale * (up @ down)).view(weight.shape)


def add_low_rank(network: nn.Module, rank: int, alpha: float, only: str = "") -> int:
    """Freeze a network, and let linear layers and convolutions learn by low rank; return how many there are.

    Args:
        network: Changed in place.
        rank: The rank; a layer with fewer inputs or outputs takes that many.
        alpha: The scale, times the rank.
        only: A regular expression of the names of layers that learn; empty for all.
    """
    layers = [
        layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) and re.search(only, name)
    ]
    network.requires_grad_(requires_grad=False)
    for layer in layers:
        own = min(rank, layer.weight.shape[0], layer.weight[0].numel())
        # alpha over the declared rank: a layer that is thinner than that learns as fast as the others
        register_parametrization(layer, "weight", LowRank(layer.weight, own, alpha * own / rank))
    return len(layers)


def has_low_rank(network: nn.Module) -> bool:
    """Return whether any layer learns by low rank."""
    return any(isinstance(module, LowRank) for module in network.modules())


def merged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dictionary of the same network without low rank, every sum made."""
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, tensor in state.items():
            layer = name.partition(".parametrizations.")[0]
            if f"{layer}{_LOW}down" not in state:
                found[name] = tensor  # another parametrization, such as weight normalisation, stays
            elif name.endswith(_ORIGINAL):
                low = (state[f"{layer}{_LOW}{key}"] for key in ("down", "up", "scale"))
                found[f"{layer}.weight"] = low_rank(tensor, *low)
            elif _LOW not in name:
                found[name] = tensor
    return found
