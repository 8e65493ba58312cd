"""Convolutional networks over series with a mask; what is behind the end of a row never counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.dropout import Dropout
from deepwright.blocks.norms import VectorBatchNorm


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (arXiv 1502.03167) of (B, C, T) by the mean and variance of the places of rows alone.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = VectorBatchNorm(channels)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Normalise; ``there`` (B, 1, T) is true at the places of a row."""
        norm = self.norm
        if not self.training or not there.any():
            return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        # All places as rows of one table, so that whatever stands in for ``norm`` in several processes serves as well.
        table, mask = x.transpose(1, 2), there[:, 0]
        found = torch.zeros_like(table).masked_scatter(mask.unsqueeze(-1), norm(table[mask]).to(x.dtype))
        return found.transpose(1, 2)


class _Inception(nn.Module):
    """A module of Inception: convolutions of three lengths, and a maximum over three places, (B, C, T) → (B, 4F, T).

    Args:
        inputs: C.
        filters: F.
        kernels: Places of the convolutions.
        bottleneck: Channels that they see.
    """

    def __init__(self, inputs: int, filters: int, kernels: tuple[int, ...], bottleneck: int) -> None:
        super().__init__()
        narrow = inputs > bottleneck
        self.narrow = nn.Conv1d(inputs, bottleneck, 1, bias=False) if narrow else None
        width = bottleneck if narrow else inputs
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, size, bias=False) for size in kernels)
        self.pooled = nn.Conv1d(inputs, filters, 1, bias=False)
        self.norm = MaskedBatchNorm((len(kernels) + 1) * filters)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        narrow = x if self.narrow is None else self.narrow(x)
        found = [_same(convolution, narrow) for convolution in self.convolutions]
        # Behind the end there is nothing that a maximum could be.
        low = F.pad(x.masked_fill(~there, torch.finfo(x.dtype).min), (1, 1), value=torch.finfo(x.dtype).min)
        # Not max_pool1d, with which the exporter of torch 2.15 freezes the length.
        highest = torch.maximum(torch.maximum(low[:, :, :-2], low[:, :, 1:-1]), low[:, :, 2:])
        found.append(self.pooled(highest * there))
        return self.norm(torch.cat(found, 1), there)  # type: ignore[no-any-return]


class InceptionBody(nn.Module):
    """Modules of Inception with a shortcut around every three (Ismail Fawaz et al., arXiv 1909.04939): (B, T, D) → (B, T, 4F).

    Args:
        inputs: D.
        filters: F, the filters of each convolution.
        depth: How many modules.
        kernels: Places of the convolutions of a module.
        bottleneck: Channels that the convolutions see.
    """

    def __init__(self, inputs: int, filters: int, depth: int, kernels: tuple[int, ...], bottleneck: int) -> None:
        super().__init__()
        self.width = (len(kernels) + 1) * filters
        widths = [inputs, *[self.width] * (depth - 1)]
        self.modules_ = nn.ModuleList(_Inception(width, filters, kernels, bottleneck) for width in widths)
        around = [inputs, *[self.width] * (depth // 3 - 1)] if depth >= 3 else []
        self.shortcuts = nn.ModuleList(nn.Conv1d(width, self.width, 1, bias=False) for width in around)
        self.norms = nn.ModuleList(MaskedBatchNorm(self.width) for _ in around)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map a sequence."""
        there = mask.unsqueeze(1)
        x = x.transpose(1, 2) * there
        before = x
        for index, module in enumerate(self.modules_):
            x = module(x, there)
            if index % 3 == 2:
                shortcut = self.norms[index // 3](self.shortcuts[index // 3](before), there)
                x = x + shortcut
            # What is behind the end must be zero, so that a window over the end sees the same in every batch.
            x = F.relu(x) * there
            if index % 3 == 2:
                before = x
        return x.transpose(1, 2)


class TemporalBody(nn.Module):
    """Residual blocks of two causal convolutions, each twice as dilated as the one before (Bai et al., arXiv 1803.01271).

    (B, T, D) → (B, T, C): a place sees itself and the ``1 + 2 (kernel - 1) (2**depth - 1)`` places before it.

    Args:
        inputs: D.
        channels: C.
        depth: How many blocks.
        kernel: Places of a convolution.
        dropout: The fraction of values behind each convolution dropped in training.
    """

    def __init__(self, inputs: int, channels: int, depth: int, kernel: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = channels
        self.blocks = nn.ModuleList(
            _Temporal(inputs if index == 0 else channels, channels, kernel, 2**index, dropout) for index in range(depth)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map a sequence."""
        # A causal convolution never sees what is behind a place, so that padding at the end needs no mask until the end.
        columns = (x * mask.unsqueeze(-1)).transpose(1, 2)
        for block in self.blocks:
            columns = block(columns)
        return columns.transpose(1, 2) * mask.unsqueeze(-1)


class _Temporal(nn.Module):
    def __init__(self, inputs: int, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        weight_norm = nn.utils.parametrizations.weight_norm
        self.before = (kernel - 1) * dilation
        self.first = weight_norm(nn.Conv1d(inputs, channels, kernel, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(channels, channels, kernel, dilation=dilation))
        self.around = nn.Conv1d(inputs, channels, 1) if inputs != channels else None
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.dropout(F.relu(self.first(F.pad(x, (self.before, 0)))))
        inner = self.dropout(F.relu(self.second(F.pad(inner, (self.before, 0)))))
        return F.relu(inner + (x if self.around is None else self.around(x)))


def _same(convolution: nn.Module, x: Tensor) -> Tensor:
    size = int(convolution.kernel_size[0])  # type: ignore[index]
    before = (size - 1) // 2
    return convolution(F.pad(x, (before, size - 1 - before)))  # type: ignore[no-any-return]
