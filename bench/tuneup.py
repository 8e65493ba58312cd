"""The tune-up's choice against every other choice, each pinned in the recipe and measured in the same way.

    python bench/tuneup.py DATA_DIRECTORY [TASK ...] [--rounds N] [--epochs N] [--rows N] [--most N] [--out FILE.json]

For each task: the rate of epochs 2…n with everything left to the tune-up, and with each combination of what it decides and
``--set`` does not. The figures are medians over rounds in turns, each run in a process of its own that remembers nothing. Wanted:
that the combination which the tune-up chose reaches at least 0.95 of the best one's rate, at a cost of at most 5 % of the training.
Tasks are those of engine.py.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from common import arguments, bf16, cores, machine, write
from engine import run, summary
from tasks import TASKS, Task, encode

from deepwright.recipe import Training

LEAST, MOST_COST = 0.95, 0.05


def choices(task: Task, settings: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return what the tune-up decides, ``settings`` aside, and its values: each field of ``training`` that may be ``auto`` but the
    device and the way of several processes, and threads.

    Layouts are for pictures; bf16 only where the CPU computes it, since emulation takes minutes a step.
    """
    found: dict[str, list[Any]] = {}
    for name, field in Training.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]  # also the members of ``Literal[…] | None``
        values = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
        if "auto" in values and name not in ("device", "parallel"):
            found[name] = [value for value in values if value != "auto"]
    found["threads"] = sorted({1, max(1, cores() // 2), cores()})
    if task.hidden:
        found["layout"] = ["contiguous"]
    if not bf16():
        found["precision"] = ["fp32"]
    if task.hidden or not bf16():
        found["weight_gradients"] = ["direct"]
    return {key: values for key, values in found.items() if not any(each.startswith(f"training.{key}=") for each in settings)}


def pinned(task: Task, settings: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the recipe settings of ``auto`` and of each combination, by its words."""
    options = choices(task, settings)
    # A value such as on would be read as true in YAML.
    named = {
        " ".join(f"{key}={value}" for key, value in zip(options, values, strict=True)): [
            f'training.{key}="{value}"' if isinstance(value, str) else f"training.{key}={value}"
            for key, value in zip(options, values, strict=True)
        ]
        for values in itertools.product(*options.values())
        if not {"fp32", "products"} <= set(values)  # products are those of bf16
    }
    return {"auto": [], **named}


def measure(task: str, options: Any) -> dict[str, Any]:
    """Run ``auto`` and every combination in every round, in an order that moves on from round to round."""
    settings = pinned(TASKS[task], options.settings)
    order = list(settings)[: options.most]
    more = [f"--{key}={value}" for key in ("epochs", "rows") if (value := getattr(options, key)) is not None]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in order}
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / f"{task}.npz"
        encode(TASKS[task], options.data, arrays, options.rows)
        for number in range(options.rounds):
            for name in order[number % len(order) :] + order[: number % len(order)]:
                given = [f"--set={setting}" for setting in (*options.settings, *settings[name])]
                found = run("deepwright", task, arrays, options.data, number, more + given)
                runs[name].append(found)
                print(f"{task:9} round {number + 1}  {found['rate']:>10,.0f}/s   {name}", flush=True)
    return verdict({name: summary(held) for name, held in runs.items()})


def verdict(tried: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return how near what ``auto`` chose last comes to the best combination, and what choosing cost."""
    auto = tried["auto"]
    best = max((name for name in tried if name != "auto"), key=lambda name: tried[name]["rate"])
    chosen = [run["notes"]["chosen"] for run in auto["runs"]]
    parts = {f"{key}={value}" for key, value in chosen[-1].items()}
    twin = next((name for name in tried if set(name.split()) <= parts), "auto")
    return {
        "best": best,
        "chosen": chosen,
        "ratio": tried[twin]["rate"] / tried[best]["rate"],
        "cost": auto["tuneup_seconds"] / auto["seconds"],
        "tried": tried,
    }


def main() -> None:
    parser = arguments(__doc__, TASKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="epochs instead of the task's own")
    parser.add_argument("--rows", type=int, help="training rows instead of the task's own")
    parser.add_argument("--most", type=int, help="the first combinations only, to try the script")
    options = parser.parse_args()
    os.environ["DEEPWRIGHT_CACHE"] = "off"  # what one run measured, the next would know
    results: dict[str, Any] = {"machine": machine(), "tasks": {}}
    for task in options.names or ("mlp", "adult", "resnet18"):
        found = results["tasks"][task] = measure(task, options)
        good = found["ratio"] >= LEAST and found["cost"] <= MOST_COST
        print(
            f"{task}: the choice is {found['ratio']:.3f} of the best ({found['best']}), wanted {LEAST}; the tune-up cost "
            f"{found['cost']:.1%} of the training, at most {MOST_COST:.0%}   {'good' if good else 'NOT GOOD'}\n"
            f"   it chose {found['chosen'][-1]}\n",
            flush=True,
        )
        write(options.out, results)


if __name__ == "__main__":
    main()
