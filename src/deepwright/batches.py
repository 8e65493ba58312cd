"""Encoded arrays become batches on a device: resident tensors, and a batch is a slice of them (floor 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from deepwright.blocks.targets import known
from deepwright.datapath import lengths, trimmed
from deepwright.facts import SEQUENCES
from deepwright.families import Draw
from deepwright.windows import rows_below

AugmentPictures = Callable[[Tensor, Draw], Tensor]
AugmentSequences = Callable[[Tensor, Tensor, Draw], tuple[Tensor, Tensor]]

POOL = 50
"""Batches whose shuffled rows are sorted by length together: with more of them less is padded, and like rows meet oftener."""


@dataclass(frozen=True)
class PictureChange:
    """Random changes of pictures, one after the other, and of what has a value for each of their pixels.

    Args:
        changes: Each on (B, C, H, W) float; see :class:`deepwright.families.Augmentation`.
        along: For each output of pixels what moves it as a change moves the pictures; None where a change moves nothing.
    """

    changes: Sequence[AugmentPictures]
    along: Mapping[str, Sequence[AugmentPictures | None]] = field(default_factory=dict)

    def __call__(self, batch: Batch, key: str, draw: Draw) -> None:
        """Change the pictures (B, H, W, C) of a batch, and its targets."""
        # Augmentations see (B, C, H, W); the wire is (B, H, W, C).
        picture = batch.arrays[key].permute(0, 3, 1, 2).float()
        targets = {name: _as_maps(batch.targets[name]) for name, moves in self.along.items() if any(moves)}
        for place, change in enumerate(self.changes):
            before = draw.generator.get_state()
            picture = change(picture, draw)
            after = draw.generator.get_state()
            for name in targets:
                if (move := self.along[name][place]) is not None:
                    draw.generator.set_state(before)
                    targets[name] = move(targets[name], draw)
            draw.generator.set_state(after)
        batch.arrays[key] = picture.permute(0, 2, 3, 1)
        batch.targets |= {name: _as_pixels(maps, batch.targets[name]) for name, maps in targets.items()}


Augment = PictureChange | AugmentSequences
"""The changes of one input."""


def _as_maps(target: Tensor) -> Tensor:
    """Return classes (B, H, W) or pictures (B, H, W, C) as (B, C, H, W) float; 0 is an unknown class, or black."""
    return (target + 1).unsqueeze(1).float() if target.ndim == 3 else target.clamp_min(0).permute(0, 3, 1, 2).float()


def _as_pixels(maps: Tensor, target: Tensor) -> Tensor:
    """Undo :func:`_as_maps`; a missing picture stays missing."""
    if target.ndim == 3:
        return maps.squeeze(1).round().to(target.dtype) - 1
    moved = maps.permute(0, 2, 3, 1).round().to(target.dtype)
    return torch.where((target < 0).flatten(1).any(1).view(-1, 1, 1, 1), target, moved)


@dataclass
class Batch:
    """One step's rows.

    Args:
        arrays: Inputs by ``group.array``.
        targets: Targets by output.
        rows: Row weights (B,), if any.
        other: Targets of the rows that mixup or CutMix mixed in, if it did.
        share: The share of the rows' own targets; 1 without mixing.
        complete: Whether every target is known, so that no loss needs a mask.
        parts: The rows of each part that the batch is computed in; empty: in one.
    """

    arrays: dict[str, Tensor]
    targets: dict[str, Tensor]
    rows: Tensor | None = None
    other: dict[str, Tensor] | None = None
    share: float = 1.0
    complete: bool = False
    parts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.targets.values())))

    def split(self) -> Iterator[Batch]:
        """Yield the parts that the batch is computed in, in order, without copying."""
        start = 0
        for size in self.parts:
            yield self.part(start, start + size)
            start += size

    def part(self, start: int, stop: int) -> Batch:
        """Return the rows from ``start`` to ``stop``, without copying."""

        def cut(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {key: value[start:stop] for key, value in tensors.items()}

        rows = None if self.rows is None else self.rows[start:stop]
        other = None if self.other is None else cut(self.other)
        return replace(self, arrays=cut(self.arrays), targets=cut(self.targets), rows=rows, other=other, parts=())

    def at(self, index: Tensor) -> Batch:
        """Return a copy of the rows at ``index``."""

        def pick(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {key: value.index_select(0, index.to(value.device)) for key, value in tensors.items()}

        rows = None if self.rows is None else self.rows.index_select(0, index.to(self.rows.device))
        other = None if self.other is None else pick(self.other)
        return replace(self, arrays=pick(self.arrays), targets=pick(self.targets), rows=rows, other=other)


class Rows:
    """Encoded rows, resident on a device.

    Args:
        arrays: Inputs by ``group.array``, first axis the rows.
        targets: Targets by output.
        weights: Row weights (rows,), if any.
        device: Where the tensors live.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        targets: Mapping[str, NDArray[np.generic]],
        weights: NDArray[np.float32] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.arrays = {key: _tensor(array, device) for key, array in arrays.items()}
        self.targets = {key: as_target(_tensor(array, device)) for key, array in targets.items()}
        self.complete = all(_complete(target) for target in self.targets.values())
        self.weights = None if weights is None else _tensor(weights).to(device)
        self.device = torch.device(device)
        each = lengths(self.arrays)
        self.lengths = torch.stack([n.long() for n in each.values()]).sum(0).cpu() if each else None
        """How long the sequences of each row (rows,) are together, on the CPU; nothing if there are none."""

    def __len__(self) -> int:
        return len(next(iter(self.targets.values())))

    @property
    def sequences(self) -> bool:
        """Whether any input is a sequence, so that batches differ in length."""
        return any(key.rpartition(".")[2] in SEQUENCES for key in self.arrays)

    def take(self, index: Tensor) -> Batch:
        """Gather the rows at ``index``."""
        index = index.to(self.device)
        arrays = {key: value.index_select(0, index) for key, value in self.arrays.items()}
        return Batch(
            arrays if self.lengths is None else trimmed(arrays),
            {key: value.index_select(0, index) for key, value in self.targets.items()},
            None if self.weights is None else self.weights.index_select(0, index),
            complete=self.complete,
        )

    def slices(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Yield the rows from ``start`` to ``stop`` (by default all) in order, ``size`` at a time, without copying."""
        whole = Batch(self.arrays, self.targets, self.weights, complete=self.complete)
        stop = len(self) if stop is None else stop
        for first in range(start, stop, size):
            part = whole.part(first, min(first + size, stop))
            yield part if self.lengths is None else replace(part, arrays=trimmed(part.arrays))


class Sampler:
    """Which rows each step takes: a pure function of the seed and the step, so that a resume needs no state of it.

    Args:
        rows: The number of rows.
        size: Rows a step. A last part of an epoch that does not fill a batch is left to the next epochs' shuffles.
        seed: The seed.
        draw: Row probabilities for drawing with replacement (class balance), or ``None`` to shuffle.
        lengths: How long each row's sequences are, (rows,), if it has any: the rows of a batch are of about one length.
    """

    def __init__(
        self, rows: int, size: int, seed: int, draw: NDArray[np.float64] | None = None, lengths: Tensor | None = None
    ) -> None:
        self.rows, self.size, self.seed = rows, min(size, rows), seed
        self.steps = max(1, rows // self.size)
        self._draw = None if draw is None else torch.from_numpy(draw)
        self._lengths = lengths
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def __call__(self, step: int) -> Tensor:
        """Return the row indices of a step."""
        epoch, position = divmod(step, self.steps)
        if epoch != self._epoch:
            generator = seeded(self.seed, 1, epoch)
            if self._draw is None:
                self._order = torch.randperm(self.rows, generator=generator)
            else:
                self._order = torch.multinomial(self._draw, self.rows, replacement=True, generator=generator)
            if self._lengths is not None:
                self._order = self._bucketed(self._order, self._lengths, generator)
            self._epoch = epoch
        return self._order[position * self.size : (position + 1) * self.size]

    def _bucketed(self, order: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Return shuffled rows such that the batches, in random order, are of rows of about one length each."""
        pools = torch.split(order[: self.steps * self.size], POOL * self.size)
        batches = torch.cat([pool[torch.argsort(lengths[pool], stable=True)] for pool in pools]).view(self.steps, self.size)
        return batches[torch.randperm(self.steps, generator=generator)].flatten()


def seeded(*keys: int) -> torch.Generator:
    """Return a CPU generator whose stream depends on all of ``keys``."""
    state = np.random.SeedSequence(list(keys)).generate_state(2, np.uint32)
    return torch.Generator().manual_seed((int(state[0]) << 32 | int(state[1])) & (2**63 - 1))


def shrunk(picture: Tensor, share: float) -> Tensor:
    """Return pictures (B, C, H, W) with sides of about ``share`` of theirs, in steps of 4 pixels, so that few sizes occur."""
    sides = [min(side, max(4, round(side * share / 4) * 4)) for side in picture.shape[2:]]
    if share >= 1 or sides == list(picture.shape[2:]):
        return picture
    return F.interpolate(picture, size=sides, mode="bilinear", antialias=True)


def mix(batch: Batch, images: list[str], mixup: float, cutmix: float, generator: torch.Generator) -> Batch:
    """Mix each row's picture with another's (mixup, arXiv 1710.09412; CutMix, arXiv 1905.04899).

    Args:
        batch: A batch whose pictures are (B, H, W, C).
        images: The keys of the pictures.
        mixup: Alpha of mixup's Beta distribution; 0 is off.
        cutmix: Alpha of CutMix's; 0 is off. With both on, each batch takes one at random.
        generator: The step's generator.
    """
    use_cutmix = cutmix > 0 and (mixup <= 0 or bool(torch.rand((), generator=generator) < 0.5))
    alpha = cutmix if use_cutmix else mixup
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    share = float(rng.beta(alpha, alpha))
    other = torch.randperm(len(next(iter(batch.targets.values()))), generator=generator)
    arrays = dict(batch.arrays)
    for key in images:
        picture = arrays[key].float()
        if use_cutmix:
            height, width = picture.shape[1:3]
            cut_h, cut_w = (round(side * (1 - share) ** 0.5) for side in (height, width))
            top, left = int(rng.integers(height - cut_h + 1)), int(rng.integers(width - cut_w + 1))
            picture = picture.clone()
            picture[:, top : top + cut_h, left : left + cut_w] = arrays[key].float()[other, top : top + cut_h, left : left + cut_w]
            share = 1 - cut_h * cut_w / (height * width)
        else:
            picture = share * picture + (1 - share) * picture[other]
        arrays[key] = picture
    return replace(batch, arrays=arrays, other={key: value[other] for key, value in batch.targets.items()}, share=share)


def as_target(tensor: Tensor) -> Tensor:
    """Return an encoded target as losses take it: classes in int64; those of pixels, which are many, stay as they are."""
    return tensor if tensor.is_floating_point() or tensor.ndim > 2 else tensor.long()


def _complete(target: Tensor) -> bool:
    """Return whether nothing of a target is unknown."""
    if target.ndim == 3:
        return not bool(torch.isnan(target).any())
    return bool(known(target).all())


def _tensor(array: NDArray[np.generic], device: torch.device | str = "cpu") -> Tensor:
    """Return an array on a device; windows of rows (B, T, C) stay views of the rows."""
    rows = rows_below(array)
    if rows is not None:
        base = _tensor(rows, device)
        step = array.strides[0] // array.strides[1] * base.stride(0)
        return base.as_strided(array.shape, (step, *base.stride()))
    return _contiguous(array).to(device)


def _contiguous(array: NDArray[np.generic]) -> Tensor:
    contiguous = np.ascontiguousarray(array)
    return torch.from_numpy(contiguous if contiguous.flags.writeable else contiguous.copy())
