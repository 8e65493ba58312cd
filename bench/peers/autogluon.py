"""AutoGluon's tabular neural network alone, brought near the task's by its settings: a model of its own, with validation rows of
its own after each epoch."""

from __future__ import annotations

import tempfile

import polars as pl
from autogluon.tabular import TabularPredictor
from tasks import Task

from peers.contract import LOSS_ROWS, Clock, Trained


def train(task: Task, tables: tuple[pl.DataFrame, pl.DataFrame], clock: Clock, epochs: int, seed: int) -> Trained:
    train, test = (table.to_pandas() for table in tables)
    settings = {
        "num_epochs": epochs,
        "epochs_wo_improve": epochs,
        "num_layers": len(task.hidden),
        "hidden_size": task.hidden[0],
        "max_batch_size": task.batch,
        "dropout_prob": 0.0,
        "learning_rate": task.optimizer["lr"],
        "weight_decay": 0.0,
        "ag_args_fit": {"ag.random_seed": seed},
    }
    with tempfile.TemporaryDirectory() as folder:
        predictor = TabularPredictor(task.target, path=folder, verbosity=0)
        clock.begin()
        predictor.fit(train, hyperparameters={"NN_TORCH": settings}, fit_weighted_ensemble=False, num_gpus=0)
        clock.end()
        # Its own time of the network alone, without reading and preparing the table.
        clock.ended = clock.began + float(predictor.leaderboard()["fit_time"][0])
        sides = [predictor.predict_proba(frame).to_numpy() for frame in (train.head(LOSS_ROWS), test)]
    return Trained(None, *sides, ("autogluon.tabular",))
