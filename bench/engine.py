"""The engine against plain PyTorch, a hand-tuned loop and other frameworks: same network, data, batch, epochs and optimizer.

    python bench/engine.py DATA_DIRECTORY [TASK ...] [--only CONTENDER ...] [--rounds N] [--epochs N] [--rows N] [--out FILE.json]
    python bench/engine.py --table       write docs/benchmarks.md again from bench/results/engine.json

Each contender runs in a process of its own, in turns, in every round; the figures are medians over the rounds. A contender whose
package is not installed is left out, and the page says so. Tasks that FILE.json holds and that are not run stay as they are. Run it
on a machine that does nothing else.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common import arguments, machine, write
from tasks import TASKS, Task, encode

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results" / "engine.json"
PAGE = ROOT / "docs" / "benchmarks.md"

CONTENDERS = {
    "deepwright": ("Deepwright", "deepwright"),
    "hand_tuned": ("PyTorch, hand-tuned", "torch"),
    "plain": ("PyTorch, DataLoader", "torch"),
    "plain_workers": ("PyTorch, DataLoader, 2 workers", "torch"),
    "keras": ("Keras 3 (torch)", "keras"),
    "lightning": ("Lightning", "lightning"),
    "fastai": ("fastai", "fastai"),
    "skorch": ("skorch", "skorch"),
    "autogluon": ("AutoGluon NN_TORCH ¹", "autogluon"),
}
"""Each contender's name on the page and the package that it needs."""
PEERS = ("keras", "lightning", "fastai", "skorch")
"""Those that take the same network."""
OWN_MODEL = {"autogluon": ("adult",)}
"""Contenders that build a model of their own, and the tasks that they take."""
TOLERANCE = {"loss": 0.15, "accuracy": 0.05}
"""How far a contender's loss (relative) and accuracy may be from the median before the page marks it: what seeds alone explain."""


