"""A PyTorch loop by someone who measured: resident tensors, one shuffle an epoch and slices of it, channels-last, bf16 for
pictures and texts where the CPU has it, texts of about one length in a batch, a fused optimizer, no ``.item()``."""

from __future__ import annotations

import torch
from common import bf16
from tasks import Data, Task

from peers.contract import Clock, Trained, torch_optimizer, torch_trained
from peers.networks import criterion, network


def by_length(order: torch.Tensor, lengths: torch.Tensor, batch: int) -> torch.Tensor:
    """Return the shuffled rows sorted by length, fifty batches at a time, and the batches shuffled again."""
    near = torch.cat([pool[lengths[pool].argsort()] for pool in order.split(50 * batch)]).split(batch)
    return torch.cat([near[i] for i in torch.randperm(len(near))])


def train(task: Task, data: Data, clock: Clock, epochs: int, seed: int) -> Trained:
    torch.manual_seed(seed)
    model, loss_function = network(task, data, flat=True), criterion(data)
    tensors = [*map(torch.from_numpy, data.inputs.values()), torch.from_numpy(data.targets)]
    pictures, texts = "image" in data.inputs, "tokens" in data.inputs
    lengths = (tensors[0] != 0).sum(1) if texts else None
    half = (pictures or texts) and bf16()  # small dense layers gain nothing from bf16
    if pictures:
        model.to(memory_format=torch.channels_last)
        tensors[0] = tensors[0].contiguous(memory_format=torch.channels_last)

    clock.begin()
    kind, settings = torch_optimizer(task)
    optimizer = kind(model.parameters(), **settings, fused=True)
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(data.targets))
        if lengths is not None:
            order = by_length(order, lengths, task.batch)
        for *inputs, targets in zip(*(tensor[order].split(task.batch) for tensor in tensors), strict=True):
            if texts:
                inputs = [inputs[0][:, : int((inputs[0] != 0).sum(1).max())]]
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                output = model(*inputs)
            loss = loss_function(output.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        clock.epoch()
    clock.end()
    return torch_trained(model, data, precision="bf16" if half else "fp32")
