"""Random changes of where things are in training pictures (B, C, H, W), float in 0…255, each row changed on its own.

All randomness is drawn on the CPU from the draw's generator, the same count of numbers for every batch of the same shape, so that
a run can be repeated and resumed; no function loops over rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from deepwright.families import Draw

Augment = Callable[[Tensor, Draw], Tensor]
"""``augment(pictures, draw)`` → pictures of the same shape and dtype."""

EdgeName = Literal["zero", "border", "reflect"]
"""What lies beyond the edge: black, the edge drawn out, or the mirrored picture."""


def unchanged(pictures: Tensor, draw: Draw) -> Tensor:
    """Return the pictures as they are."""
    return pictures


def uniform(pictures: Tensor, low: float, high: float, draw: Draw) -> Tensor:
    """Draw one number in [low, high) for each row, (B, 1, 1, 1), on the pictures' device."""
    drawn = torch.rand(pictures.shape[0], 1, 1, 1, generator=draw.generator) * (high - low) + low
    return drawn.to(pictures.device, pictures.dtype)


def choose(pictures: Tensor, p: float, draw: Draw) -> Tensor:
    """Choose rows with the probability ``p``: (B, 1, 1, 1) bool."""
    return (torch.rand(pictures.shape[0], 1, 1, 1, generator=draw.generator) < p).to(pictures.device)


def crop(pictures: Tensor, draw: Draw, *, rows: int, columns: int, edge: EdgeName, p: float) -> Tensor:
    """Shift each picture by up to ``rows`` and ``columns`` places, as cropping a padded picture does."""
    batch, _, height, width = pictures.shape
    chosen = choose(pictures, p, draw).view(batch, 1)
    reach = torch.tensor([rows, columns])
    shift = torch.floor(torch.rand(batch, 2, generator=draw.generator) * (2 * reach + 1)).long() - reach
    shift = shift.to(pictures.device) * chosen
    y = torch.arange(height, device=pictures.device) + shift[:, :1]  # (B, H)
    x = torch.arange(width, device=pictures.device) + shift[:, 1:]  # (B, W)
    flat = _inside(y, height, edge).unsqueeze(2) * width + _inside(x, width, edge).unsqueeze(1)  # (B, H, W)
    moved = _take(pictures, flat)
    if edge != "zero":
        return moved
    seen = ((y >= 0) & (y < height)).unsqueeze(2) & ((x >= 0) & (x < width)).unsqueeze(1)
    return moved * seen.unsqueeze(1)


def _take(pictures: Tensor, places: Tensor) -> Tensor:
    """Take from each picture the flat ``places`` (B, H, W)."""
    batch, channels, height, width = pictures.shape
    base = torch.arange(batch, device=pictures.device).view(batch, 1, 1) * (height * width)
    # Rows of C values lie together in the channels-last layout that pictures come in.
    pixels = pictures.permute(0, 2, 3, 1).reshape(-1, channels)
    return pixels.index_select(0, (places + base).view(-1)).view(batch, height, width, channels).permute(0, 3, 1, 2)


def _inside(places: Tensor, size: int, edge: EdgeName) -> Tensor:
    """Move places beyond the edge inside."""
    if edge == "reflect":
        period = max(1, 2 * (size - 1))
        places = places.remainder(period)
        return torch.minimum(places, period - places)
    return places.clamp(0, size - 1)


def flip(pictures: Tensor, draw: Draw, *, axis: Literal["horizontal", "vertical"], p: float) -> Tensor:
    """Mirror pictures: left and right, or up and down."""
    return torch.where(choose(pictures, p, draw), pictures.flip(3 if axis == "horizontal" else 2), pictures)


def alternating_flip(pictures: Tensor, draw: Draw, *, axis: Literal["horizontal", "vertical"]) -> Tensor:
    """Mirror each picture at random in the first epoch, and from then on in every other one (arXiv 2404.00498, section 3.6).

    In any two epochs that follow each other the network sees both forms of every picture; plain flipping shows one of them twice
    half of the time, from which there is less to learn.
    """
    mirrored = (coin(draw.rows, draw.seed) + draw.epoch) % 2 == 1
    mirrored = mirrored.to(pictures.device).view(-1, 1, 1, 1)
    return torch.where(mirrored, pictures.flip(3 if axis == "horizontal" else 2), pictures)


def coin(rows: Tensor, seed: int) -> Tensor:
    """Return 0 or 1 for each row index (B,), as good as drawn, and always the same for a row and a seed.

    The bits of the two are mixed by two rounds of multiplying and shifting, the numbers kept below 2³².
    """
    mixed = (rows + (seed % 2**16) * 0x9E3779B1) & 0xFFFFFFFF
    for _ in range(2):
        mixed = ((mixed >> 16) ^ mixed) * 0x45D9F3B & 0xFFFFFFFF
    return ((mixed >> 16) ^ mixed) & 1


def affine(
    pictures: Tensor,
    draw: Draw,
    *,
    degrees: float,
    shift: float,
    scale: float,
    shear: float,
    edge: EdgeName,
    p: float,
    nearest: bool = False,
) -> Tensor:
    """Rotate, shift, scale and shear each picture about its centre, with bilinear sampling.

    Args:
        pictures: (B, C, H, W).
        draw: The source of randomness.
        degrees: The largest rotation either way.
        shift: The largest shift either way, as a fraction of the side.
        scale: The largest change of size; 0.1 draws between 1/1.1 and 1.1.
        shear: The largest horizontal shear either way, in degrees.
        edge: What lies beyond the edge.
        p: The probability that a picture is changed.
        nearest: Whether the nearest pixel is taken instead, as it is.
    """
    height, width = pictures.shape[2:]
    chosen = choose(pictures, p, draw)
    turn, right, down, size, slant = (
        uniform(pictures, -reach, reach, draw).view(-1)
        for reach in (math.radians(degrees), 2 * shift, 2 * shift, math.log1p(scale), math.radians(shear))
    )
    zoom = torch.exp(size)
    cos, sin, tan = torch.cos(turn) * zoom, torch.sin(turn) * zoom, torch.tan(slant)
    # grid_sample's coordinates are -1…1 on both axes: the mixed terms carry the ratio of the sides.
    top = torch.stack([cos, (cos * tan - sin) * (height / width), right], 1)
    bottom = torch.stack([sin * (width / height), sin * tan + cos, down], 1)
    grid = F.affine_grid(torch.stack([top, bottom], 1), list(pictures.shape), align_corners=False)
    padding = {"zero": "zeros", "border": "border", "reflect": "reflection"}[edge]
    mode = "nearest" if nearest else "bilinear"
    moved = F.grid_sample(pictures, grid, mode=mode, padding_mode=padding, align_corners=False)
    return torch.where(chosen, moved, pictures)


def erase(pictures: Tensor, draw: Draw, *, size: float, fill: tuple[float, ...], p: float) -> Tensor:
    """Cover a rectangle of each picture, whose sides are between half of ``size`` and ``size`` of the picture's, with ``fill``."""
    height, width = pictures.shape[2:]
    covered = choose(pictures, p, draw)
    for axis, places in ((2, height), (3, width)):
        length = uniform(pictures, size / 2, size, draw) * places
        centre = uniform(pictures, 0, places, draw)
        at = torch.arange(places, device=pictures.device, dtype=pictures.dtype) + 0.5
        covered = covered & ((at.view([-1 if i == axis else 1 for i in range(4)]) - centre).abs() < length / 2)
    colour = torch.tensor(fill, dtype=pictures.dtype, device=pictures.device).view(1, -1, 1, 1)
    return torch.where(covered, colour, pictures)
