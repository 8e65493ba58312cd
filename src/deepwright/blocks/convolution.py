"""Convolutions of maps (B, C, H, W), with their normalisation and activation."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from deepwright.blocks.activations import ActivationName, activation
from deepwright.blocks.normalization import MapNormalizationName, map_normalization
from deepwright.blocks.shapes import Window

ConvolutionStart = Literal["he", "dirac"]
"""``he``: normal values by the fan-out (arXiv 1502.01852). ``dirac``: as many filters as there are channels in start by handing on
their own channel, so that a deep network starts as a shallow one; others start as torch's own (arXiv 2404.00498, section 3.3)."""


class Subsample(nn.Module):
    """Every ``stride``-th row and column of a map: (B, C, H, W) to (B, C, ceil(H / stride[0]), ceil(W / stride[1])).

    Args:
        stride: The steps along height and width.
    """

    def __init__(self, stride: tuple[int, int]) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        """Take them."""
        return maps[:, :, :: self.stride[0], :: self.stride[1]]


def strided(kernel: tuple[int, int], stride: tuple[int, int]) -> tuple[tuple[int, int], list[nn.Module]]:
    """Split the stride of a convolution into its own and a module before it.

    A strided 1×1 convolution sees only the places that it stops at. Taking these first gives the same result, and keeps clear of
    oneDNN's own way to do so, which writes beyond its memory for channels-last maps whose channels are no multiple of 8
    (torch 2.15 on AVX2: a crash in backward for 4 and 6 channels).

    Returns:
        The convolution's own stride, and no or one module.
    """
    return ((1, 1), [Subsample(stride)]) if kernel == (1, 1) and stride != (1, 1) else (stride, [])


def convolution(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    padding: tuple[int, int] | None = None,
    norm: MapNormalizationName = "batch",
    act: ActivationName = "relu",
) -> nn.Sequential:
    """Build convolution, normalisation and activation.

    Maps (B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride)) with an odd kernel and the usual padding.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: The window's side.
        stride: The step of the window.
        padding: Zeros at both ends of height and width; by default half the kernel.
        norm: The normalisation; with one, the convolution has no bias of its own, since the normalisation brings it.
        act: The activation.
    """
    step, parts = strided((kernel, kernel), (stride, stride))
    parts.append(nn.Conv2d(inputs, outputs, kernel, step, padding or kernel // 2, bias=norm == "none"))
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


def initialize_convolutions(network: nn.Module, start: ConvolutionStart = "he") -> None:
    """Give every convolution its first weights (see :data:`ConvolutionStart`) and no bias."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            if start == "he":
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            else:
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
                with torch.no_grad():
                    nn.init.dirac_(module.weight[: module.weight.shape[1]])
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def scale_bias_rates(network: nn.Module, rate: float) -> None:
    """Let the biases of all normalisations learn ``rate`` times as fast as the rest, see :mod:`deepwright.blocks.decay`."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm | nn.LayerNorm):
            module.bias_rate = rate  # type: ignore[assignment]  # a plain attribute
