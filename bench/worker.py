"""Train one contender once, in a process of its own, and print what was measured as one line of JSON (engine.py calls it).

python bench/worker.py CONTENDER TASK ARRAYS.npz --data DIRECTORY [--epochs N] [--rows N] [--seed N] [--set KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from peers.contract import Clock, Trained
from tasks import TASKS, Data, Task

WITH_TABLES = ("deepwright", "autogluon")
"""The contenders that start from the table."""


def measure(contender: str, task: Task, options: argparse.Namespace) -> dict[str, Any]:
    """Train and return rates, memory, quality and versions."""
    clock = Clock()
    warm_up()
    train = importlib.import_module(f"peers.{contender}").train
    epochs = options.epochs or task.epochs
    more = (options.settings,) if contender == "deepwright" else ()
    data = None if contender in WITH_TABLES else Data.load(options.arrays)
    given = data or task.table(options.data, options.rows)
    trained = train(task, given, clock, epochs, options.seed, *more)
    data = data or Data.load(options.arrays)  # to measure the quality with; only now, not to count in the memory
    rows = len(data.targets)
    after = rows * (len(clock.epochs) - 1) / (clock.epochs[-1] - clock.epochs[0]) if len(clock.epochs) > 1 else None
    return {
        "rate": after,
        "whole": rows * epochs / (clock.ended - clock.began),
        "seconds": clock.ended - clock.began,
        "tuneup_seconds": 0.0 if clock.tuned is None else clock.tuned - clock.began,
        "epochs": len(clock.epochs),
        "memory": clock.memory,
        "parameters": trained.parameters,
        **quality(trained, data),
        "versions": versions(trained.versions),
        "notes": trained.notes,
    }


def warm_up() -> None:
    """Let torch import what it imports at the first optimizer, seconds of work, so that it stands in nobody's figures."""
    import torch

    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1).step()


def quality(trained: Trained, data: Data) -> dict[str, float]:
    """Return the loss (mean negative log probability) on the first training rows and the accuracy on test rows."""
    right = np.take_along_axis(trained.train, data.targets[: len(trained.train)].astype(np.int64)[:, None], 1)
    return {
        "loss": float(-np.log(np.clip(right, 1e-7, 1)).mean()),
        "accuracy": float((trained.test.argmax(1) == data.test_targets).mean()),
    }


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of torch and of packages."""
    return {name: importlib.metadata.version(name) for name in ("torch", *names)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    options = parser.parse_args()
    # Libraries print as they like; the last line of the real standard output is the result.
    result, sys.stdout = sys.stdout, sys.stderr
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    measured = measure(options.contender, TASKS[options.task], options)
    print(json.dumps({**measured, "load": load}), file=result, flush=True)


if __name__ == "__main__":
    main()
