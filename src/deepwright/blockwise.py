"""Rows that stay on disk, trained from a window of blocks at a time (floor 5)."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepwright.batches import Batch, Rows, Sampler, as_target, seeded
from deepwright.datapath import trimmed
from deepwright.store import Stored

BLOCK_BYTES = 1 << 20
"""The size of a block: rows that lie side by side on disk and are read at once. A disk reads it about as fast as a long run."""
WINDOW_BYTES = 64 << 20
"""The size of a window: the blocks, drawn at random from all rows, that are shuffled together. Rows of one block share their window
in every epoch, whose blocks are others each time. Where the rows on disk are in no order, this is as good as a full shuffle; where
they are sorted, say by class, a window is a sample of some 64 places of the file, and a batch a sample of the window."""


class StoredRows(Rows):
    """Encoded rows on disk, in the way of :class:`~deepwright.batches.Rows`; in memory are at most three windows of blocks.

    Files are read into a pool of blocks, not mapped, so that the memory in use is bounded whatever the size of the data, and are
    held open, so that an entry that leaves the store meanwhile does no harm. :meth:`take` is right for any index and fast for those
    of a :class:`BlockSampler` that was made for these rows, whose next window is read in the background.

    Args:
        stored: The store's entry.
        inputs: The names of the inputs' arrays (``group.array``), as in the entry.
        targets: The names of the targets' arrays in the entry, by output.
        weights: Row weights (rows,), if any; they are held.
        device: Where batches go.
    """

    def __init__(
        self,
        stored: Stored,
        inputs: Sequence[str],
        targets: Mapping[str, str],
        weights: NDArray[np.float32] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.complete = False
        """Nobody looked through all rows for targets that are not known."""
        self.weights = None if weights is None else torch.from_numpy(weights.copy())
        self._inputs = {key: _ArrayFile(stored.file(key)) for key in inputs}
        self._targets = {key: _ArrayFile(stored.file(name)) for key, name in targets.items()}
        self.lengths = None
        """Not known: nobody reads all rows before training."""
        self._files = [*self._inputs.values(), *self._targets.values()]
        self._rows = self._files[0].shape[0]
        #: The shapes and types of all inputs and targets, without their values.
        self.arrays, self.targets = ({key: file.meta() for key, file in side.items()} for side in (self._inputs, self._targets))
        width = sum(file.row_bytes for file in self._files)
        self.block = int(min(max(BLOCK_BYTES // width, 1), self._rows))
        """Rows of a block."""
        self.window = max(WINDOW_BYTES // (self.block * width), 2)
        """Blocks of a window."""
        self._pool: list[Tensor] = []
        self._slots: dict[int, int] = {}  # block → its place in the pool, the one read longest ago first
        self._place = torch.empty(0, dtype=torch.long)  # the same as an array, -1 for blocks that are not there
        self._lock = Lock()
        self._reader = ThreadPoolExecutor(1, "blocks")
        self._free: list[int] = []
        self._coming: Future[None] | None = None

    def __len__(self) -> int:
        return self._rows

    def reserve(self, rows: int) -> None:
        """Make the pool hold three windows, each of at least ``rows`` rows."""
        self.window = max(self.window, -(-rows // self.block) + 1)

    def prefetch(self, blocks: Sequence[int]) -> None:
        """Begin to read blocks in the background."""
        self._coming = self._reader.submit(self._hold, list(blocks))

    def take(self, index: Tensor) -> Batch:
        """Gather the rows at ``index``, from the pool where they are there and from the disk where they are not."""
        block = index.div(self.block, rounding_mode="floor")
        coming = self._coming
        if coming is not None and (not self._pool or bool((self._place[block] < 0).any())):
            coming.result()
        with self._lock:
            blocks = np.unique(block.numpy()).tolist() if not self._pool or bool((self._place[block] < 0).any()) else []
            if len(blocks) > 3 * self.window:  # no sampler's index: more than the pool holds
                gathered = self._scattered(index)
            else:
                self._read(blocks)
                local = self._place[block] * self.block + index % self.block
                gathered = [values.index_select(0, local).to(self.device) for values in self._pool]
        return self._batch(gathered, None if self.weights is None else self.weights[index].to(self.device))

    def slices(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Yield the rows from ``start`` to ``stop`` (by default all) in order, ``size`` at a time."""
        stop = self._rows if stop is None else stop
        for first in range(start, stop, size):
            count = min(size, stop - first)
            parts = [torch.empty((count, *file.shape[1:]), dtype=file.dtype) for file in self._files]
            for file, part in zip(self._files, parts, strict=True):
                file.read(first, part)
            weights = None if self.weights is None else self.weights[first : first + count].to(self.device)
            yield self._batch([part.to(self.device) for part in parts], weights)

    def _scattered(self, index: Tensor) -> list[Tensor]:
        """Read rows one at a time."""
        parts = [torch.empty((len(index), *file.shape[1:]), dtype=file.dtype) for file in self._files]
        for place, row in enumerate(index.tolist()):
            for file, part in zip(self._files, parts, strict=True):
                file.read(row, part[place : place + 1])
        return [part.to(self.device) for part in parts]

    def _batch(self, values: list[Tensor], weights: Tensor | None) -> Batch:
        inputs = dict(zip(self._inputs, values, strict=False))
        targets = map(as_target, values[len(inputs) :])
        return Batch(trimmed(inputs) if self.sequences else inputs, dict(zip(self._targets, targets, strict=True)), weights)

    def _hold(self, blocks: list[int]) -> None:
        for block in blocks:  # one at a time, so that a batch never waits for a whole window
            with self._lock:
                self._read([block])

    def _read(self, blocks: list[int]) -> None:
        """Bring blocks into the pool, in place of those that were read longest ago."""
        if not self._pool:
            places = min(3 * self.window, -(-self._rows // self.block))
            self._free = list(range(places))
            self._place = torch.full((-(-self._rows // self.block),), -1, dtype=torch.long)
            # The last of these, since `take` looks at the pool before it waits for the lock.
            self._pool = [torch.empty((places * self.block, *file.shape[1:]), dtype=file.dtype) for file in self._files]
        for block in blocks:
            if block in self._slots:
                self._slots[block] = self._slots.pop(block)  # wanted again: it is the newest now
        for block in blocks:
            if block in self._slots:
                continue
            if not self._free:
                oldest = next(iter(self._slots))
                self._place[oldest] = -1
                self._free.append(self._slots.pop(oldest))
            slot = self._slots[block] = self._free.pop()
            start = block * self.block
            count = min(self.block, self._rows - start)
            for file, values in zip(self._files, self._pool, strict=True):
                file.read(start, values[slot * self.block : slot * self.block + count])
            self._place[block] = slot


class _ArrayFile:
    """A ``.npy`` file, read by rows into tensors."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        weakref.finalize(self, self._file.close)
        version = np.lib.format.read_magic(self._file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, _, dtype = read(self._file)
        self._start = self._file.tell()
        self.dtype = torch.from_numpy(np.empty(0, dtype)).dtype
        self.row_bytes = dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        self._lock = Lock()

    def meta(self) -> Tensor:
        return torch.empty(self.shape, dtype=self.dtype, device="meta")

    def read(self, start: int, rows: Tensor) -> None:
        """Fill ``rows``, contiguous on the CPU, from row ``start`` on."""
        view = memoryview(rows.reshape(-1).view(torch.uint8).numpy().data)
        with self._lock:
            self._file.seek(self._start + start * self.row_bytes)
            while len(view):
                count = self._file.readinto(view)
                if not count:
                    raise EOFError(f"{self._file.name} is shorter than its header says")
                view = view[count:]


class BlockSampler(Sampler):
    """Which stored rows each step takes: blocks in random order, a window of them shuffled together.

    Like :class:`Sampler`, a pure function of the seed and the step: a resume needs no state of it. Every row comes once an epoch,
    but for those of the last part that does not fill a batch.

    Args:
        rows: The rows; the next window is read ahead there.
        size: Rows a step.
        seed: The seed.
    """

    def __init__(self, rows: StoredRows, size: int, seed: int) -> None:
        super().__init__(len(rows), size, seed)
        rows.reserve(self.size)
        self._stored, self._block, self._window = rows, rows.block, rows.window
        self._blocks = -(-self.rows // self._block)
        self._windows = -(-self._blocks // self._window)
        self._starts = np.empty(0, np.int64)
        self._shuffled: dict[int, Tensor] = {}
        self._ahead = (-1, -1)

    def __call__(self, step: int) -> Tensor:
        """Return the row indices of a step."""
        epoch, position = divmod(step, self.steps)
        self._turn(epoch)
        start, parts, left = position * self.size, [], self.size
        while left:
            window = int(np.searchsorted(self._starts, start, side="right")) - 1
            rows = self._rows_of(window)
            offset = start - int(self._starts[window])
            parts.append(rows[offset : offset + left])
            start, left = start + len(parts[-1]), left - len(parts[-1])
        if self._ahead != (epoch, window):
            self._ahead = (epoch, window)
            last = window + 1 == self._windows
            following = self._drawn(epoch + 1)[: self._window] if last else self._blocks_of(window + 1)
            self._stored.prefetch(following.tolist())
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _turn(self, epoch: int) -> None:
        """Draw the order of an epoch's blocks, and where each window starts in it."""
        if epoch == self._epoch:
            return
        self._epoch = epoch
        self._order = self._drawn(epoch)
        sizes = np.minimum(self._block, self.rows - self._order.numpy() * self._block)
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])[:: self._window]
        self._shuffled.clear()

    def _drawn(self, epoch: int) -> Tensor:
        return torch.randperm(self._blocks, generator=seeded(self.seed, 3, epoch))

    def _blocks_of(self, window: int) -> Tensor:
        return self._order[window * self._window : (window + 1) * self._window]

    def _rows_of(self, window: int) -> Tensor:
        """Return the shuffled rows of a window."""
        if window not in self._shuffled:
            rows = (self._blocks_of(window)[:, None] * self._block + torch.arange(self._block)).flatten()
            rows = rows[rows < self.rows]
            shuffled = rows[torch.randperm(len(rows), generator=seeded(self.seed, 4, self._epoch, window))]
            while len(self._shuffled) > 1:
                del self._shuffled[next(iter(self._shuffled))]
            self._shuffled[window] = shuffled
        return self._shuffled[window]


def open_rows(
    arrays: Mapping[str, NDArray[np.generic]],
    targets: Mapping[str, NDArray[np.generic]],
    weights: NDArray[np.float32] | None = None,
    device: torch.device | str = "cpu",
    stored: Stored | None = None,
) -> Rows:
    """Return encoded rows for training: resident on the device, or on disk if they are views of an entry of the store."""
    if stored is None:
        return Rows(arrays, targets, weights, device)
    return StoredRows(stored, list(arrays), {name: f"target {name}" for name in targets}, weights, device)


def open_sampler(rows: Rows, size: int, seed: int, draw: NDArray[np.float64] | None = None) -> Sampler:
    """Return the sampler that fits the rows.

    Args:
        rows: Resident or stored rows.
        size: Rows a step.
        seed: The seed.
        draw: Row probabilities for drawing with replacement; for resident rows only.
    """
    return BlockSampler(rows, size, seed) if isinstance(rows, StoredRows) else Sampler(len(rows), size, seed, draw, rows.lengths)
