"""Several processes that train one model: who they are, what each computes, and what they tell each other (floor 5).

Processes are found as ``torchrun`` leaves them, in the environment (RANK, WORLD_SIZE, MASTER_ADDR, …); without it there is one.
A batch is always that of one process; each process computes its share of the rows, and losses and gradients are sums over them,
so that the result is the same but for rounding. Process 0 alone talks and writes.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor

from deepwright.errors import DeepwrightError, TrainingError

BUCKET = 25 * 2**20
"""Bytes of gradients that are exchanged at once, while the backward pass goes on."""


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them.

    Args:
        rank: The number of this process.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that talks and writes."""
        return self.rank == 0

    def shares(self, rows: int, parts: int = 1) -> list[range]:
        """Return the places, in a batch of ``rows`` computed in ``parts``, of the rows that this process computes of each part.

        Each part is divided, not the batch, so that what is normalised by a part's rows sees the same rows as in one process.
        """
        whole = [range(rows * part // parts, rows * (part + 1) // parts) for part in range(parts)]
        return [part[len(part) * self.rank // self.size : len(part) * (self.rank + 1) // self.size] for part in whole]

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the processes, in place, and return it."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all processes, which have one shape, in order."""
        if self.size == 1:
            return [tensor]
        tensors = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(tensors, tensor.contiguous())
        return tensors

    def send(self, data: bytes | None) -> bytes | None:
        """Return what process 0 holds, everywhere."""
        if self.size == 1:
            return data
        length = torch.tensor([-1 if data is None else len(data)])
        dist.broadcast(length, 0)
        if length < 0:
            return None
        content = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data and self.leads else torch.empty(int(length)).byte()
        dist.broadcast(content, 0)
        return content.numpy().tobytes()

    def agree(self, value: Any) -> Any:
        """Return process 0's plain value, everywhere."""
        sent = self.send(json.dumps(value).encode() if self.leads else None) if self.size > 1 else None
        return value if sent is None else json.loads(sent)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self.sum(torch.zeros(1))


ALONE = World()
"""The world of a single process."""


def power_sum(parameter: Tensor, power: int, world: World) -> Tensor:
    """Return this process's share of ``Σ |w|^power`` over a weight, which is whole in every process or sharded."""
    if isinstance(parameter, DTensor):
        return parameter.to_local().abs().pow(power).sum()
    total = parameter.abs().pow(power).sum()
    return total if world.size == 1 else total / world.size


@contextmanager
def joined() -> Iterator[World]:
    """Yield the processes of this run, and end all of them with one message when one fails.

    Raises:
        TrainingError: Another process is gone (E406).
        SystemExit: Another process failed and tells why.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    try:
        store = _group()
        yield World(dist.get_rank(), dist.get_world_size())
    except DeepwrightError as error:
        error.elected = _tells(store)
        if error.elected:
            raise
        raise SystemExit(error.exit_code) from None
    except RuntimeError as error:
        if not _is_loss_of_contact(error):
            raise
        lost = TrainingError("E406", "another process of this run is gone", got=str(error).partition("\n")[0][:200])
        lost.elected = _tells(store)
        if lost.elected:
            raise lost from error
        raise SystemExit(lost.exit_code) from None


@functools.cache
def _group() -> Store:
    """Join the other processes, once in the life of this one, and return the store that they share."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
        # Two processes cannot share one device with nccl.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.device_count() > local else "gloo"
    store: Store
    store, rank, size = next(rendezvous("env://"))
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    return store


def _tells(store: Store) -> bool:
    """Return whether this process is the first to fail, whose message is the one to show."""
    rank = os.environ.get("RANK", "0")
    try:
        return bool(store.compare_set("deepwright/error", "", rank) == rank.encode())
    except RuntimeError:  # the store went with the process that held it
        return False


def _is_loss_of_contact(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo/transport" in str(error) or "Connection closed by peer" in str(error)


@dataclass
class GradientSum:
    """Sums the gradients over the processes in buckets, each as soon as the backward pass has filled it.

    torch's DistributedDataParallel orders its buckets anew after the first step of a process, which changes the order of addition,
    and so the last bits, when a run of three or more processes is resumed. Here the order is fixed.

    Args:
        parameters: What is trained; its gradients come about in reverse order.
        world: The processes.
        parts: Backward passes of a step; the last one completes the gradients.
    """

    parameters: Iterable[nn.Parameter]
    world: World
    parts: int = 1
    buckets: list[list[nn.Parameter]] = field(init=False)

    def __post_init__(self) -> None:
        self.buckets = [[]]
        size = 0
        for parameter in reversed(list(self.parameters)):
            if size >= BUCKET:
                self.buckets.append([])
                size = 0
            self.buckets[-1].append(parameter)
            size += parameter.numel() * parameter.element_size()
        self._heard: set[nn.Parameter] = set()
        self._missing: list[int] = []
        self._sent: list[tuple[list[Tensor], Tensor, dist.Work]] = []
        self._begin()

    def _begin(self) -> None:
        """Expect the gradients of a step; what is trained may change from step to step."""
        trained = [[p for p in bucket if p.requires_grad] for bucket in self.buckets]
        self._missing = [self.parts * len(bucket) for bucket in trained]
        for index, bucket in enumerate(trained):
            for parameter in bucket:
                if parameter not in self._heard:
                    self._heard.add(parameter)
                    parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                        functools.partial(self._arrived, index)
                    )
        self._begun = False

    def _arrived(self, bucket: int, parameter: Tensor) -> None:
        if not self._begun:
            self._begin()
            self._begun = True
        self._missing[bucket] -= 1
        # In order, which has to be the same everywhere; the last bucket waits for the loss, which travels with it.
        while len(self._sent) < len(self.buckets) - 1 and not self._missing[len(self._sent)]:
            self._send()

    def _send(self, *more: Tensor) -> None:
        gradients = [p.grad for p in self.buckets[len(self._sent)] if p.grad is not None] + list(more)
        flat = torch.cat([g.flatten() for g in gradients]) if gradients else torch.zeros(1)
        work = dist.all_reduce(flat, async_op=True)
        assert work is not None  # noqa: S101  for the type checker: asynchronous
        self._sent.append((gradients, flat, work))

    def __call__(self, loss: Tensor) -> Tensor:
        """Complete the exchange of a step: every gradient, and the loss that is returned, becomes the sum over the processes."""
        loss = loss.clone()
        while len(self._sent) < len(self.buckets) - 1:
            self._send()
        self._send(loss)
        for gradients, flat, work in self._sent:
            work.wait()
            parts = torch.split(flat, [g.numel() for g in gradients]) if gradients else ()
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))
        self._sent.clear()
        self._begin()
        return loss
