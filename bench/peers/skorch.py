"""skorch: the scikit-learn face of PyTorch, without its validation split and its log; texts are cut to the batch's longest."""

from __future__ import annotations

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from tasks import Data, Task
from torch.utils.data import default_collate

from peers.contract import Clock, Trained, torch_optimizer, torch_trained
from peers.networks import criterion, network


class Epochs(Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_epoch_end(self, net, **more) -> None:
        self.clock.epoch()


def cut(rows):
    """Return a batch of texts as long as the longest of them."""
    tokens, targets = default_collate(rows)
    return tokens[:, : int((tokens != 0).sum(1).max())], targets


def train(task: Task, data: Data, clock: Clock, epochs: int, seed: int) -> Trained:
    torch.manual_seed(seed)
    kind, settings = torch_optimizer(task)
    net = NeuralNet(
        network(task, data),
        criterion(data),
        optimizer=kind,
        **{f"optimizer__{key}": value for key, value in settings.items()},
        max_epochs=epochs,
        batch_size=task.batch,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        callbacks=[("epochs", Epochs(clock))],
    )
    if "tokens" in data.inputs:
        net.set_params(iterator_train__collate_fn=cut)
    inputs = data.inputs if len(data.inputs) > 1 else next(iter(data.inputs.values()))

    clock.begin()
    net.fit(inputs, data.targets)
    clock.end()
    return torch_trained(net.module_, data, "skorch")
