"""The PyTorch loop of the tutorials: TensorDataset, DataLoader, shuffle."""

from __future__ import annotations

import torch
from tasks import Data, Task
from torch.utils.data import DataLoader, TensorDataset

from peers.contract import Clock, Trained, torch_optimizer, torch_trained
from peers.networks import criterion, network


def train(task: Task, data: Data, clock: Clock, epochs: int, seed: int, workers: int = 0) -> Trained:
    torch.manual_seed(seed)
    dataset = TensorDataset(*map(torch.from_numpy, [*data.inputs.values(), data.targets]))
    loader = DataLoader(dataset, task.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    model, loss_function = network(task, data), criterion(data)

    clock.begin()
    kind, settings = torch_optimizer(task)
    optimizer = kind(model.parameters(), **settings)
    for _ in range(epochs):
        model.train()
        running_loss = 0.0
        for *inputs, targets in loader:
            optimizer.zero_grad()
            loss = loss_function(model(*inputs), targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        clock.epoch()
    clock.end()
    return torch_trained(model, data)
