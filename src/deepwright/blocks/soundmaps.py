"""Convolutions over the spectrogram of a sound, (B, C, T, M): T frames, of which a mask (B, T) tells those of a row, M bands.

What stands behind the end of a row is zero before every convolution, and does not count in a normalisation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.norms import MapBatchNorm
from deepwright.blocks.sequences import SequenceInput, SoundInput
from deepwright.facts import SoundFacts


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (arXiv 1502.03167) whose statistics are those of the frames that are there.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = MapBatchNorm(channels)

    def forward(self, maps: Tensor, mask: Tensor) -> Tensor:
        """Normalise (B, C, T, M)."""
        if not self.norm.training:
            normal: Tensor = self.norm(maps)
            return normal
        if not mask.any():  # sounds without a sample: some statistics are needed, above all where processes exchange them
            mask = torch.ones_like(mask)
        rows = maps.permute(0, 2, 3, 1)[mask]  # (frames, M, C), in the order of memory where channels are last
        normal = self.norm(rows.transpose(1, 2).unsqueeze(-1)).squeeze(-1).transpose(1, 2)
        whole = normal.new_zeros(*mask.shape, *rows.shape[1:])
        whole[mask] = normal
        return whole.permute(0, 3, 1, 2)


class SoundStage(nn.Module):
    """Convolutions of 3 × 3, each with its normalisation and ReLU; then the maximum over pairs of bands, or of both.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        depth: Convolutions.
        separable: Whether each convolution looks at a channel alone, and one of 1 × 1 mixes them (arXiv 1704.04861).
        frames: How many frames become one: 1 or 2.
        bands: How many bands become one: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, depth: int, *, separable: bool, frames: int, bands: int) -> None:
        super().__init__()
        widths = [inputs, *[outputs] * depth]
        self.convolutions = nn.ModuleList(
            _separable(before, after) if separable and before > 1 else nn.Conv2d(before, after, 3, padding=1, bias=False)
            for before, after in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(outputs) for _ in range(depth))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if module.groups == 1 else "fan_in", nonlinearity="relu")
        self.frames, self.bands = frames, bands

    def forward(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps and their mask."""
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            maps = convolution(maps)
            if index == len(self.norms) - 1:
                # Before the normalisation, which then has a quarter of the places to go over.
                maps, mask = self._pooled(maps, mask)
            maps = F.relu(norm(maps, mask)) * mask[:, None, :, None]
        return maps, mask

    def _pooled(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if self.frames == 2:
            # One frame of zeros more, so that an odd number of frames loses none, whatever stands behind their end.
            maps, mask = F.pad(maps * mask[:, None, :, None], (0, 0, 0, 1)), mask[:, ::2]
        return F.max_pool2d(maps, (self.frames, self.bands)), mask


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    alone = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return nn.Sequential(alone, nn.Conv2d(inputs, outputs, 1, bias=False))


class SoundMaps(SequenceInput):
    """From the arrays of the wire through stages of convolutions to a sequence (B, T', C × M') and its mask.

    Args:
        facts: The sound's facts.
        channels: Channels of each stage; each halves the bands, as long as there are any to halve.
        depth: Convolutions of a stage.
        separable: Whether they are depthwise separable.
        halvings: How many stages, from the first on, halve the frames, too.
        mask_frames: The longest run of frames that training covers, as a fraction of the sound (SpecAugment, arXiv 1904.08779).
        mask_bands: The widest run of bands, likewise.
    """

    def __init__(
        self,
        facts: SoundFacts,
        channels: Sequence[int],
        depth: int = 1,
        *,
        separable: bool = False,
        halvings: int = 0,
        mask_frames: float = 0.0,
        mask_bands: float = 0.0,
    ) -> None:
        super().__init__()
        self.spectrogram = SoundInput(facts)
        self.mask_frames, self.mask_bands = mask_frames, mask_bands
        bands, before, stages = self.spectrogram.width, 1, []
        for index, after in enumerate(channels):
            halved = 2 if bands > 1 else 1
            frames = 2 if index < halvings else 1
            stages.append(SoundStage(before, after, depth, separable=separable, frames=frames, bands=halved))
            bands, before = bands // halved, after
        self.stages = nn.ModuleList(stages)
        self.width = before * bands

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (B, T', width) and the mask."""
        frames, mask = self.spectrogram(inputs)
        if self.training:
            if self.mask_frames:
                frames = frames * ~_covered(mask.sum(1), mask.shape[1], self.mask_frames).unsqueeze(-1)
            if self.mask_bands:
                bands = torch.full((len(frames),), frames.shape[2], device=frames.device)
                frames = frames * ~_covered(bands, frames.shape[2], self.mask_bands).unsqueeze(1)
        maps = frames.unsqueeze(1)
        for stage in self.stages:
            maps, mask = stage(maps, mask)
        return maps.transpose(1, 2).flatten(2), mask


def _covered(lengths: Tensor, count: int, most: float) -> Tensor:
    """Return a run of places of each row, (B, count) bool: of a random length up to ``most`` of the row's, at a random place."""
    length = torch.rand(len(lengths), device=lengths.device) * most * lengths
    start = torch.rand(len(lengths), device=lengths.device) * (lengths - length)
    place = torch.arange(count, device=lengths.device)
    return (place >= start.unsqueeze(1)) & (place < (start + length).floor().unsqueeze(1))


class FrameLayer(nn.Module):
    """A linear layer and ReLU at every place, (B, T, inputs) → (B, T, width).

    Args:
        inputs: The width of a place's vector.
        width: The width that it becomes.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map a sequence."""
        return F.relu(self.linear(x)) * mask.unsqueeze(-1)
