"""Random changes of training sounds (B, T), float in ±32768, with the samples of each row (B,); each row is changed on its own.

Randomness is drawn as in :mod:`deepwright.blocks.geometry`. What stands behind the end of a row does not count, here neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from deepwright.families import Draw

Change = Callable[[Tensor, Tensor, Draw], tuple[Tensor, Tensor]]
FULL = 32767.0


def unchanged(sound: Tensor, lengths: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """Return the sounds as they are."""
    return sound, lengths


def _drawn(sound: Tensor, reach: float, p: float, draw: Draw) -> Tensor:
    """Return a number in ±``reach`` for each row with the probability ``p``, else 0: (B, 1)."""
    chosen = torch.rand(len(sound), 1, generator=draw.generator) < p
    value = (2 * torch.rand(len(sound), 1, generator=draw.generator) - 1) * reach
    return (value * chosen).to(sound.device)


def gain(sound: Tensor, lengths: Tensor, draw: Draw, *, decibels: float, p: float) -> tuple[Tensor, Tensor]:
    """Make each sound up to ``decibels`` louder or quieter."""
    factor = 10 ** (_drawn(sound, decibels, p, draw) / 20)
    return (sound * factor).clamp(-FULL - 1, FULL), lengths


def hiss(sound: Tensor, lengths: Tensor, draw: Draw, *, quietest: float, loudest: float, p: float) -> tuple[Tensor, Tensor]:
    """Add white noise between ``quietest`` and ``loudest`` decibels in relation to the sound, both below 0."""
    middle, reach = (loudest + quietest) / 2, (loudest - quietest) / 2
    chosen = (torch.rand(len(sound), 1, generator=draw.generator) < p).to(sound.device)
    level = 10 ** ((middle + _drawn(sound, reach, 1.0, draw)) / 20)
    there = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
    power = (sound * there).square().sum(1, keepdim=True) / lengths[:, None].clamp_min(1)
    grain = torch.randn(sound.shape, generator=draw.generator).to(sound.device)
    return (sound + grain * (power.sqrt() * level * chosen)).clamp(-FULL - 1, FULL), lengths


def speed(sound: Tensor, lengths: Tensor, draw: Draw, *, amount: float, p: float) -> tuple[Tensor, Tensor]:
    """Play each sound up to 1 + ``amount`` times as fast or as slow, by linear interpolation; the pitch changes with it."""
    factor = torch.exp(_drawn(sound, math.log1p(amount), p, draw))
    count = sound.shape[1]
    there = torch.arange(count, device=sound.device) < lengths[:, None]
    # in float64, or late samples of a long sound would lie between the grid's points where nothing changes
    place = torch.arange(math.ceil(count * (1 + amount)), device=sound.device) * factor.double()
    before = place.floor().long().clamp(max=count - 1)
    after = (before + 1).clamp(max=count - 1)
    wave = sound * there
    between = (place - before).clamp(0, 1).to(sound.dtype)
    played = wave.gather(1, before) * (1 - between) + wave.gather(1, after) * between
    return played, torch.ceil(lengths / factor.squeeze(1).double()).to(lengths.dtype).clamp(max=played.shape[1])


def shift(sound: Tensor, lengths: Tensor, draw: Draw, *, samples: int, p: float) -> tuple[Tensor, Tensor]:
    """Put silence of up to ``samples`` before each sound, or take as much away, but no more than a third of it."""
    moved = _drawn(sound, float(samples), p, draw).round().long().squeeze(1)
    moved = torch.maximum(moved, -(lengths.long() // 3)) * (lengths > 0)
    wave = F.pad(sound * (torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]), (samples, samples))
    place = torch.arange(sound.shape[1] + samples, device=sound.device) + samples - moved[:, None]
    return wave.gather(1, place.clamp(max=wave.shape[1] - 1)), lengths + moved.to(lengths.dtype)
