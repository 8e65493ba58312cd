"""Loggers: what programs find that read their files."""

import csv
import os
import subprocess
import sys

import pytest

from deepwright.facts import RunFacts
from deepwright.families import Logger
from deepwright.testing.loggers import *  # noqa: F403


def logged(name, directory, step, entries, **fields):
    with Logger.parse({"type": name, **fields}).open(directory, RunFacts("a run", {"training": {"seed": 3}}, step)) as log:
        for at, figures in entries:
            log.log(at, figures)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_a_step(tmp_path):
    logged("csv", tmp_path, 0, [(1, {"a, b": 0.1}), (2, {"a, b": 0.2, "lr": 1e-3})])
    logged("csv", tmp_path, 1, [(2, {"a, b": 9.0}), (3, {"lr": 0.5})])
    assert rows(tmp_path / "log.csv") == [
        {"step": "1", "a, b": "0.1", "lr": ""},
        {"step": "2", "a, b": "0.2", "lr": "0.001"},
        {"step": "3", "a, b": "", "lr": "0.5"},
    ]


@pytest.mark.parametrize("cut", range(1, 12))
def test_csv_mends_a_line_that_a_kill_cut_short(tmp_path, cut):
    entries = [(step, {"loss": step / 8}) for step in range(1, 5)]
    logged("csv", tmp_path, 0, entries)
    path = tmp_path / "log.csv"
    whole = path.read_text()
    path.write_text(whole[:-cut])
    logged("csv", tmp_path, 1, entries)
    assert path.read_text() == whole


def test_tensorboard_shows_each_step_once(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (tmp_path / "events.out.tfevents.1.another").write_bytes(b"")
    logged("tensorboard", tmp_path, 0, [(1, {"loss": 9.0})])
    logged("tensorboard", tmp_path, 0, [(1, {"loss": 0.5, "lr": 0.25}), (2, {"loss": 0.25})])
    logged("tensorboard", tmp_path, 1, [(2, {"loss": 9.0}), (3, {"loss": 0.125})])
    assert (tmp_path / "events.out.tfevents.1.another").exists()
    (tmp_path / "events.out.tfevents.1.another").unlink()
    seen = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in seen.Scalars("loss")] == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert seen.Scalars("lr")[0].value == 0.25
    assert b"seed: 3" in seen.Tensors("recipe")[0].tensor_proto.string_val[0]


def test_tensorboard_mends_a_torn_file(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logged("tensorboard", tmp_path, 0, [(1, {"loss": 0.5}), (2, {"loss": 0.25})])
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    logged("tensorboard", tmp_path, 1, [(2, {"loss": 0.25}), (3, {"loss": 0.125})])
    seen = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in seen.Scalars("loss")] == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_mlflow_keeps_one_run_on_this_machine(tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    logged("mlflow", tmp_path, 0, [(1, {"loss": 0.5}), (2, {"loss": 0.25})], experiment="trials")
    logged("mlflow", tmp_path, 1, [(2, {"loss": 9.0}), (3, {"loss": 0.125})], experiment="trials")
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("trials").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "a run"
    assert run.data.params == {"training.seed": "3"}
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == [(1, 0.5), (2, 0.25), (3, 0.125)]


@pytest.mark.slow
def test_mlflow_reports_nothing_home(tmp_path):
    pytest.importorskip("mlflow")
    code = (
        "import sys; from pathlib import Path; from deepwright.families import RunFacts\n"
        "from deepwright.loggers.mlflow import MLflow\n"
        "log = MLflow().open(Path('logs'), RunFacts('a'))\n"
        "from mlflow.telemetry.client import get_telemetry_client\n"
        "import os\n"
        "assert get_telemetry_client() is None and 'MLFLOW_DISABLE_TELEMETRY' not in os.environ, os.environ\n"
        "assert 'torch' not in sys.modules\n"
    )
    # neither the marks by which MLflow knows a test or a CI nor any setting of its own
    hushed = ("PYTEST", "CI", "GITHUB", "MLFLOW", "DO_NOT_TRACK")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hushed)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
