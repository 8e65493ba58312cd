"""Random changes of training series (B, T, C), NaN where missing, with the places of each row (B,); each row is changed on its own.

Randomness is drawn as in :mod:`deepwright.blocks.geometry`. What stands behind the end of a row does not count, here neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deepwright.families import Draw

Change = Callable[[Tensor, Tensor, Draw], tuple[Tensor, Tensor]]


def unchanged(series: Tensor, lengths: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """Return the series as they are."""
    return series, lengths


def _chosen(series: Tensor, p: float, draw: Draw) -> Tensor:
    """Return which rows are changed, (B, 1, 1)."""
    return (torch.rand(len(series), 1, 1, generator=draw.generator) < p).to(series.device)


def jitter(series: Tensor, lengths: Tensor, draw: Draw, *, sigma: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Add normal noise of the deviations ``sigma`` (C,) to every place."""
    chosen = _chosen(series, p, draw)
    noise = torch.randn(series.shape, generator=draw.generator).to(series.device)
    return series + noise * sigma.to(series.device) * chosen, lengths


def scaled(series: Tensor, lengths: Tensor, draw: Draw, *, sigma: float, mean: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Multiply the distance of each channel from ``mean`` (C,) by a factor around 1 of the deviation ``sigma``."""
    chosen = _chosen(series, p, draw)
    factor = 1 + sigma * torch.randn(len(series), 1, series.shape[2], generator=draw.generator).to(series.device) * chosen
    level = mean.to(series.device)
    return (series - level) * factor + level, lengths


def warped(series: Tensor, lengths: Tensor, draw: Draw, *, amount: float, knots: int, p: float) -> tuple[Tensor, Tensor]:
    """Run through each series now faster, now slower, from its first place to its last.

    The speed is drawn at ``knots`` points, up to 1 + ``amount`` times as fast or as slow, and changes linearly between them.
    """
    count = series.shape[1]
    reach = math.log1p(amount)
    speed = torch.exp((2 * torch.rand(len(series), knots, generator=draw.generator) - 1) * reach).to(series.device)
    chosen = _chosen(series, p, draw).squeeze(2)
    ends = (lengths - 1).clamp_min(0).to(series.dtype)[:, None]
    # How far each place is through its row, 0 … 1, and the speed there.
    way = (torch.arange(count, device=series.device) / ends.clamp_min(1)).clamp(max=1)
    at = way * (knots - 1)
    before = at.floor().long().clamp(max=max(knots - 2, 0))
    between = at - before
    local = speed.gather(1, before) * (1 - between) + speed.gather(1, (before + 1).clamp(max=knots - 1)) * between
    there = torch.arange(count, device=series.device) < lengths[:, None]
    # The place reached is the speed added up so far, as a share of the whole.
    gone = torch.cumsum(local * there, 1)
    start, total = gone[:, :1], gone.gather(1, (lengths.long() - 1).clamp_min(0)[:, None])
    share = ((gone - start) / (total - start).clamp_min(1e-9)).clamp(0, 1)
    place = torch.where(chosen, share * ends, torch.arange(count, device=series.device, dtype=series.dtype))
    return _at(series, place), lengths


def sliced(series: Tensor, lengths: Tensor, draw: Draw, *, least: float, p: float) -> tuple[Tensor, Tensor]:
    """Keep a stretch of each series, of at least ``least`` of it."""
    chosen = _chosen(series, p, draw).view(-1)
    share = 1 - (1 - least) * torch.rand(len(series), generator=draw.generator).to(series.device)
    where = torch.rand(len(series), generator=draw.generator).to(series.device)
    kept = torch.where(chosen, torch.ceil(lengths * share).to(lengths.dtype), lengths)
    first = torch.where(chosen, torch.floor(where * (lengths - kept + 1)), torch.zeros_like(where)).long().clamp_min(0)
    place = (torch.arange(series.shape[1], device=series.device) + first[:, None]).clamp(max=series.shape[1] - 1)
    return series.gather(1, place.unsqueeze(2).expand_as(series)), kept


def _at(series: Tensor, place: Tensor) -> Tensor:
    """Return series (B, T, C) at places (B, T) between its own, by linear interpolation; beside a gap the nearer place counts."""
    before = place.floor().long().clamp(0, series.shape[1] - 1)
    behind = (before + 1).clamp(max=series.shape[1] - 1)
    between = (place - before).unsqueeze(2)
    one, two = (series.gather(1, each.unsqueeze(2).expand_as(series)) for each in (before, behind))
    mixed = one * (1 - between) + two * between
    # Whole places, and those beside a missing one, are not mixed: a gap stays as wide as it is.
    return torch.where(torch.isnan(mixed) | (between == 0), torch.where(between > 0.5, two, one), mixed)
