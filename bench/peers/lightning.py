"""Lightning: a LightningModule and a Trainer, without logger, bars and checkpoints."""

from __future__ import annotations

import logging

import lightning as L
from tasks import Data, Task
from torch.utils.data import DataLoader

from peers.contract import Clock, Trained, torch_optimizer, torch_rows, torch_trained
from peers.networks import criterion, network


class Module(L.LightningModule):
    def __init__(self, task: Task, data: Data) -> None:
        super().__init__()
        self.model, self.loss_function, self.optimizer = network(task, data), criterion(data), torch_optimizer(task)

    def training_step(self, batch, index):
        *inputs, targets = batch
        return self.loss_function(self.model(*inputs), targets)

    def configure_optimizers(self):
        kind, settings = self.optimizer
        return kind(self.parameters(), **settings)


class Epochs(L.Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_epoch_end(self, trainer, module) -> None:
        self.clock.epoch()


def train(task: Task, data: Data, clock: Clock, epochs: int, seed: int) -> Trained:
    L.seed_everything(seed, verbose=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    dataset, collate = torch_rows(data)
    loader = DataLoader(dataset, task.batch, shuffle=True, collate_fn=collate)
    module = Module(task, data)

    clock.begin()
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Epochs(clock)],
    )
    trainer.fit(module, loader)
    clock.end()
    return torch_trained(module.model, data, "lightning")
