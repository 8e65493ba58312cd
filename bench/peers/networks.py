"""The networks of the tasks in PyTorch, as one writes them: the same for all contenders that take a module."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch
from tasks import EMBEDDING, STATE, WORDS, Data, Task
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Numbers and an embedding of each category, then layers with ReLU; one logit for two classes."""

    def __init__(self, numbers: int, sizes: tuple[int, ...], hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, EMBEDDING) for size in sizes)
        self.layers = dense(numbers + EMBEDDING * len(sizes), hidden)

    def forward(self, numbers: Tensor, categories: Tensor | None = None) -> Tensor:
        x = numbers
        if categories is not None:
            x = torch.cat([x, *(embed(categories[:, i]) for i, embed in enumerate(self.embeddings))], 1)
        return self.layers(x).squeeze(1)


class FlatPerceptron(nn.Module):
    """The same with all categories in one table, which takes one gather: what a hand that tunes would write."""

    def __init__(self, numbers: int, sizes: tuple[int, ...], hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sum(sizes), EMBEDDING) if sizes else None
        self.register_buffer("offsets", torch.tensor([0, *accumulate(sizes)][:-1]), persistent=False)
        self.layers = dense(numbers + EMBEDDING * len(sizes), hidden)

    def forward(self, numbers: Tensor, categories: Tensor | None = None) -> Tensor:
        x = numbers
        if categories is not None and self.embedding is not None:
            x = torch.cat([x, self.embedding(categories + self.offsets).flatten(1)], 1)
        return self.layers(x).squeeze(1)


def dense(width: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Return the layers and the last one, of one logit."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([width, *hidden]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al., arXiv 1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 with a 3×3 stem; weights start as in torchvision with ``zero_init_residual``."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
        width = 64
        for stage in range(4):
            for index in range(2):
                outputs = 64 << stage
                layers.append(BasicBlock(width, outputs, 2 if stage and not index else 1))
                width = outputs
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


class LSTM(nn.Module):
    """Words, an LSTM, and its state at each text's last word; one logit. Texts are padded behind their ends by 0."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, WORDS, padding_idx=0)
        self.lstm = nn.LSTM(WORDS, STATE, batch_first=True)
        self.layer = nn.Linear(STATE, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(tokens))
        last = (tokens != 0).sum(1).clamp_min(1) - 1
        return self.layer(states[torch.arange(len(tokens)), last]).squeeze(1)


def network(task: Task, data: Data, *, flat: bool = False) -> nn.Module:
    """Return a task's network."""
    if "tokens" in data.inputs:
        return LSTM(*data.sizes)
    if not task.hidden:
        return ResNet18(data.inputs["image"].shape[1], data.classes)
    return (FlatPerceptron if flat else Perceptron)(data.inputs["numbers"].shape[1], data.sizes, task.hidden)


def criterion(data: Data) -> nn.Module:
    """Return the loss."""
    return nn.BCEWithLogitsLoss() if data.classes == 2 else nn.CrossEntropyLoss()
