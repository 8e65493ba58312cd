"""The benchmarks: the contenders train the same network, and the page is what the figures say."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
FIGURES = {"rate": 100.0, "whole": 50.0, "seconds": 2.0, "tuneup_seconds": 0.1, "memory": 2**20, "parameters": 10.0, "loss": 0.5}
RUN = FIGURES | {"accuracy": 0.8, "versions": {"torch": "2"}, "notes": {"chosen": {"precision": "fp32", "compile": None}}}


@pytest.fixture
def bench(monkeypatch):
    """Return the modules of bench/, which are scripts and no package."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import engine
    import tasks
    import tuneup

    yield engine, tasks, tuneup
    for name in [name for name in sys.modules if name in ("engine", "tasks", "tuneup", "common") or name.split(".")[0] == "peers"]:
        del sys.modules[name]


def test_ratios_are_to_the_best_of_each_group(bench):
    engine = bench[0]
    rates = {"deepwright": 300.0, "plain": 100.0, "plain_workers": 150.0, "keras": 50.0, "skorch": 200.0, "autogluon": None}
    assert engine.rates({name: {"rate": rate} for name, rate in rates.items()}) == {"plain": 2.0, "peers": 1.5}


def test_a_contender_with_another_network_or_another_result_is_marked(bench):
    engine = bench[0]
    others = {"keras": {"parameters": 11.0}, "skorch": {"loss": 0.6}, "fastai": {"accuracy": 0.7}, "plain": {}, "hand_tuned": {}}
    contenders = {name: {**RUN, **change} for name, change in others.items()} | {
        "deepwright": RUN,
        "autogluon": {**RUN, "loss": 9.0},
    }
    assert engine.unlike(contenders) == {"keras": ["parameters"], "skorch": ["loss"], "fastai": ["accuracy"]}


def test_the_page_holds_rates_ratios_and_marks(bench):
    engine = bench[0]
    contenders = {"deepwright": RUN, "plain": {**RUN, "rate": 40.0}, "keras": {**RUN, "parameters": 11.0, "rate": 80.0}}
    task = {"machine": engine.machine(), "missing": ["fastai"], "rounds": 3, "epochs": 2, "rows": 128, "failed": ["skorch"]}
    page = engine.page({"tasks": {"mlp": task | {"contenders": contenders}}})
    assert "| PyTorch, DataLoader | 40 | 2.50 |" in page
    assert "Keras 3 (torch) (differs: parameters)" in page
    assert "left out: fastai" in page
    assert "Failed: skorch." in page
    # nothing that names the host
    assert set(engine.machine()) == {"cpu", "family", "flags", "cores", "memory_gib", "system", "python"}


def test_the_committed_page_is_that_of_the_committed_figures(bench):
    engine = bench[0]
    if not engine.RESULTS.exists():
        pytest.skip("not measured yet")
    assert engine.PAGE.read_text(encoding="utf-8") == engine.page(json.loads(engine.RESULTS.read_text(encoding="utf-8")))


def test_every_choice_of_the_tune_up_is_pinned_in_turn(bench):
    _, tasks, tuneup = bench
    from deepwright.mappings import override
    from deepwright.recipe import Recipe

    for name in ("mlp", "resnet18"):
        task = tasks.TASKS[name]
        pinned = tuneup.pinned(task)
        recipes = [Recipe.parse(override(task.recipe(1, 0), settings)).training for settings in pinned.values()]
        keys = tuneup.choices(task)
        assert "precision" in keys
        assert len({tuple(getattr(training, key) for key in keys) for training in recipes}) == len(pinned)
        assert all(getattr(training, key) not in ("auto", None) for training in recipes[1:] for key in keys)


def test_the_verdict_compares_with_the_best_and_counts_the_cost(bench):
    tuneup = bench[2]
    auto = {"rate": 90.0, "tuneup_seconds": 1.0, "seconds": 50.0, "runs": [RUN]}
    found = tuneup.verdict({"auto": auto, "a": {"rate": 100.0}, "b": {"rate": 80.0}})
    assert (found["best"], found["ratio"], found["cost"]) == ("a", 0.9, 0.02)
    twin = tuneup.verdict({"auto": auto, "precision=fp32 compile=None": {"rate": 96.0}, "precision=bf16": {"rate": 100.0}})
    assert twin["ratio"] == 0.96, "what was chosen is judged by its own measurement, not by the tune-up's run"


@pytest.mark.slow
def test_contenders_in_processes_of_their_own_train_the_same_network(bench, tmp_path):
    engine, tasks, _ = bench
    arrays = tmp_path / "mlp.npz"
    tasks.encode(tasks.TASKS["mlp"], tmp_path, arrays, 1280)
    more = ["--rows=1280", "--epochs=2"]
    runs = {name: engine.run(name, "mlp", arrays, tmp_path, 0, more) for name in ("deepwright", "plain", "hand_tuned")}
    assert {run["parameters"] for run in runs.values()} == {32 * 256 + 256 + 256 * 256 + 256 + 256 + 1}
    assert {run["epochs"] for run in runs.values()} == {2}
    assert all(run["rate"] > 0 and run["memory"] > 0 for run in runs.values())
    assert engine.unlike(runs) == {}


def test_a_contender_that_fails_does_not_stop_the_others(bench, monkeypatch, tmp_path):
    engine = bench[0]

    def run(contender, *more):
        if contender == "keras":
            raise ChildProcessError("keras failed")
        return RUN

    monkeypatch.setattr(engine, "run", run)
    options = SimpleNamespace(data=tmp_path, rounds=2, epochs=2, rows=256, settings=[])
    found = engine.measure("mlp", ["deepwright", "keras", "plain"], ["fastai"], options)
    assert found["missing"] == ["fastai"]
    assert found["failed"] == ["Keras 3 (torch)"]
    assert [len(each["runs"]) for each in found["contenders"].values()] == [2, 2]


def test_the_page_is_written_again_without_data(bench, monkeypatch, tmp_path):
    engine = bench[0]
    results = {"tasks": {}}
    (tmp_path / "engine.json").write_text(json.dumps(results))
    monkeypatch.setattr(engine, "RESULTS", tmp_path / "engine.json")
    monkeypatch.setattr(engine, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(sys, "argv", ["engine.py", "--table"])
    engine.main()
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == engine.page(results)


def test_tasks_that_are_not_run_stay_in_the_file(bench, monkeypatch, tmp_path):
    engine = bench[0]
    monkeypatch.setattr(engine, "run", lambda *_: RUN)
    monkeypatch.setattr(engine, "encode", lambda *_: None)
    out = tmp_path / "out.json"
    for task, rounds in (("toy", 1), ("mlp", 1), ("toy", 2)):
        words = ["engine.py", str(tmp_path), task, "--only", "plain", "--rounds", str(rounds), "--out", str(out)]
        monkeypatch.setattr(sys, "argv", words)
        engine.main()
    found = json.loads(out.read_text())["tasks"]
    assert list(found) == ["mlp", "toy"]
    assert [each["rounds"] for each in found.values()] == [1, 2]
    assert all(each["machine"] == engine.machine() for each in found.values())


@pytest.mark.slow
def test_rows_that_need_not_fit_into_memory_are_measured(tmp_path):
    out = tmp_path / "out.json"
    command = [sys.executable, str(ROOT / "bench" / "large.py"), str(tmp_path), "--rows", "2000", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = json.loads(out.read_text())
    assert found["rows"] == 2000
    assert found["encode_seconds"] > 0
    assert found["peak_mb"] > found["imports_mb"]
