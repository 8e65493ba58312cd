"""fastai: a Learner on fastai's own data loader, which for texts sorts by length, without bars; PyTorch's optimizer in its wrapper,
so that steps are the same."""

from __future__ import annotations

from functools import partial

import fastai.callback.progress  # noqa: F401  gives the Learner no_bar
import torch
from fastai.callback.core import Callback, CancelValidException
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from fastai.text.data import SortedDL
from fastai.torch_core import default_device
from tasks import Data, Task

from peers.contract import Clock, Trained, torch_optimizer, torch_rows, torch_trained
from peers.networks import criterion, network


class Epochs(Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def after_train(self) -> None:
        self.clock.epoch()

    def before_validate(self) -> None:
        raise CancelValidException


def train(task: Task, data: Data, clock: Clock, epochs: int, seed: int) -> Trained:
    torch.manual_seed(seed)
    default_device(use=False)
    dataset, collate = torch_rows(data)
    told = {"bs": task.batch, "shuffle": True, "num_workers": 0, "n_inp": len(data.inputs), "create_batch": collate}
    loader = (SortedDL if "tokens" in data.inputs else DataLoader)(dataset, **told)
    kind, settings = torch_optimizer(task)
    learner = Learner(
        DataLoaders(loader, loader),
        network(task, data),
        criterion(data),
        opt_func=partial(OptimWrapper, opt=kind, **settings),
        lr=settings["lr"],
        wd=0.0,
        cbs=[Epochs(clock)],
    )

    clock.begin()
    with learner.no_bar(), learner.no_logging():
        learner.fit(epochs)
    clock.end()
    return torch_trained(learner.model, data, "fastai")
