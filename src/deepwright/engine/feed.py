"""The batches of a run, one for each step, made ahead by a background thread where that pays (floor 5).

A batch and its random changes are functions of the seed and the step alone, so that nothing depends on who makes it, or when.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepwright.batches import Augment, Batch, PictureChange, Rows, Sampler, mix, seeded, shrunk
from deepwright.datapath import trimmed
from deepwright.engine.parallel import ALONE, World
from deepwright.families import Draw


@dataclass
class Feed:
    """What each step learns from.

    Args:
        rows: Training rows.
        sampler: Which rows each step takes.
        seed: The seed of augmentation.
        augment: The change of each input of pictures, sounds or series, by its key.
        mixup: Mixup's alpha; 0 is off.
        cutmix: CutMix's alpha; 0 is off.
        resize: How large pictures are at first, as a share of their side, and the share of all steps at which they are whole.
        ahead: Batches that a background thread makes before they are asked for; 0: none.
        parts: Parts that a batch is computed in, one after the other.
        world: The processes, among which each part is divided.
    """

    rows: Rows
    sampler: Sampler
    seed: int
    augment: Mapping[str, Augment] = field(default_factory=dict)
    mixup: float = 0.0
    cutmix: float = 0.0
    resize: tuple[float, float] = (1.0, 0.0)
    ahead: int = 0
    parts: int = 1
    world: World = ALONE

    def take(self, step: int, steps: int) -> Batch:
        """Make the batch of one of ``steps`` steps, or what this process computes of it."""
        rows = self.sampler(step)
        shares = self.world.shares(len(rows), self.parts)
        if self.world.size == 1:
            batch = self._made(rows, step, steps)
        else:
            mine = torch.cat([torch.arange(share.start, share.stop) for share in shares])
            # Random changes are those of the whole batch: each process makes all of it, and keeps its rows.
            changed = self.augment or self.mixup or self.cutmix
            batch = self._made(rows, step, steps).at(mine) if changed else self._made(rows[mine], step, steps)
        batch.parts = tuple(len(share) for share in shares) if len(shares) > 1 else ()
        return batch

    def _made(self, rows: Tensor, step: int, steps: int) -> Batch:
        """Gather rows, change them at random as the step's own generator says, and shrink pictures as far as that is due."""
        batch = self.rows.take(rows)
        if self.augment or self.mixup or self.cutmix:
            batch = self._changed(batch, Draw(seeded(self.seed, 2, step), rows, step // self.sampler.steps, self.seed))
        share, until = self.resize
        if step < until * steps:
            for key in _images(batch):
                picture = batch.arrays[key].permute(0, 3, 1, 2).float()
                batch.arrays[key] = shrunk(picture, share + (1 - share) * step / (until * steps)).permute(0, 2, 3, 1)
        return batch

    def _changed(self, batch: Batch, draw: Draw) -> Batch:
        """Apply each input's own augmentations, then mixup or CutMix."""
        for key, change in self.augment.items():
            if not isinstance(change, PictureChange):
                lengths = f"{key.rpartition('.')[0]}.lengths"
                batch.arrays[key], batch.arrays[lengths] = change(batch.arrays[key].float(), batch.arrays[lengths], draw)
                batch.arrays |= trimmed({name: batch.arrays[name] for name in (key, lengths)})
                continue
            change(batch, key, draw)
        images = _images(batch)
        if images and (self.mixup or self.cutmix):
            return mix(batch, images, self.mixup, self.cutmix, draw.generator)
        return batch

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """Yield the batches of the steps from ``start`` to ``stop``, with which training ends."""
        if not self.ahead:
            yield from (self.take(step, stop) for step in range(start, stop))
            return
        with _worker() as worker:
            waiting: list[Future[Batch]] = []
            for step in range(start, stop + self.ahead):
                if step < stop:
                    waiting.append(worker.submit(self.take, step, stop))
                if step >= start + self.ahead:
                    yield waiting.pop(0).result()


def _images(batch: Batch) -> list[str]:
    return [key for key in batch.arrays if key.endswith(".image")]


@contextmanager
def _worker() -> Iterator[ThreadPoolExecutor]:
    """Yield one background thread; when its user leaves, in whatever way, what it has not begun is not made any more."""
    # One thread, so that steps are made in order; it leaves the cores to the network.
    worker = ThreadPoolExecutor(1, "batches", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield worker
    finally:
        worker.shutdown(wait=True, cancel_futures=True)
