"""Several processes train the model that one process trains, and go on when one of them is lost."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from safetensors.numpy import load_file

import deepwright as dw
from deepwright.bundle import Bundle
from deepwright.engine.parallel import World
from deepwright.errors import DataError, RecipeError, TrainingError, UsageError
from deepwright.recipe import Recipe
from deepwright.steps.launch import launch
from deepwright.steps.places import Place, environment, free_port
from deepwright.steps.predict import predict
from deepwright.steps.train import train
from deepwright.table import Table

PINNED = {"precision": "fp32", "layout": "contiguous", "compile": "off", "threads": 1, "prefetch": 0, "device": "cpu"}
TABLE = {
    # everything at once that a part of a batch could get wrong: its statistics, weights, unknown targets, penalties
    "data": {"source": "people.csv", "weight": "w"},
    "outputs": {"rich": "binary", "pay": {"type": "number", "weight": 0.3}},
    "tabular": {"type": "mlp", "hidden": [16, 16], "normalization": "batch", "dropout": 0},
    "training": {**PINNED, "epochs": 2, "batch": 61, "accumulate": 3, "multitask": "uncertainty", "l2": 0.001, "clip": 1.0},
}
PICTURES = {
    "data": {"source": "pictures"},
    "inputs": {"image": {"type": "image", "encoder": {"type": "cnn", "width": 8}, "augment": ["flip", "crop"]}},
    "outputs": {"label": "category"},
    "training": {**PINNED, "steps": 3, "batch": 13, "mixup": 0.2, "optimizer": "sgd", "prefetch": 2},
}
KILLED = {
    **TABLE,
    "tabular": {"type": "mlp", "hidden": [16], "normalization": "batch", "dropout": 0.2},
    "training": {**PINNED, "epochs": 60, "batch": 64, "patience": 0, "checkpoint_every": 0.001},
}
EACH = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from deepwright.blocks.synchronized import synchronize
from deepwright.engine import parallel
from deepwright.engine.parallel import World, joined
from deepwright.errors import DataError
from deepwright.recipe import Recipe
from deepwright.steps.train import train

parallel.BUCKET = 512  # several buckets, sent while the backward pass goes on
for name in ("table", "pictures"):
    train(Recipe.load(name + ".yaml"), out=Path("two-" + name))

with joined() as world:
    torch.manual_seed(0)
    x = torch.randn(7, 3, 5, 5, dtype=torch.float64) + 3
    weight = torch.randn_like(x)
    norm = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).double()
    alone = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).double()
    synchronize(norm, world.sum)
    mine = slice(0, 3) if world.leads else slice(3, 7)
    whole, part = x.clone().requires_grad_(), x[mine].clone().requires_grad_()
    (alone(whole) ** 2 * weight).sum().backward()
    (norm(part) ** 2 * weight[mine]).sum().backward()
    torch.testing.assert_close(part.grad, whole.grad[mine])
    torch.testing.assert_close(world.sum(norm[0].weight.grad), alone[0].weight.grad)
    torch.testing.assert_close(norm[0].running_var, alone[0].running_var)
    assert list(norm.state_dict()) == list(alone.state_dict())
    assert world.agree({"rank": world.rank}) == {"rank": 0}
    assert world.send(b"" if world.leads else None) == b""

with joined() as world:
    if not world.leads:
        raise DataError("E206", "only the second process sees it")
    world.wait()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of recipes and data."""
    path = tmp_path_factory.mktemp("parallel")
    rng = np.random.default_rng(0)
    age, work = rng.integers(17, 90, 200), rng.choice(["office", "field", "home"], 200)
    score = 0.05 * (age - 45) + 1.5 * (work == "office") + rng.normal(0, 0.7, 200)
    pay = [None if i % 3 == 0 else float(v) for i, v in enumerate((1000 + 200 * score).round(2))]
    rich = np.where(score > 0.8, "yes", "no")
    people = pl.DataFrame({"age": age, "work": work, "rich": rich, "pay": pay, "w": rng.integers(1, 4, 200)})
    people.write_csv(path / "people.csv")
    for label in ("bright", "dark"):
        (path / "pictures" / label).mkdir(parents=True)
        for index in range(30):
            pixels = rng.integers(0, 120, (12, 12)) + (130 if label == "bright" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(path / "pictures" / label / f"{index}.png")
    sharded = {**TABLE, "training": {**TABLE["training"], "parallel": "sharded"}}
    for name, recipe in {"table": TABLE, "sharded": sharded, "pictures": PICTURES, "killed": KILLED}.items():
        (path / f"{name}.yaml").write_text(json.dumps(recipe))
    return path


def run_two(folder, script):
    """Run a script in two processes as torchrun would; return their exit codes and what they wrote to stderr."""
    port = free_port()
    source = str(Path(dw.__file__).parents[1])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": source, **environment(rank, rank, 2, "127.0.0.1", port, 1)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [process.communicate(timeout=300)[1] for process in processes]
    return [process.returncode for process in processes], told


def far(one, other):
    """Return the largest difference of two bundles' weights, in units of 1 + |weight|."""
    ours, theirs = (load_file(path / "weights.safetensors") for path in (one, other))
    assert set(ours) == set(theirs)
    return max(float((np.abs(ours[k].astype(np.float64) - theirs[k]) / (1 + np.abs(theirs[k]))).max()) for k in ours)


def digest(path):
    return hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()


def test_a_batch_is_divided_among_the_processes_part_by_part():
    for rows, parts, size in ((61, 3, 2), (8, 2, 3), (7, 1, 7), (10, 1, 1)):
        shares = [World(rank, size).shares(rows, parts) for rank in range(size)]
        assert [i for part in zip(*shares, strict=True) for share in part for i in share] == list(range(rows))
        assert all(len(share) for each in shares for share in each)


def test_two_processes_train_the_model_of_one(folder, monkeypatch):
    codes, told = run_two(folder, EACH)
    monkeypatch.chdir(folder)
    # the error that the second process alone saw, told once, ends both
    assert codes[1] == 1
    assert codes[0] != 0
    assert "only the second process sees it" in told[1]
    assert "Error" not in told[0], told[0]
    for name, allowed in (("table", 1e-5), ("pictures", 1e-5)):
        one = train(Recipe.load(f"{name}.yaml"), out=folder / f"one-{name}")
        two = folder / f"two-{name}"
        assert far(one, two) < allowed
        logs = [[json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()] for path in (one, two)]
        for ours, theirs in zip(*logs, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-4, rel=1e-5)
        assert Bundle.open(two).manifest["lineage"]["processes"] == 2


def test_places():
    assert Place.parse("local:2") == Place("local", 2)
    assert Place.parse("ray") == Place("ray")
    assert Place.parse("ray:3") == Place("ray", 3)
    assert Place.parse("ray://head:10001/8") == Place("ray", 8, "ray://head:10001")
    for wrong in ("local", "local:0", "ray:x", "ray://head", "moon"):
        with pytest.raises(UsageError, match="place to run on"):
            Place.parse(wrong)


def kill_one(signal_after):
    """Return a listener that kills a worker of this process when an epoch is reached, and what it heard."""
    heard = []

    def listen(event):
        heard.append(event)
        if event.stage == "training" and event.values["epoch"] >= signal_after and not any(e.stage == "killed" for e in heard):
            heard.append(type(event)("killed", ""))
            os.kill(workers_of(os.getpid())[-1], signal.SIGKILL)

    return listen, heard


def workers_of(parent):
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text, command = status.read_text(), (status.parent / "cmdline").read_text()
        except OSError:
            continue
        if f"PPid:\t{parent}\n" in text and "deepwright.steps.worker" in command:
            found.append(int(status.parent.name))
    return sorted(found)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.parametrize("parallel", ["data", "sharded"])
def test_a_worker_is_killed_and_the_run_ends_with_the_same_weights(folder, tmp_path, monkeypatch, parallel):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = [f"training.parallel={parallel}", "training.epochs=30"]
    whole = dw.train("killed.yaml", out=tmp_path / "whole", settings=settings, on="local:2", listener=lambda event: None)
    listen, heard = kill_one(signal_after=6)
    again = dw.train("killed.yaml", out=tmp_path / "again", settings=settings, on="local:2", listener=listen)
    stages = [event.stage for event in heard]
    assert "killed" in stages
    assert "resume" in stages
    assert any("ended by signal 9" in event.text for event in heard if event.stage == "warning")
    assert digest(again.path) == digest(whole.path)
    assert (again.path / "log.jsonl").read_text() == (whole.path / "log.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_run_is_given_up_and_goes_on_in_one_process(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    listen, _ = kill_one(signal_after=6)
    with pytest.raises(TrainingError) as error:
        dw.train("killed.yaml", out=tmp_path / "m", on="local:2", restarts=0, listener=listen)
    assert error.value.code == "E406"
    heard = []
    dw.train("killed.yaml", out=tmp_path / "m", listener=heard.append)
    assert any("began with 2 processes" in event.text for event in heard if event.stage == "warning")


@pytest.mark.slow
def test_sharded_weights_become_a_bundle_that_one_process_opens(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    one = train(Recipe.load("table.yaml"), out=tmp_path / "one")
    two = dw.train("sharded.yaml", out=tmp_path / "two", on="local:2", listener=lambda event: None)
    assert far(one, two.path) < 1e-5
    table = Table(pl.read_csv("people.csv"), "people.csv")
    ours, theirs = (predict(path, table)["rich:yes"].to_numpy() for path in (one, two.path))
    assert np.abs(ours - theirs).max() < 1e-5
    with pytest.raises(RecipeError, match="muon orthogonalises whole matrices"):
        dw.train(
            "sharded.yaml", settings=["training.optimizer=muon"], out=tmp_path / "m", on="local:2", listener=lambda event: None
        )


@pytest.mark.slow
def test_rows_from_memory_and_errors_reach_the_workers_and_come_back(folder, tmp_path):
    table = Table(pl.read_csv(folder / "people.csv"), "people")
    quick = ["training.epochs=1", "data.source=null"]
    model = dw.train(table, recipe=folder / "table.yaml", settings=quick, out=tmp_path / "m", on="local:2", listener=lambda e: None)
    assert model.bundle.manifest["lineage"]["processes"] == 2
    constant = table.with_frame(table.frame.with_columns(pl.lit("no").alias("rich")))
    with pytest.raises(DataError) as error:
        dw.train(constant, recipe=folder / "table.yaml", settings=quick, out=tmp_path / "n", on="local:2", listener=lambda e: None)
    assert error.value.code == "E403"
    assert not (tmp_path / "n").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_trains_the_same_and_survives_a_killed_worker(folder, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe = Recipe.load("killed.yaml", ["training.epochs=30"])
    given = {"table": None, "target": [], "overwrite": False, "restarts": 3}
    whole = launch(recipe, Place.parse("local:2"), out=tmp_path / "whole", listener=lambda event: None, **given)
    heard = []

    def listen(event):
        heard.append(event)
        workers = [e for e in heard if e.stage == "workers"]
        if event.stage == "training" and event.values["epoch"] >= 6 and len(workers) == 1 and not listen.done:
            listen.done = True
            os.kill(workers[0].values["pids"][1], signal.SIGKILL)

    listen.done = False
    again = launch(recipe, Place.parse("ray:2"), out=tmp_path / "again", listener=listen, **given)
    assert sum(event.stage == "workers" for event in heard) == 2
    assert digest(again) == digest(whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_predicts_what_is_predicted_here(folder, tmp_path):
    pytest.importorskip("ray")
    recipe = Recipe.load(folder / "table.yaml", [f"data.source={folder / 'people.csv'}"])
    path = train(recipe, out=tmp_path / "m")
    people = pl.concat([pl.read_csv(folder / "people.csv")] * 100)
    people.write_parquet(tmp_path / "new.parquet", row_group_size=3000)
    people.write_csv(tmp_path / "new.csv")
    for name in ("new.parquet", "new.csv"):
        assert predict(path, str(tmp_path / name), on="ray:2").equals(predict(path, str(tmp_path / name)))
    with pytest.raises(DataError):
        predict(path, Table(people.select("rich"), "rows"), on="ray:1")
