"""The logger ``mlflow``."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepwright.blocks.logs import LogWriter
from deepwright.bundle import write_atomically
from deepwright.errors import need
from deepwright.facts import RunFacts
from deepwright.families import Logger

MARK = "mlflow.json"
"""Names the run that a resumed training goes on with."""
MOST = 100
"""Parameters that are sent at once, as MLflow limits them."""


class MLflow(Logger):
    """A run of MLflow: the recipe as parameters, the figures as metrics (extra ``mlflow``).

    Without a tracking URI all stays on this machine: ``mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`` shows it.
    """

    experiment: str = "deepwright"
    """The experiment that the run belongs to; it is made if need be."""
    tracking_uri: str | None = None
    """A tracking server (``http://…``) or a store (``sqlite:///…``); by default ``mlflow.db`` in the run's own folder."""

    def open(self, directory: Path, run: RunFacts) -> LogWriter:
        """Start a run, or go on with the one that ``directory`` remembers.

        Raises:
            MissingExtra: MLflow is not installed (E601).
        """
        directory.mkdir(parents=True, exist_ok=True)
        with _quiet():
            need("alembic", extra="mlflow")
            tracking = need("mlflow.tracking", extra="mlflow")
            client = tracking.MlflowClient(self.tracking_uri or f"sqlite:///{(directory / 'mlflow.db').absolute()}")
            mark = directory / MARK
            known = json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else None
            if known is not None and run.step > 0:
                client.update_run(known["run"], status="RUNNING")
                return _Run(client, known["run"])
            if known is not None:
                client.set_terminated(known["run"], "KILLED")
            found = client.get_experiment_by_name(self.experiment)
            experiment = client.create_experiment(self.experiment) if found is None else found.experiment_id
            identity = client.create_run(experiment, run_name=run.name).info.run_id
            write_atomically(mark, json.dumps({"run": identity}).encode())
            _send_recipe(client, identity, run.recipe)
            return _Run(client, identity)


class _Run(LogWriter):
    """One run of a client."""

    def __init__(self, client: Any, identity: str) -> None:
        self._client, self._run = client, identity
        held = client.get_run(identity).data.metrics
        super().__init__(max((m.step for name in held for m in client.get_metric_history(identity, name)), default=-1))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Send the figures of the step, all in one transaction."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, [Metric(_allowed(name), float(value), now, step) for name, value in figures.items()])

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._run)


def _allowed(name: str) -> str:
    """Return a name that MLflow takes as it is, which it would not with the ``..`` and ``//`` of a path."""
    return "".join(c if c.isalnum() or c in "_-. " else "_" for c in name)


def _send_recipe(client: Any, identity: str, recipe: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    params = [Param(_allowed(path), value) for path, value in _leaves(recipe)]
    for start in range(0, len(params), MOST):
        client.log_batch(identity, params=params[start : start + MOST])


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the recipe's values by path; lists and empty sections are one value."""
    if isinstance(node, Mapping) and (node or not path):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif node is not None:
        yield path[:250], (node if isinstance(node, str) else json.dumps(node, ensure_ascii=False))[:6000]


@contextmanager
def _quiet() -> Iterator[None]:
    """Import and open MLflow without its report home, its lines on making a database and its dependencies' deprecations.

    All are switched by process-wide settings, which are put back; an MLflow that was imported before keeps its own choice.
    """
    name, logger = "MLFLOW_DISABLE_TELEMETRY", logging.getLogger("mlflow.store.db.utils")
    before, level = os.environ.get(name), logger.level
    os.environ[name] = "true"
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
