"""Train on a Ray cluster: each process is an actor, which makes the same call as a process of this machine would."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deepwright.console import plain
from deepwright.errors import DeepwrightError, need
from deepwright.progress import Event, Listener
from deepwright.steps.places import Attempts, Place, environment, free_port
from deepwright.steps.worker import LOST, Call, error_of
from deepwright.table import Table

POLL = 0.2
"""Seconds between two questions for what there is to tell."""


class Worker:
    """One process of a run. It listens while it trains: the actor has a thread for each."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def place(self) -> tuple[str, int, int]:
        """Return the address of this machine, a free port of it, and the process's id."""
        import ray

        return str(ray.util.get_node_ip_address()), free_port(), os.getpid()

    def run(self, call: Call, rows: Any, variables: dict[str, str]) -> tuple[str, list[dict[str, Any]]] | None:
        """Train; return the class and the problems of an error, or ``None``."""
        import torch

        os.environ.update(variables)
        torch.set_num_threads(int(variables["OMP_NUM_THREADS"]))
        try:
            call.run(rows, lambda event: self.events.append(plain(dataclasses.asdict(event))))
        except DeepwrightError as error:
            return type(error).__name__, error.as_json()
        except SystemExit:  # another process tells why
            return "", []
        return None

    def heard(self) -> list[dict[str, Any]]:
        """Return what was told since the last time."""
        told, self.events = self.events, []
        return told


@contextmanager
def cluster(place: Place) -> Iterator[Any]:
    """Join the cluster of a place, or start one on this machine, and leave it at the end; nothing is told to anybody."""
    ray = need("ray", extra="ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ours = not ray.is_initialized()
    if ours:
        # A cluster that is there already is found by its address, or by RAY_ADDRESS; else one begins on this machine.
        # On this machine a worker needs no core of its own: more may be asked for than there are.
        local = {} if place.address or os.environ.get("RAY_ADDRESS") else {"num_cpus": (place.workers or 0) + (os.cpu_count() or 1)}
        quiet = {"include_dashboard": False} if local else {}
        ray.init(place.address or None, log_to_driver=False, configure_logging=False, **local, **quiet)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def attempts(call: Call, table: Table | None, place: Place, listener: Listener) -> Attempts:
    """Train on the cluster, once for each value asked for: ``None`` when it is done, or what was lost."""
    with cluster(place) as ray:
        gpus = int(ray.cluster_resources().get("GPU", 0))
        size = place.workers or gpus or sum(node["Alive"] for node in ray.nodes())
        rows = None if table is None else ray.put(table.frame)
        while True:
            # A thread trains, and one answers.
            kind = ray.remote(num_cpus=1, num_gpus=1 if gpus >= size else 0, max_concurrency=2)(Worker)
            workers = [kind.remote() for _ in range(size)]
            try:
                lost = _trained(ray, workers, call, rows, listener)
            except ray.exceptions.RayError as error:
                lost = f"a process ended before its time ({type(error).__name__})"
            finally:
                for worker in workers:
                    ray.kill(worker)
            yield lost


def _trained(ray: Any, workers: list[Any], call: Call, rows: Any, listener: Listener) -> str | None:
    """Let the workers train; return what was lost, or ``None`` when all is done."""
    places = ray.get([worker.place.remote() for worker in workers])
    host, port, _ = places[0]
    pids = [pid for _, _, pid in places]
    listener(Event("workers", f"{len(workers)} processes on {len({p[0] for p in places})} machines", values={"pids": pids}))
    runs = []
    for rank, worker in enumerate(workers):
        local = sum(other[0] == places[rank][0] for other in places[:rank])
        threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
        # Ray shows each worker its own GPU only, as device 0.
        runs.append(worker.run.remote(call, rows, environment(rank, local, len(workers), host, port, threads)))
    waiting = list(runs)
    while waiting:
        done, waiting = ray.wait(waiting, timeout=POLL)
        for event in ray.get(workers[0].heard.remote()):
            listener(Event(**event))
        for failed in (result for result in ray.get(done) if result is not None):
            name, problems = failed
            if problems and problems[0]["code"] != LOST:
                raise error_of(problems, name)
            if problems:
                return "a process lost another"
    return None
