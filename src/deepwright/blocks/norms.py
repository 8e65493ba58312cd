"""Normalisations where torch's own fail: on a training batch with one value a channel, and in mixed precision."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class VectorBatchNorm(nn.BatchNorm1d):
    """Batch normalisation (arXiv 1502.03167) of vectors (B, D); a lone row, without variance, takes the running statistics."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Normalise (B, D)."""
        return _by_running(self, input) if _is_lone(self, input) else super().forward(input)


class MapBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of maps (B, C, H, W); a lone value a channel is normalised by the running statistics."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Normalise (B, C, H, W)."""
        return _by_running(self, input) if _is_lone(self, input) else super().forward(input)


class RMSNorm(nn.RMSNorm):
    """Division by the root mean square (arXiv 1910.07467), in the precision of its weight under autocast too."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (…, D)."""
        return super().forward(x.to(self.weight.dtype))


def _is_lone(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> bool:
    """Return whether a training batch holds one value a channel. Evaluation asks nothing, so that a traced batch stays free."""
    return norm.training and x.numel() == x.shape[1]


def _by_running(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
