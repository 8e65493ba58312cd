"""Fixed random convolutions and the shares of places at which they are high (MiniRocket, Dempster et al., arXiv 2012.08791)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.contract import EncoderModule
from deepwright.blocks.sequences import SequenceInput
from deepwright.facts import SeriesFacts

SIZE, HIGH = 9, 3
"""Places of a kernel, of which three weigh 2 and the others -1: 84 kernels, whose weights sum to zero."""
KERNELS = 84
_MOST_DILATIONS = 32
_GRID, _LIMIT = 4096, 32.0
"""Standardised values are limited and rounded to a grid, so that sums of their multiples are exact in float32, in whatever order a
machine adds them: 12 · 32 · 4096 · 9 channels < 2**24. A comparison has the same answer everywhere then."""
_MOST_CHANNELS = 9
_LEAST_SPREAD = 0.02


class RocketEncoder(EncoderModule):
    """Shares of a series' places at which each of many fixed convolutions is above a bias, standardised: (B, width).

    Nothing in it is learnt by steps: the biases are quantiles of the convolutions of some training series, the standardisation is
    that of their shares. What follows it is the model's own linear layer.

    Args:
        entrance: From the arrays of the wire to standardised channels.
        facts: The series' facts.
        features: About how many shares.
        seed: Of the choice of channels and of the series that the biases are from.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, entrance: SequenceInput, facts: SeriesFacts, features: int, seed: int) -> None:
        super().__init__()
        self.entrance = entrance
        draw = np.random.Generator(np.random.PCG64(seed))
        with torch.no_grad():
            x, lengths = self._grid(_sample(facts, draw))
            each = dilations(facts.length, max(1, features // KERNELS))
            self.scales = nn.ModuleList(
                _Scale(x, lengths, dilation, count, index, draw) for index, (dilation, count) in enumerate(each)
            )
            shares = self._shares(x, lengths)
            self.width = shares.shape[1]
            self.register_buffer("mean", shares.mean(0))
            spread = shares.std(0, correction=0)
            self.register_buffer("scale", 1 / (spread.clamp_min(_LEAST_SPREAD) * self.width**0.5))

    def _grid(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return channels (B, C, T) as whole multiples of the grid, 0 behind the end, and lengths (B,)."""
        x, mask = self.entrance(inputs)
        return (x.clamp(-_LIMIT, _LIMIT) * _GRID).round().transpose(1, 2), mask.sum(1)

    def _shares(self, x: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([scale(x, lengths) for scale in self.scales], 1)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        with torch.autocast(inputs["series"].device.type, enabled=False):
            return (self._shares(*self._grid(inputs)) - self.mean) * self.scale


class _Scale(nn.Module):
    """The 84 kernels at one dilation: (B, C, T) → (B, 84 · count).

    Half of the kernels see zeros beyond both ends of a series, the others only places where they lie within it.

    Args:
        x: Series (S, C, T) that the biases are learnt from.
        lengths: Their lengths (S,).
        dilation: Places from one weight to the next.
        count: Biases of each kernel.
        index: Which scale this is.
        draw: Chooses channels and series.
    """

    weight: Tensor
    bias: Tensor
    margin: Tensor

    def __init__(self, x: Tensor, lengths: Tensor, dilation: int, count: int, index: int, draw: np.random.Generator) -> None:
        super().__init__()
        self.dilation = dilation
        margin = 4 * dilation * ((torch.arange(KERNELS) + index) % 2)
        self.register_buffer("margin", margin.float())
        channels = x.shape[1]
        sums = 2 ** draw.uniform(0, np.log2(min(channels, _MOST_CHANNELS) + 1), KERNELS)
        order = draw.permuted(np.tile(np.arange(channels), (KERNELS, 1)), axis=1)
        used = order.argsort(1) < sums.astype(int)[:, None]
        self.register_buffer("weight", torch.from_numpy(used[:, :, None] * kernels()[:, None, :]).float())
        row = torch.from_numpy(draw.integers(len(x), size=KERNELS))
        # Each kernel over its own series: (1, 84 · C, T) in 84 groups.
        padded = F.pad(x[row], (4 * dilation, 4 * dilation)).flatten(0, 1)[None]
        found = F.conv1d(padded, self.weight, dilation=dilation, groups=KERNELS)[0]
        share = (np.arange(1, KERNELS * count + 1) * (5**0.5 + 1) / 2 % 1).reshape(KERNELS, count)
        bias = [
            torch.quantile(values[: max(1, int(length))], torch.from_numpy(each).float())
            for values, length, each in zip(found, lengths[row], share, strict=True)
        ]
        # Halfway between two points of the grid, so that no value is ever equal to a bias.
        self.register_buffer("bias", torch.stack(bias).floor() + 0.5)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the shares."""
        around = 4 * self.dilation
        found = F.conv1d(F.pad(x, (around, around)), self.weight, dilation=self.dilation)
        place = torch.arange(x.shape[2], device=x.device)
        stop = lengths[:, None] - self.margin  # (B, 84)
        there = (place >= self.margin[:, None]) & (place < stop.unsqueeze(-1))
        # What does not count is below every bias. Sums of ones are exact, too.
        high = torch.where(there, found, -(2.0**24)).unsqueeze(2) > self.bias.unsqueeze(-1)
        return (high.to(x.dtype).sum(-1) / (stop - self.margin).clamp_min(1).unsqueeze(-1)).flatten(1)


def kernels() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return the kernels (84, 9)."""
    found = np.full((KERNELS, SIZE), -1, np.float32)
    for row, high in enumerate(combinations(range(SIZE), HIGH)):
        found[row, list(high)] = 2
    return found


def dilations(length: int, count: int) -> list[tuple[int, int]]:
    """Return dilations, exponentially spaced up to where a kernel spans ``length`` places, and how many of ``count`` each has."""
    most = max(0.0, float(np.log2(max(1, length - 1) / (SIZE - 1))))
    steps = min(count, _MOST_DILATIONS)
    found, times = np.unique((2 ** np.linspace(0, most, steps)).astype(int), return_counts=True)
    shares = times * count // steps
    shares[: count - shares.sum()] += 1
    return [(int(dilation), int(share)) for dilation, share in zip(found, shares, strict=True) if share]


def _sample(facts: SeriesFacts, draw: np.random.Generator) -> dict[str, Tensor]:
    """Return the series that the facts hold as the arrays of the wire; noise if they hold none."""
    if facts.sample:
        lengths = [len(row) for row in facts.sample]
        series = np.full((len(lengths), max(lengths), facts.channels), np.nan, np.float32)
        for row, places_ in enumerate(facts.sample):
            series[row, : len(places_)] = places_
    else:
        noise = draw.normal(size=(16, max(1, facts.length), facts.channels))
        series = (noise * facts.std + np.array(facts.mean)).astype(np.float32)
        lengths = [series.shape[1]] * len(series)
    return {"series": torch.from_numpy(series), "lengths": torch.tensor(lengths, dtype=torch.int32)}
