"""Deepwright, by its public interface: model, batch, epochs and optimizer are pinned, the machine is left to the tune-up."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from tasks import Task

import deepwright as dw
from deepwright.progress import Event
from peers.contract import LOSS_ROWS, Clock, Trained

MACHINE = ("precision", "layout", "threads", "compile", "weight_gradients")
"""What the tune-up decides, of the recipe's section ``training``."""


def train(
    task: Task, tables: tuple[pl.DataFrame, pl.DataFrame], clock: Clock, epochs: int, seed: int, settings: list[str]
) -> Trained:
    told: dict[str, object] = {}

    def listen(event: Event) -> None:
        if event.stage == "model":
            told["parameters"] = event.values["parameters"]
            clock.begin()
        elif event.stage == "machine":
            told.setdefault("machine", []).append(event.text)
            clock.tuned = time.perf_counter()
        elif event.stage == "training" and event.values.get("evaluated"):
            clock.epoch()
        elif event.stage == "stopped":
            clock.end()
        elif event.stage == "warning":
            told.setdefault("warnings", []).append(event.text)

    with tempfile.TemporaryDirectory() as folder:
        model = dw.train(
            tables[0], recipe=task.recipe(epochs, seed), out=Path(folder) / "model", settings=settings, listener=listen
        )
        chosen = {key: getattr(model.recipe.training, key, None) for key in MACHINE}
        asked = (tables[0].head(LOSS_ROWS), tables[1])
        sides = [model.predict(table.drop(task.target)).drop(task.target).to_numpy().astype(np.float64) for table in asked]
    return Trained(told.pop("parameters"), *sides, ("deepwright",), {**told, "chosen": chosen})
