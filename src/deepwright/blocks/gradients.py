"""Convolutions whose weight gradient is a product of matrices, which is faster on small maps in bf16 on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL = 49
"""Places of an output map up to which the product is used. Measured with AMX, 64 maps, 3×3, 512 channels: oneDNN's own weight
gradient takes 30 ms for 2×2 places, 21 for 4×4, 29 for 7×7, the product 1, 5 and 14; of 256 channels and 8×8 places 7 and 8."""


class ProductsConv2d(nn.Conv2d):
    """``nn.Conv2d`` with the same weights and results; in training, small maps in bf16 get their weight gradient from a product."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # as torch calls it
        """Convolve (B, C, H, W)."""
        kernel, stride, padding = self.kernel_size, self.stride, cast(tuple[int, int], self.padding)
        height, width = ((input.shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
        half = input.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not (half and torch.is_grad_enabled() and height * width <= SMALL):
            return super().forward(input)
        bias = None if self.bias is None else self.bias.bfloat16()
        result: Tensor = _Products.apply(input.bfloat16(), self.weight.bfloat16(), bias, stride, padding)
        return result


def convolutions(model: nn.Module) -> Iterator[nn.Conv2d]:
    """Yield the convolutions that can take products; those of groups, of dilated windows and of subclasses cannot."""
    for module in model.modules():
        if type(module) in (nn.Conv2d, ProductsConv2d):
            layer = cast(nn.Conv2d, module)
            zeros = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
            if zeros and layer.groups == 1 and layer.dilation == (1, 1):
                yield layer


def small_maps(model: nn.Module, *, products: bool) -> None:
    """Let convolutions take the weight gradients of small maps from products or not.

    Frozen ones, too: which weights learn may change along a training, and a resumed one must compute the same.
    """
    for layer in convolutions(model):
        layer.__class__ = ProductsConv2d if products else nn.Conv2d


class _Products(torch.autograd.Function):
    """A convolution; with windows as rows, X (B H W, kh kw C), and the result's gradient G (B H W, O) its weights' is Gᵀ X."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.step, ctx.biased = (stride, padding), bias is not None
        return F.conv2d(maps, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        stride, padding = ctx.step
        before = None
        if ctx.needs_input_grad[0]:
            before, _, _ = torch.ops.aten.convolution_backward(
                gradient, maps, weight, None, stride, padding, (1, 1), False, (0, 0), 1, (True, False, False)
            )
        outputs, channels, *kernel = weight.shape
        own = None
        places = gradient.permute(0, 2, 3, 1).reshape(-1, outputs)
        if ctx.needs_input_grad[1]:
            windows = _windows(maps, kernel, stride, padding, gradient.shape[2:])
            own = (places.t() @ windows).view(outputs, *kernel, channels).permute(0, 3, 1, 2)
        return before, own, places.sum(0) if ctx.biased else None, None, None


def _windows(maps: Tensor, kernel: list[int], stride: tuple[int, int], padding: tuple[int, int], size: torch.Size) -> Tensor:
    """Return what each place of a convolution sees, (B × H × W, kh × kw × C)."""
    (rows, columns), (down, along) = kernel, stride
    channels = maps.shape[1]
    around = (0, 0, padding[1], padding[1], padding[0], padding[0])
    x = F.pad(maps.permute(0, 2, 3, 1), around).contiguous()
    batch, line, place, _ = x.stride()
    # Of a map whose channels lie side by side, a row of a window is one piece of memory.
    windows = x.as_strided(
        (len(x), *size, rows, columns * channels), (batch, down * line, along * place, line, 1), x.storage_offset()
    )
    return windows.reshape(-1, rows * columns * channels)
