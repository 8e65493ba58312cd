"""Batch normalisation over the rows of all processes, on any device (torch's own SyncBatchNorm takes CUDA tensors only)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Total = Callable[[Tensor], Tensor]
"""Sums a tensor over all processes, in place, and returns it."""


class SynchronizedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation (arXiv 1502.03167) of (B, C, …) by the mean and variance over the batches of all processes.

    It takes over the parameters and the running statistics of a plain one, under the same names.

    Args:
        plain: The normalisation to take the place of.
        total: Sums over the processes.
    """

    def __init__(self, plain: nn.modules.batchnorm._BatchNorm, total: Total) -> None:
        super().__init__(plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats)
        self.weight, self.bias = plain.weight, plain.bias
        for name, buffer in plain.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self.total = total

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  torch's name
        """Take any number of axes."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Normalise (B, C, …)."""
        if not self.training and self.running_mean is not None:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        mean, variance, count = self._statistics(input)
        weight = torch.ones_like(mean) if self.weight is None else self.weight
        bias = torch.zeros_like(mean) if self.bias is None else self.bias
        normalized: Tensor = _Normalize.apply(input, weight, bias, mean, variance, count, self.eps, self.total)
        return normalized

    @torch.no_grad()
    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean (C,), variance (C,) and count () over all processes; the running statistics follow them."""
        axes = [0, *range(2, x.ndim)]
        dtype = torch.promote_types(x.dtype, torch.float32)
        variance, mean = torch.var_mean(x.to(dtype), axes, correction=0)
        # In float64 a variance may be the difference of two sums, and one exchange suffices.
        variance, mean = variance.double(), mean.double()
        count = mean.new_tensor([x.numel() // x.shape[1]])
        sums = self.total(torch.cat([count, count * mean, count * (variance + mean * mean)]))
        count, sums, squares = torch.split(sums, [1, self.num_features, self.num_features])
        mean = sums / count
        variance = (squares / count - mean * mean).clamp_min(0)
        if self.training and self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None  # noqa: S101  for the type checker: kept with the other two
            self.num_batches_tracked += 1
            rate = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
            self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), rate)
        return mean.to(dtype), variance.to(dtype), count.to(dtype)


class _Normalize(torch.autograd.Function):
    """``y = w x̂ + b`` with ``x̂ = (x − μ) / √(σ² + ε)``, where μ and σ² depend on the x of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, count: Tensor, eps: float, total: Total
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps, ctx.total = eps, total
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """∂x = w / √(σ² + ε) · (∂y − mean(∂y) − x̂ · mean(∂y x̂)), the means over all processes."""
        x, weight, mean, variance, count = ctx.saved_tensors
        # With fixed statistics torch's kernel gives w / √(σ² + ε) · ∂y, and the sums over this process's rows.
        plain, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = ctx.total(torch.cat([by_bias, by_weight]).to(mean.dtype)) / count
        over_bias, over_weight = sums.chunk(2)
        inverse = torch.rsqrt(variance + ctx.eps)
        slope = weight * inverse * over_weight * inverse
        offset = weight * inverse * over_bias - slope * mean
        shape = [1, -1, *[1] * (x.ndim - 2)]
        moved = plain - (slope.view(shape) * x + offset.view(shape)).to(plain.dtype)
        return moved, by_weight, by_bias, None, None, None, None, None


def synchronize(model: nn.Module, total: Total) -> None:
    """Let every batch normalisation of a model, in place, take its statistics over all processes; names stay."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and not isinstance(child, SynchronizedBatchNorm):
                setattr(module, name, SynchronizedBatchNorm(child, total).train(child.training))
