"""The batches of a run, one for each step, made ahead by a background thread where that pays (floor 5).

A batch and its random changes are functions of the seed and the step alone, so that nothing depends on who makes it, or when.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

from deepwright.batches import Augment, Batch, Rows, Sampler, mix, seeded
from deepwright.engine.parallel import ALONE, World


@dataclass
class Feed:
    """What each step learns from.

    Args:
        rows: Training rows.
        sampler: Which rows each step takes.
        seed: The seed of augmentation.
        augment: The change of each picture input, by its key.
        mixup: Mixup's alpha; 0 is off.
        cutmix: CutMix's alpha; 0 is off.
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
    ahead: int = 0
    parts: int = 1
    world: World = ALONE

    def take(self, step: int) -> Batch:
        """Make the batch of a step, or what this process computes of it."""
        index = self.sampler(step)
        shares = self.world.shares(len(index), self.parts)
        parts = tuple(len(share) for share in shares) if len(shares) > 1 else ()
        if self.world.size == 1:
            return replace(self._changed(self.rows.take(index), step), parts=parts)
        mine = torch.cat([torch.arange(share.start, share.stop) for share in shares])
        if not self.augment and not self.mixup and not self.cutmix:
            return replace(self.rows.take(index[mine]), parts=parts)
        # The random changes are those of the whole batch: each process makes all of it, and keeps its rows.
        return replace(self._changed(self.rows.take(index), step).at(mine), parts=parts)

    def _changed(self, batch: Batch, step: int) -> Batch:
        """Change a batch at random, as the step's own generator says."""
        if not self.augment and not self.mixup and not self.cutmix:
            return batch
        generator = seeded(self.seed, 2, step)
        for key, change in self.augment.items():
            # Augmentations see (B, C, H, W); the wire is (B, H, W, C).
            picture = batch.arrays[key].permute(0, 3, 1, 2).float()
            batch.arrays[key] = change(picture, generator).permute(0, 2, 3, 1)
        images = [key for key in batch.arrays if key.endswith(".image")]
        if images and (self.mixup or self.cutmix):
            return mix(batch, images, self.mixup, self.cutmix, generator)
        return batch

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """Yield the batches of the steps from ``start`` to ``stop``."""
        if not self.ahead:
            yield from (self.take(step) for step in range(start, stop))
            return
        with _worker() as worker:
            waiting: list[Future[Batch]] = []
            for step in range(start, stop + self.ahead):
                if step < stop:
                    waiting.append(worker.submit(self.take, step))
                if step >= start + self.ahead:
                    yield waiting.pop(0).result()


@contextmanager
def _worker() -> Iterator[ThreadPoolExecutor]:
    """Yield one background thread; when its user leaves, in whatever way, what it has not begun is not made any more."""
    # One thread, so that steps are made in order; it leaves the cores to the network.
    worker = ThreadPoolExecutor(1, "batches", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield worker
    finally:
        worker.shutdown(wait=True, cancel_futures=True)
