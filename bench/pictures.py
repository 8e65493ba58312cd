"""Pictures on official splits: the default recipe on Fashion-MNIST, and the classic small CNN on MNIST digits.

python bench/pictures.py DATA_DIRECTORY [NAME ...] [--set KEY=VALUE ...] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import deepwright as dw

CLASSIC = {
    "type": "sequential",
    "layers": [
        {"type": "conv2d", "channels": 32, "kernel": 3, "activation": "relu"},
        {"type": "maxpool2d", "size": 2},
        {"type": "conv2d", "channels": 64, "kernel": 3, "activation": "relu"},
        {"type": "maxpool2d", "size": 2},
        {"type": "conv2d", "channels": 64, "kernel": 3, "activation": "relu"},
        "flatten",
        {"type": "dropout", "p": 0.3},
        {"type": "dense", "units": 64, "activation": "relu"},
    ],
}
TASKS = {
    "fashion-mnist": ({"data": "fashion-mnist"}, 0.93),
    "mnist": (
        {
            "data": {"source": "mnist/train.parquet", "test": "mnist/test.parquet"},
            "inputs": {"image": {"type": "image", "augment": ["affine"], "encoder": CLASSIC}},
            "training": {"epochs": 16, "optimizer": {"type": "adam", "lr": 0.002}},
        },
        0.985,
    ),
    "cats_dogs": ({"data": "cats_dogs/cats_dogs_128.zip", "training": {"epochs": 10}}, None),
    "cifar10": ({"data": "cifar10/cifar10_jpg.tar.gz", "training": {"epochs": 2}}, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TASKS))
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = {}
    for name in arguments.names or TASKS:
        recipe, least = TASKS[name]
        data = recipe["data"]
        paths = {"source": data} if isinstance(data, str) else data
        placed = {**recipe, "data": {key: str(arguments.data / path) for key, path in paths.items()}}
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            model = dw.train(recipe=placed, target="label", out=Path(folder) / "model", settings=arguments.settings)
            accuracy = model.metrics["label"]["accuracy"]
        seconds = time.perf_counter() - began
        results[name] = {"accuracy": accuracy, "seconds": seconds}
        figure = f"{accuracy['value']:.4f} [{accuracy['low']:.4f}, {accuracy['high']:.4f}]"
        wanted = f"   wanted {least}" if least else ""
        print(
            f"{name:16} test accuracy {figure}{wanted}   {seconds:.0f} s",
            flush=True,
        )
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
