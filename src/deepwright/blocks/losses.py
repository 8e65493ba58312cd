"""Losses of one row each: ``loss(raw, target) -> (B,)``. See :class:`deepwright.families.Loss` for shapes and dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from deepwright.blocks.contract import RowLoss
from deepwright.facts import TargetKind
from deepwright.likeness import C1, C2, gaussian


def row_mean(values: Tensor) -> Tensor:
    """Average all axes but the first: (B, …) → (B,)."""
    return values if values.ndim == 1 else values.flatten(1).mean(1)


def squared_error(raw: Tensor, target: Tensor) -> Tensor:
    """``(raw - target)²``, (B,)."""
    return row_mean(F.mse_loss(raw, target, reduction="none"))


def absolute_error(raw: Tensor, target: Tensor) -> Tensor:
    """``|raw - target|``, (B,)."""
    return row_mean(F.l1_loss(raw, target, reduction="none"))


def huber_error(raw: Tensor, target: Tensor, delta: float) -> Tensor:
    """Quadratic within ``delta`` of the target and linear beyond (Huber 1964), (B,)."""
    return row_mean(F.huber_loss(raw, target, reduction="none", delta=delta))


def pinball_error(raw: Tensor, target: Tensor, quantiles: Sequence[float]) -> Tensor:
    """``2 max(q d, (q - 1) d)`` of ``d = target - raw`` for each quantile q (Koenker & Bassett 1978), (B,).

    Args:
        raw: (B, …, Q), or (B, …) of one quantile.
        target: (B, …).
        quantiles: The Q quantiles.
    """
    levels = torch.tensor(quantiles, dtype=raw.dtype, device=raw.device)
    gap = target.unsqueeze(-1) - (raw if raw.ndim > target.ndim else raw.unsqueeze(-1))
    return row_mean(2.0 * torch.maximum(levels * gap, (levels - 1.0) * gap))


def decisions(raw: Tensor, target: Tensor, kind: TargetKind) -> tuple[Tensor, Tensor]:
    """Return logits and 0/1 targets of the yes/no decisions that an output consists of.

    Args:
        raw: (B,) for binary, (B, tags) for multilabel, (B, classes - 1) for ordinal; a lone tag or threshold comes as (B,).
        target: (B,) class index, or (B, tags) of 0 and 1.
        kind: What the output is. For ordinal, decision k asks whether the class is above k (Frank & Hall 2001).
    """
    if kind == "binary":
        return raw, target.to(raw.dtype)
    logits = raw if raw.ndim == 2 else raw.unsqueeze(1)
    if kind == "multilabel":
        return logits, target.to(raw.dtype)
    above = torch.arange(logits.shape[1], device=raw.device)
    return logits, (target.unsqueeze(1) > above).to(raw.dtype)


def binary_cross_entropy(raw: Tensor, target: Tensor, kind: TargetKind, smoothing: float) -> Tensor:
    """Cross-entropy of the decisions of :func:`decisions`, averaged over a row, (B,); targets move ``smoothing`` / 2 inwards."""
    logits, hits = decisions(raw, target, kind)
    if smoothing:
        hits = hits * (1.0 - smoothing) + 0.5 * smoothing
    return row_mean(F.binary_cross_entropy_with_logits(logits, hits, reduction="none"))


def distribution(target: Tensor, classes: int, smoothing: float, dtype: torch.dtype) -> Tensor:
    """Return (B, classes) target probabilities: a distribution or one-hot, of which ``smoothing`` is spread evenly."""
    probabilities = target.to(dtype) if target.is_floating_point() else F.one_hot(target, classes).to(dtype)
    return probabilities * (1.0 - smoothing) + smoothing / classes


def cross_entropy(raw: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """``-Σ target log softmax(raw)`` for (B, classes) and a class index (B,) or a distribution (B, classes); (B,)."""
    return F.cross_entropy(raw, target, reduction="none", label_smoothing=smoothing)


def per_pixel(loss: RowLoss, weights: Sequence[float] | None = None) -> RowLoss:
    """Return the mean of a loss of classes over the known pixels of each row: raw (B, K, H, W) and target (B, H, W), (B,).

    Args:
        loss: The loss of classes, ``(N, K), (N,) → (N,)``.
        weights: What a pixel of each class counts; 1 by default.
    """

    def mean(raw: Tensor, target: Tensor) -> Tensor:
        known = (target >= 0).flatten(1)
        classes = target.long().clamp_min(0).flatten()
        each = loss(raw.permute(0, 2, 3, 1).reshape(-1, raw.shape[1]), classes)
        if weights is not None:
            each = each * torch.tensor(weights, dtype=raw.dtype, device=raw.device)[classes]
        return (each.view(known.shape) * known).sum(1) / known.sum(1).clamp_min(1)

    return mean


def dice(raw: Tensor, target: Tensor, smooth: float) -> Tensor:
    """``1 - mean over classes of (2 Σ p t + s) / (Σ p + Σ t + s)`` over the known pixels of each row, (B,) (arXiv 1606.04797).

    Args:
        raw: (B, K, H, W) logits.
        target: (B, H, W) classes, -1 unknown.
        smooth: s; it makes a class that is neither there nor predicted right.
    """
    known = (target >= 0).unsqueeze(1)
    hot = F.one_hot(target.long().clamp_min(0), raw.shape[1]).permute(0, 3, 1, 2) * known
    shares = torch.softmax(raw, 1) * known
    both = (shares * hot).flatten(2).sum(2)
    either = shares.flatten(2).sum(2) + hot.flatten(2).sum(2)
    return 1.0 - ((2.0 * both + smooth) / (either + smooth)).mean(1)


def charbonnier(raw: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """``√((raw - target)² + ε²) - ε``, (B,) (Charbonnier et al. 1994)."""
    return row_mean(torch.sqrt((raw - target).square() + epsilon**2) - epsilon)


def dissimilarity(raw: Tensor, target: Tensor, center: float, scale: float) -> Tensor:
    """``1 - SSIM`` of standardised pictures (B, C, H, W), (B,); see :func:`deepwright.likeness.ssim`."""
    ours, theirs = raw * scale + center, target * scale + center
    channels = raw.shape[1]
    stacked = torch.cat([ours, theirs, ours * ours, theirs * theirs, ours * theirs], 1)
    for axis in (2, 3):
        window = torch.tensor(gaussian(stacked.shape[axis]), dtype=raw.dtype, device=raw.device)
        shape = (-1, 1, len(window), 1) if axis == 2 else (-1, 1, 1, len(window))
        kernel = window.view(*shape[1:]).expand(stacked.shape[1], *shape[1:])
        stacked = F.conv2d(stacked, kernel, groups=stacked.shape[1])
    one, two, square, other, product = torch.split(stacked, channels, 1)
    across = product - one * two
    spread = square - one * one + other - two * two
    likeness = (2 * one * two + C1) * (2 * across + C2) / ((one * one + two * two + C1) * (spread + C2))
    return 1.0 - row_mean(likeness)


def kl_divergence(raw: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """KL(target ‖ softmax(raw)) for (B, classes) and a class index (B,) or a distribution (B, classes); (B,), at least 0."""
    wanted = distribution(target, raw.shape[-1], smoothing, raw.dtype)
    return F.kl_div(F.log_softmax(raw, -1), wanted, reduction="none").sum(-1)


def binary_focal(raw: Tensor, target: Tensor, kind: TargetKind, gamma: float, alpha: float | None) -> Tensor:
    """``-α_t (1 - p_t)^γ log p_t`` of the decisions of :func:`decisions`, averaged over a row (arXiv 1708.02002), (B,)."""
    logits, hits = decisions(raw, target, kind)
    # log of the probability given to what is true, and to what is false
    right, wrong = (F.logsigmoid(sign * (2.0 * hits - 1.0) * logits) for sign in (1.0, -1.0))
    weight = torch.exp(gamma * wrong)
    if alpha is not None:
        weight = weight * (alpha * hits + (1.0 - alpha) * (1.0 - hits))
    return row_mean(-weight * right)


def multiclass_focal(raw: Tensor, target: Tensor, gamma: float, alpha: Sequence[float] | None) -> Tensor:
    """``-α_c (1 - p_c)^γ log p_c`` of the true class c: (B, classes) and (B,) → (B,)."""
    right = F.log_softmax(raw, -1).gather(1, target.unsqueeze(1)).squeeze(1)
    # 1 - p from the log, exact near p = 1; a tiny floor keeps the gradient of its power finite at p = 1
    loss = -(-torch.expm1(right)).clamp_min(torch.finfo(raw.dtype).tiny).pow(gamma) * right
    return loss if alpha is None else loss * torch.tensor(alpha, dtype=raw.dtype, device=raw.device)[target]


def focal(kind: TargetKind, gamma: float, alpha: float | Sequence[float] | None) -> RowLoss:
    """Return the focal loss of a kind of output; ``alpha`` is one value for yes/no decisions, one a class for multiclass."""
    if kind in ("multiclass", "mask"):
        loss = partial(multiclass_focal, gamma=gamma, alpha=None if isinstance(alpha, float) else alpha)
        return per_pixel(loss) if kind == "mask" else loss
    return partial(binary_focal, kind=kind, gamma=gamma, alpha=alpha if isinstance(alpha, float) else None)
