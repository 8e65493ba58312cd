"""The PyTorch loop of the tutorials: a Dataset, DataLoader, shuffle; texts are padded by the batch."""

from __future__ import annotations

import torch
from tasks import Data, Task
from torch.utils.data import DataLoader

from peers.contract import Clock, Trained, torch_optimizer, torch_rows, torch_trained
from peers.networks import criterion, network


def train(task: Task, data: Data, clock: Clock, epochs: int, seed: int, workers: int = 0) -> Trained:
    torch.manual_seed(seed)
    dataset, collate = torch_rows(data)
    several = {"num_workers": workers, "persistent_workers": workers > 0}
    loader = DataLoader(dataset, task.batch, shuffle=True, collate_fn=collate, **several)
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
