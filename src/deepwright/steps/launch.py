"""Start the processes of a training on this machine or on a Ray cluster, and start them again when one is lost.

What was learnt until then lies in the last checkpoint, so that the weights at the end are those of a run that lost nothing. An
error that is a matter of the recipe or the data ends the run at once, with its own message.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TextIO

from deepwright.bundle import check_target
from deepwright.errors import TrainingError
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe
from deepwright.steps.places import Attempts, Place, environment, free_port
from deepwright.steps.train import free_name
from deepwright.steps.worker import Call, error_of
from deepwright.table import Table

PAUSE = 0.05
"""Seconds between two looks at the processes."""


def launch(
    recipe: Recipe,
    place: Place,
    *,
    table: Table | None,
    target: list[str],
    out: Path | None,
    overwrite: bool,
    restarts: int,
    listener: Listener,
) -> Path:
    """Train in several processes; the arguments are those of :func:`deepwright.steps.train.train`.

    Args:
        recipe: The recipe.
        place: Where, and in how many processes.
        table: Rows from memory.
        target: Output columns whose types are inferred.
        out: The bundle's directory.
        overwrite: Whether a bundle at ``out`` is replaced.
        restarts: How often the processes are started again when one is lost.
        listener: Hears of everything worth telling.

    Raises:
        TrainingError: Processes were lost more often than that (E406).
        DeepwrightError: What one of them raised.
    """
    if out is not None:
        check_target(out, overwrite=overwrite)
    path = (out or free_name(next(iter(recipe.outputs), next(iter(target), "model")))).absolute()
    call = Call(recipe.dump(defaults=False), str(path), target, overwrite, table.name if table else None, os.getcwd())
    if place.kind == "ray":
        from deepwright.steps.ray_train import attempts as on_ray

        tries = on_ray(call, table, place, listener)
    else:
        tries = _attempts(call, table, place.workers or 1, listener)
    with closing(tries):
        for attempt, lost in enumerate(tries):
            if lost is None:
                break
            if attempt >= restarts:
                raise TrainingError(
                    "E406",
                    "a process of the run ended before its time",
                    got=lost,
                    fix="the same command goes on from the last checkpoint; --restarts N tries again by itself",
                )
            listener(Event("warning", f"{lost}; all start again from the last checkpoint", values={"attempt": attempt + 1}))
    return path if out is None or out.is_absolute() else out


def _attempts(call: Call, table: Table | None, size: int, listener: Listener) -> Attempts:
    """Train on this machine, once for each value asked for: ``None`` when it is done, or what was lost."""
    with tempfile.TemporaryDirectory(prefix="deepwright-") as scratch:
        folder = Path(scratch)
        (folder / "call.json").write_text(json.dumps(dataclasses.asdict(call)), encoding="utf-8")
        if table is not None:
            table.frame.write_parquet(folder / "rows.parquet")
        events = folder / "events.jsonl"
        events.touch()
        with events.open(encoding="utf-8") as told:
            while True:
                processes = _start(folder, size)
                try:
                    while all(process.poll() in (None, 0) for process in processes) and any(p.poll() is None for p in processes):
                        _relay(told, listener)
                        time.sleep(PAUSE)
                    codes = [process.poll() for process in processes]
                finally:
                    _end(processes)
                _relay(told, listener)
                if (folder / "error.json").exists():
                    error = json.loads((folder / "error.json").read_text(encoding="utf-8"))
                    raise error_of(error["problems"], error["kind"])
                yield _lost(codes, folder)


def _start(folder: Path, size: int) -> list[subprocess.Popen[bytes]]:
    port = free_port()
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, (os.cpu_count() or 1) // size))
    processes = []
    for rank in range(size):
        variables: Mapping[str, str] = {**os.environ, **environment(rank, rank, size, "127.0.0.1", port, threads)}
        if sys.platform == "linux":
            variables = {"GLOO_SOCKET_IFNAME": "lo", **variables}
        with (folder / f"{rank}.log").open("wb") as log:
            command = [sys.executable, "-m", "deepwright.steps.worker", str(folder)]
            processes.append(subprocess.Popen(command, env=variables, stdout=log, stderr=log, stdin=subprocess.DEVNULL))  # noqa: S603  our own interpreter and module
    return processes


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End what still runs: first those that lost another, which know it, a moment to say so."""
    for process in processes:
        try:
            process.wait(timeout=1.0 if any(p.returncode for p in processes) else 0.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lost(codes: Sequence[int | None], folder: Path) -> str | None:
    """Return what ended before its time, with the last line that it wrote; ``None`` if all is well."""
    ended = {rank: code for rank, code in enumerate(codes) if code}
    if not ended:
        return None
    # Of several, the one that a signal ended, or else the one that does not only miss another.
    rank, code = min(ended.items(), key=lambda item: (item[1] > 0, item[1] == TrainingError.exit_code))
    how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    lines = (folder / f"{rank}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"process {rank} of {len(codes)} {how}" + (f" ({lines[-1][:200]})" if lines and code > 0 else "")


def _relay(told: TextIO, listener: Listener) -> None:
    """Tell what was written since the last time; a line that is only begun waits."""
    place = told.tell()
    while (line := told.readline()).endswith("\n"):
        listener(Event(**json.loads(line)))
        place = told.tell()
    told.seek(place)