def run(contender: str, task: str, arrays: Path, data: Path, seed: int, more: list[str]) -> dict[str, Any]:
    """Train once in a fresh process and return what it measured.

    Raises:
        ChildProcessError: It failed, with the end of what it wrote.
    """
    command = [sys.executable, str(ROOT / "bench" / "worker.py"), contender, task, str(arrays), "--data", str(data)]
    result = subprocess.run([*command, "--seed", str(seed), *more], capture_output=True, text=True, check=False)
    if result.returncode:
        raise ChildProcessError(f"{contender} failed on {task}:\n{result.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def median(runs: list[dict[str, Any]], key: str) -> float | None:
    """Return the median of a figure over runs, if they have it."""
    values = [run[key] for run in runs if run[key] is not None]
    return statistics.median(values) if values else None


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of a contender's runs, and the runs."""
    keys = ("rate", "whole", "seconds", "tuneup_seconds", "memory", "parameters", "loss", "accuracy")
    return {key: median(runs, key) for key in keys} | {"versions": runs[0]["versions"], "notes": runs[-1]["notes"], "runs": runs}


def measure(task: str, chosen: list[str], missing: list[str], options: Any) -> dict[str, Any]:
    """Run every contender in every round, in an order that moves on from round to round; tell which others are not installed."""
    more = [f"--{key}={value}" for key in ("epochs", "rows") if (value := getattr(options, key)) is not None]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / f"{task}.npz"
        encode(TASKS[task], options.data, arrays, options.rows)
        for number in range(options.rounds):
            for name in chosen[number % len(chosen) :] + chosen[: number % len(chosen)]:
                if name in failed:
                    continue
                own = [f"--set={setting}" for setting in options.settings] if name == "deepwright" else []
                try:
                    found = run(name, task, arrays, options.data, number, more + own)
                except ChildProcessError as error:
                    if name == "deepwright":
                        raise
                    print(error, flush=True)  # hours of the others' runs are not thrown away
                    failed.append(name)
                    continue
                runs[name].append(found)
                rate = f"{found['rate']:>10,.0f}" if found["rate"] else " " * 10
                print(
                    f"{task:9} round {number + 1}  {name:14}{rate}/s   whole {found['whole']:>9,.0f}/s   "
                    f"{found['memory'] / 2**20:5.0f} MiB   loss {found['loss']:.4f}   accuracy {found['accuracy']:.4f}",
                    flush=True,
                )
    return {
        "machine": machine(),
        "missing": [CONTENDERS[name][0] for name in missing],
        "rounds": options.rounds,
        "epochs": options.epochs or TASKS[task].epochs,
        "rows": (options.rows or TASKS[task].rows) // TASKS[task].batch * TASKS[task].batch,
        "failed": [CONTENDERS[name][0] for name in failed],
        "contenders": {name: summary(held) for name, held in runs.items() if name not in failed},
    }


def rates(contenders: dict[str, Any], key: str = "rate") -> dict[str, float]:
    """Return Deepwright's ratio to the better plain loop, to the best peer and to the hand-tuned loop; those that were run."""
    groups = {"plain": ("plain", "plain_workers"), "peers": PEERS, "hand_tuned": ("hand_tuned",)}
    ours = contenders["deepwright"][key]
    best = {name: max((contenders[c][key] for c in group if c in contenders), default=None) for name, group in groups.items()}
    return {name: ours / value for name, value in best.items() if ours and value}


def unlike(contenders: dict[str, Any]) -> dict[str, list[str]]:
    """Return the contenders whose network or result is not the others', and in what."""
    same = {name: each for name, each in contenders.items() if name not in OWN_MODEL}
    middle = {key: statistics.median(each[key] for each in same.values()) for key in ("parameters", "loss", "accuracy")}
    far = {
        name: [
            *(["parameters"] if each["parameters"] != middle["parameters"] else []),
            *(["loss"] if abs(each["loss"] - middle["loss"]) > TOLERANCE["loss"] * middle["loss"] else []),
            *(["accuracy"] if abs(each["accuracy"] - middle["accuracy"]) > TOLERANCE["accuracy"] else []),
        ]
        for name, each in same.items()
    }
    return {name: found for name, found in far.items() if found}


def page(results: dict[str, Any]) -> str:
    """Return docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python bench/engine.py`; not to be edited. `make bench DATA=FOLDER` measures again, and",
        "[bench/README.md](../bench/README.md) tells how each figure is taken.",
        "",
        "Rates are training samples a second, medians over the rounds: *epochs 2…n* from the end of the first epoch to that of the",
        "last; *whole fit* with setting up, the first epoch and Deepwright's tune-up. No contender validates, but that of note ¹.",
        "*× theirs* is Deepwright's rate divided by theirs. Memory is the peak of the process itself, torch and the data in it.",
    ]
    for name, found in results["tasks"].items():
        lines += ["", *section(TASKS[name], found)]
    if any("autogluon" in found["contenders"] for found in results["tasks"].values()):
        lines += [
            "",
            "¹ A network of its own, brought near by its settings, with an evaluation after each epoch: not the same model.",
        ]
    return "\n".join(lines) + "\n"


def section(task: Task, found: dict[str, Any]) -> list[str]:
    """Return a task's part of the page."""
    contenders, strange = found["contenders"], unlike(found["contenders"])
    ours = contenders["deepwright"]
    order = sorted(contenders, key=lambda name: -(contenders[name]["rate"] or contenders[name]["whole"]))
    rows = []
    for name in order:
        each = contenders[name]
        ratio = [f"{ours[key] / each[key]:.2f}" if each[key] else "" for key in ("rate", "whole")]
        rate = f"{each['rate']:,.0f}" if each["rate"] else ""
        parameters = f"{each['parameters']:,.0f}" if each["parameters"] else "its own"
        mark = f" (differs: {', '.join(strange[name])})" if name in strange else ""
        speed = [rate, ratio[0], f"{each['whole']:,.0f}", ratio[1]]
        rest = [f"{each['memory'] / 2**20:,.0f}", f"{each['loss']:.3f}", f"{each['accuracy']:.3f}", parameters]
        rows.append("| " + " | ".join([CONTENDERS[name][0] + mark, *speed, *rest]) + " |")
    words = {"plain": "plain PyTorch", "peers": "the best peer", "hand_tuned": "the hand-tuned loop"}
    goals = [f"{value:.2f}× {words[key]} (goal {task.wanted.get(key, '–')})" for key, value in rates(contenders).items()]
    chosen = {key: value for key, value in ours["notes"]["chosen"].items() if value is not None}
    where = found["machine"]
    versions = sorted({name: version for each in contenders.values() for name, version in each["versions"].items()}.items())
    return [
        f"## {task.title[0].upper()}{task.title[1:]}",
        "",
        f"{where['cpu']} (family/model {where['family']}), {where['cores']} cores, {', '.join(where['flags'])}; "
        f"{where['memory_gib']} GiB; {where['system']}; Python {where['python']}; "
        + ", ".join(f"{name} {version}" for name, version in versions)
        + ".",
        *([f"Not installed, and left out: {', '.join(found['missing'])}."] if found["missing"] else []),
        "",
        f"{found['rows']:,} rows, {found['epochs']} epochs, batch {task.batch}, {task.optimizer['type']}, {found['rounds']} rounds."
        + (f" Failed: {', '.join(found['failed'])}." if found["failed"] else ""),
        f"Deepwright: {', '.join(goals)}." if goals else "",
        f"It chose {', '.join(f'{key} {value}' for key, value in chosen.items())}; "
        f"the tune-up took {ours['tuneup_seconds']:.2f} s of {ours['seconds']:.1f} s.",
        "",
        "| | epochs 2…n | × theirs | whole fit | × theirs | MiB | loss | test accuracy | parameters |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]


def main() -> None:
    parser = arguments(__doc__, TASKS)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="contenders, by default all that are installed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="epochs instead of the task's own")
    parser.add_argument("--rows", type=int, help="training rows instead of the task's own")
    parser.add_argument("--table", action="store_true", help="only write the page again")
    if "--table" in sys.argv[1:]:  # needs no data
        PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    options = parser.parse_args()
    wanted = list(dict.fromkeys(["deepwright", *(options.only or CONTENDERS)]))
    there = [name for name in wanted if find_spec(CONTENDERS[name][1])]
    missing = [name for name in wanted if name not in there]
    before = options.out is not None and options.out.exists()
    results: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if before else {"tasks": {}}
    for task in options.names or TASKS:
        chosen = [name for name in there if task in OWN_MODEL.get(name, (task,))]
        found = results["tasks"] | {task: measure(task, chosen, missing, options)}
        results["tasks"] = {name: found[name] for name in TASKS if name in found}
        print("\n".join(["", *section(TASKS[task], results["tasks"][task]), ""]), flush=True)
        write(options.out, results)  # after each task, so that a run that is stopped leaves what it has
    if options.out is not None and options.out.resolve() == RESULTS:
        PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
