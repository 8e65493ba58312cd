"""What a contender is given and what it returns, and the training choices in PyTorch's words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from common import peak_memory
from numpy.typing import NDArray
from tasks import Arrays, Data, Task

LOSS_ROWS = 1_024
"""How many training rows the final loss is measured on."""


@dataclass
class Clock:
    """When training began, when each epoch ended, and when all was done, in seconds.

    Samples a second are taken between the end of the first epoch and the end of the last; and once more of the whole fit, with
    its setting up, its first epoch and, for Deepwright, its tune-up.
    """

    began: float = 0.0
    tuned: float | None = None
    epochs: list[float] = field(default_factory=list)
    ended: float = 0.0
    memory: int = 0

    def begin(self) -> None:
        """Training begins: the model and the arrays are there."""
        self.began = time.perf_counter()

    def epoch(self) -> None:
        """An epoch is over."""
        self.epochs.append(time.perf_counter())

    def end(self) -> None:
        """All is done."""
        self.ended = time.perf_counter()
        self.memory = peak_memory()


@dataclass
class Trained:
    """A trained model.

    Args:
        parameters: Trainable parameters; ``None`` if the tool builds a model of its own.
        train: Probabilities (LOSS_ROWS, classes) of the first training rows.
        test: Probabilities (N, classes) of the test rows.
        versions: Names of the packages whose versions matter, beside torch.
        notes: What the contender chose, for the record.
    """

    parameters: int | None
    train: NDArray[np.float64]
    test: NDArray[np.float64]
    versions: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


def to_probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return (N, classes) of logits (N,), (N, 1) or (N, classes)."""
    logits = np.asarray(logits, np.float64)
    if logits.ndim == 1 or logits.shape[1] == 1:
        logits = np.stack([np.zeros(len(logits)), logits.reshape(-1)], 1)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def torch_optimizer(task: Task) -> tuple[Any, dict[str, Any]]:
    """Return the optimizer's class and its arguments."""
    import torch

    settings = {key: value for key, value in task.optimizer.items() if key != "type"}
    return {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[task.optimizer["type"]], settings


def torch_rows(data: Data) -> tuple[Any, Any]:
    """Return a data set of rows, and what makes a batch of them: texts as long as they are, padded to the longest of the batch."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from torch.utils.data import TensorDataset, default_collate

    targets = torch.from_numpy(data.targets)
    if "tokens" not in data.inputs:
        return TensorDataset(*map(torch.from_numpy, data.inputs.values()), targets), default_collate
    texts = [torch.from_numpy(row[row != 0]) for row in data.inputs["tokens"]]

    def collate(rows: list[tuple[Any, Any]]) -> tuple[Any, Any]:
        own, labels = zip(*rows, strict=True)
        return pad_sequence(own, batch_first=True), torch.stack(labels)

    return list(zip(texts, targets, strict=True)), collate


def torch_trained(model: Any, data: Data, *versions: str, **notes: Any) -> Trained:
    """Return a trained PyTorch module whose forward takes the inputs in order."""
    import torch

    def probabilities(inputs: Arrays) -> NDArray[np.float64]:
        model.eval()
        with torch.inference_mode():
            parts = zip(*(torch.from_numpy(array).split(1000) for array in inputs.values()), strict=True)
            return to_probabilities(torch.cat([model(*part).float() for part in parts]).numpy())

    count = sum(p.numel() for p in model.parameters())
    return Trained(count, probabilities(first_rows(data.inputs)), probabilities(data.test_inputs), versions, notes)


def first_rows(inputs: Arrays) -> Arrays:
    """Return the rows that the final loss is measured on."""
    return {key: array[:LOSS_ROWS] for key, array in inputs.items()}
