"""Activation functions by name. Importing this file does not import torch, so that parts can use :data:`ActivationName`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

ActivationName = Literal["none", "relu", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish", "softplus", "tanh", "sigmoid"]
"""The activation functions that a recipe can name; ``none`` is the identity."""


def activation(name: ActivationName, *, inplace: bool = False) -> nn.Module:
    """Build the activation function ``name``; it keeps every shape.

    ``gelu`` is the exact form (arXiv 1606.08415), ``silu`` is also called swish (arXiv 1710.05941), ``mish`` is arXiv 1908.08681.

    Args:
        name: Which.
        inplace: Whether ``relu`` may overwrite its input, which saves memory traffic; others never do.
    """
    from torch import nn

    if name == "relu":
        return nn.ReLU(inplace)
    classes: dict[ActivationName, type[nn.Module]] = {
        "none": nn.Identity,
        "leaky_relu": nn.LeakyReLU,
        "elu": nn.ELU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "mish": nn.Mish,
        "hardswish": nn.Hardswish,
        "softplus": nn.Softplus,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
    }
    return classes[name]()
