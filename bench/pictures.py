"""Pictures on official splits: the default recipe on Fashion-MNIST, and the classic small CNN on MNIST digits.

python bench/pictures.py DATA_DIRECTORY [NAME ...] [--set KEY=VALUE ...] [--out FILE.json]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from common import arguments, write

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
    options = arguments(__doc__, TASKS).parse_args()
    results = {}
    for name in options.names or TASKS:
        recipe, least = TASKS[name]
        data = recipe["data"]
        paths = {"source": data} if isinstance(data, str) else data
        placed = {**recipe, "data": {key: str(options.data / path) for key, path in paths.items()}}
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            model = dw.train(recipe=placed, target="label", out=Path(folder) / "model", settings=options.settings)
            accuracy = model.metrics["label"]["accuracy"]
        seconds = time.perf_counter() - began
        results[name] = {"accuracy": accuracy, "seconds": seconds}
        figure = f"{accuracy['value']:.4f} [{accuracy['low']:.4f}, {accuracy['high']:.4f}]"
        wanted = f"   wanted {least}" if least else ""
        print(
            f"{name:16} test accuracy {figure}{wanted}   {seconds:.0f} s",
            flush=True,
        )
    write(options.out, results)


if __name__ == "__main__":
    main()
