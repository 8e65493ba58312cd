"""Convolutions of maps (B, C, H, W), with their normalisation and activation."""

from __future__ import annotations

from torch import nn

from deepwright.blocks.activations import ActivationName, activation
from deepwright.blocks.normalization import MapNormalizationName, map_normalization
from deepwright.blocks.shapes import Window


def convolution(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    norm: MapNormalizationName = "batch",
    act: ActivationName = "relu",
) -> nn.Sequential:
    """Build convolution, normalisation and activation, padded by half the kernel.

    Maps (B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride)); with an even kernel, H and W that are multiples of
    the stride.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: The window's side.
        stride: The step of the window.
        norm: The normalisation; with one, the convolution has no bias of its own, since the normalisation brings it.
        act: The activation.
    """
    # An even kernel with an even stride is padded so that its windows stay centred on their cells.
    padding = (kernel - stride + 1) // 2 if kernel % 2 == 0 else kernel // 2
    parts: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=norm == "none")]
    if norm != "none":
        parts.append(map_normalization(norm, outputs))
    if act != "none":
        parts.append(activation(act))
    return nn.Sequential(*parts)


def padded(windows: tuple[Window, Window], value: float = 0.0) -> tuple[tuple[int, int], list[nn.Module]]:
    """Split the padding of two windows into what a layer pads itself and a module that pads before it.

    Layers pad both ends alike; only where the ends differ is a module of its own needed.

    Returns:
        The layer's own (vertical, horizontal) padding, and no or one padding module.
    """
    rows, columns = windows
    if rows.before == rows.after and columns.before == columns.after:
        return (rows.before, columns.before), []
    return (0, 0), [nn.ConstantPad2d((columns.before, columns.after, rows.before, rows.after), value)]


def initialize_convolutions(network: nn.Module) -> None:
    """Give every convolution He-normal weights by its fan-out (arXiv 1502.01852) and no bias."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
