"""Random changes of light and colour of training pictures (B, C, H, W), float in 0…255, each row changed on its own.

Randomness is drawn as in :mod:`deepwright.blocks.geometry`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from deepwright.blocks.geometry import choose, uniform
from deepwright.families import Draw

WHITE = 255.0
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
"""From RGB to brightness and two colour axes (NTSC 1953)."""


def brightness(pictures: Tensor, draw: Draw, *, amount: float, p: float) -> Tensor:
    """Add up to ``amount`` of the range, either way."""
    chosen = choose(pictures, p, draw)
    added = uniform(pictures, -amount * WHITE, amount * WHITE, draw)
    return torch.where(chosen, (pictures + added).clamp(0, WHITE), pictures)


def contrast(pictures: Tensor, draw: Draw, *, amount: float, p: float) -> Tensor:
    """Stretch each picture about its mean by a factor in 1 ± ``amount``."""
    chosen = choose(pictures, p, draw)
    factor = uniform(pictures, 1 - amount, 1 + amount, draw)
    mean = pictures.mean((2, 3), keepdim=True).mean(1, keepdim=True)
    return torch.where(chosen, (mean + (pictures - mean) * factor).clamp(0, WHITE), pictures)


def color(pictures: Tensor, draw: Draw, *, saturation: float, hue: float, p: float) -> Tensor:
    """Change the saturation by a factor in 1 ± ``saturation`` and turn the hue by up to ``hue`` of the circle; RGB only.

    Both are one linear map of the colours: to YIQ, turn and stretch the two colour axes, and back.
    """
    chosen = choose(pictures, p, draw)
    stretch = uniform(pictures, 1 - saturation, 1 + saturation, draw).view(-1)
    angle = uniform(pictures, -2 * math.pi * hue, 2 * math.pi * hue, draw).view(-1)
    cos, sin, zero = stretch * torch.cos(angle), stretch * torch.sin(angle), torch.zeros_like(angle)
    one = torch.ones_like(angle)
    turn = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    to_yiq = torch.tensor(YIQ, dtype=pictures.dtype, device=pictures.device)
    matrix = torch.linalg.inv(to_yiq) @ turn @ to_yiq  # (B, 3, 3)
    changed = torch.einsum("bij,bjhw->bihw", matrix, pictures)
    return torch.where(chosen, changed.clamp(0, WHITE), pictures)


def blur(pictures: Tensor, draw: Draw, *, sigma: float, p: float) -> Tensor:
    """Blur by a Gaussian whose standard deviation is drawn up to ``sigma`` places; edges are drawn out."""
    chosen = choose(pictures, p, draw)
    # A standard deviation of nothing would divide by zero; at a tenth of a place all weight is on the centre.
    drawn = uniform(pictures, 0, sigma, draw).clamp(min=0.1)
    reach = max(1, math.ceil(2 * sigma))
    weights = [torch.exp(-(offset**2) / (2 * drawn**2)) for offset in range(-reach, reach + 1)]
    total = torch.stack(weights).sum(0)
    blurred = pictures
    for axis in (2, 3):
        edges = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        wide = F.pad(blurred, edges, mode="replicate")
        size = pictures.shape[axis]
        blurred = torch.zeros_like(pictures)
        for offset, weight in enumerate(weights):
            blurred.addcmul_(wide.narrow(axis, offset, size), weight / total)
    return torch.where(chosen, blurred.clamp(0, WHITE), pictures)


def noise(pictures: Tensor, draw: Draw, *, amount: float, p: float) -> Tensor:
    """Add Gaussian noise whose standard deviation is drawn up to ``amount`` of the range."""
    chosen = choose(pictures, p, draw)
    deviation = uniform(pictures, 0, amount * WHITE, draw)
    grain = torch.randn(pictures.shape, generator=draw.generator).to(pictures.device, pictures.dtype)
    return torch.where(chosen, (pictures + grain * deviation).clamp(0, WHITE), pictures)
