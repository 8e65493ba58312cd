"""From a recipe to a bundle: exact, resumable, checked, and never half written."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from deepwright.blocks.numbers import PiecewiseLinearEncoding
from deepwright.bundle import Bundle
from deepwright.engine import export as export_module
from deepwright.engine import tuneup
from deepwright.engine.assembly import Encoded, assemble
from deepwright.engine.checkpoint import NAME, load_checkpoint, save_checkpoint
from deepwright.errors import BundleError, DataError, RecipeError, TrainingError
from deepwright.preparation import prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe
from deepwright.steps.evaluate import evaluate
from deepwright.steps.predict import predict
from deepwright.steps.train import train
from deepwright.table import Note, Table

TINY = {
    "tabular": {"type": "tabm", "k": 2, "width": 16, "depth": 1},
    "training": {"epochs": 3, "batch": 64},
    "data": {"drop": ["pay"]},
}


def weights(path):
    return hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()


def tiny(**training):
    return Recipe.parse({**TINY, "training": {**TINY["training"], **training}})


def test_train_evaluate_predict(people, tmp_path):
    events = []
    path = train(tiny(epochs=40), table=people, target=["rich"], out=tmp_path / "m", listener=events.append)
    assert {"data", "model", "training", "stopped", "export", "validation", "bundle"} <= {e.stage for e in events}
    bundle = Bundle.open(path)
    assert {"recipe.yaml", "states.json", "weights.safetensors", "model.onnx", "report.html", "report.json", "log.jsonl"} == set(
        bundle.manifest["files"]
    )
    assert bundle.manifest["export"]["largest_difference"] <= 1e-4
    result = predict(path, people)
    assert result.columns == ["rich", "rich:no", "rich:yes"]
    assert len(result) == 300
    assert np.allclose(result["rich:no"] + result["rich:yes"], 1, atol=1e-5)
    measured = evaluate(path, people).as_json()["metrics"]["rich"]
    assert measured["roc_auc"]["value"] > 0.8
    assert measured["roc_auc"]["low"] < measured["roc_auc"]["value"] < measured["roc_auc"]["high"]
    assert not list(tmp_path.glob("*.partial"))


def test_graph_and_network_predict_the_same(people, tmp_path):
    path = train(tiny(), table=people, target=["rich"], out=tmp_path / "m")
    odd = people.with_frame(people.frame.with_columns(pl.lit("never seen").alias("work"), pl.lit(None, pl.Int64).alias("age")))
    for table in (people, odd):
        ours, theirs = predict(path, table), predict(path, table, engine="torch")
        assert np.abs(ours["rich:yes"].to_numpy() - theirs["rich:yes"].to_numpy()).max() < 1e-5


def test_the_resolved_recipe_run_twice_gives_the_same_bits(people, tmp_path):
    first = train(tiny(), table=people, target=["rich"], out=tmp_path / "a")
    resolved = Bundle.open(first).recipe
    second = train(resolved, table=people, out=tmp_path / "b")
    third = train(resolved, table=people, out=tmp_path / "c")
    assert weights(first) == weights(second) == weights(third)
    assert Bundle.open(second).recipe == resolved
    other = train(resolved.replace(training={"seed": 1}), table=people, out=tmp_path / "d")
    assert weights(other) != weights(first)


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop_after", [1, 4, 7])
def test_a_stopped_run_goes_on_to_the_same_bits(people, tmp_path, stop_after):
    """Stop by an exception from inside the loop, with a checkpoint after every step."""
    recipe = tiny(patience=0, checkpoint_every=1e-6)
    whole = train(recipe, table=people, target=["rich"], out=tmp_path / "whole")
    seen = []

    def stop(event):
        if event.stage == "training":
            seen.append(event.values["step"])
            if event.values["step"] >= stop_after:
                raise _StopError

    with pytest.raises(_StopError):
        train(recipe, table=people, target=["rich"], out=tmp_path / "m", listener=stop)
    assert not (tmp_path / "m").exists()
    assert (tmp_path / "m.partial" / NAME).exists()
    events = []
    path = train(recipe, table=people, target=["rich"], out=tmp_path / "m", listener=events.append)
    assert any(e.stage == "resume" for e in events)
    assert weights(path) == weights(whole)
    assert (path / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()
    assert not (tmp_path / "m.partial").exists()


@pytest.mark.parametrize("average", ["ema", "swa", "lookahead"])
def test_what_is_averaged_frozen_and_logged_goes_on_to_the_same_bits(people, tmp_path, average):
    rates = {"tabular": {"lr": 0.5, "layer_decay": 0.8, "gradual": 0.5}}
    recipe = tiny(
        average=average, rates=rates, accumulate=2, evaluate_every=0.5, gradient_checkpointing=True, loggers=["csv"], prefetch=1,
        patience=0, checkpoint_every=1e-6,
    )  # fmt: skip
    whole = train(recipe, table=people, target=["rich"], out=tmp_path / "whole")
    assert len((whole / "log.jsonl").read_text().splitlines()) > 3

    def stop(event):
        if event.stage == "training" and event.values["step"] >= 5:
            raise _StopError

    with pytest.raises(_StopError):
        train(recipe, table=people, target=["rich"], out=tmp_path / "m", listener=stop)
    path = train(recipe, table=people, target=["rich"], out=tmp_path / "m")
    assert weights(path) == weights(whole)
    assert (path / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()
    assert (tmp_path / "m.logs/csv/log.csv").read_text() == (tmp_path / "whole.logs/csv/log.csv").read_text()
    assert len(predict(path, people)) == 300


def test_micro_batches_make_the_same_step(people, tmp_path):
    """Rows without a target, row weights: what a step sums up does not depend on how it is cut."""
    odd = people.with_frame(people.frame.with_columns(pl.when(pl.col("age") > 30).then(pl.col("rich")).alias("rich")))
    bundles = []
    for parts in (1, 5):
        recipe = Recipe.parse({**TINY, "tabular": {"type": "mlp", "hidden": [16], "dropout": 0}, "data": {"weight": "gain"}})
        recipe = recipe.replace(training={"epochs": 2, "batch": 64, "accumulate": parts, "patience": 0})
        out = tmp_path / str(parts)
        bundles.append(load_file(train(recipe, table=odd, target=["rich", "pay"], out=out) / "weights.safetensors"))
    for name, value in bundles[0].items():
        assert np.allclose(value, bundles[1][name], atol=2e-5), name


def test_a_killed_process_leaves_no_bundle_and_goes_on(people, tmp_path):
    people.frame.write_csv(tmp_path / "people.csv")
    recipe = tmp_path / "r.yaml"
    tiny(epochs=150, patience=0, checkpoint_every=0.01).save(recipe)
    command = [
        sys.executable,
        "-c",
        (
            "import sys; from pathlib import Path; from deepwright.recipe import Recipe; from deepwright.steps.train import train\n"
            "recipe = Recipe.load('r.yaml', ['data.source=people.csv'])\n"
            "train(recipe, target=['rich'], out=Path('m'), listener=lambda e: print(e.stage, e.text, flush=True))"
        ),
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    for line in process.stdout:
        if line.startswith("training") and "epoch 9/" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "m").exists()
    again = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert "resume" in again.stdout
    Bundle.open(tmp_path / "m")


def test_another_recipe_does_not_resume(people, tmp_path):
    def stop(event):
        if event.stage == "training":
            raise _StopError

    with pytest.raises(_StopError):
        train(tiny(), table=people, target=["rich"], out=tmp_path / "m", listener=stop)
    events = []
    train(tiny(seed=5), table=people, target=["rich"], out=tmp_path / "m", listener=events.append)
    assert not any(e.stage == "resume" for e in events)


def test_several_outputs(people, tmp_path):
    recipe = Recipe.parse(
        {
            **TINY,
            "data": {},
            "outputs": {"rich": "binary", "pay": {"type": "number", "weight": 0.3}},
            "training": {"epochs": 2, "multitask": "uncertainty"},
        }
    )
    path = train(recipe, table=people, out=tmp_path / "m")
    assert predict(path, people).columns == ["rich", "rich:no", "rich:yes", "pay"]
    measured = evaluate(path, people).as_json()["metrics"]
    assert set(measured) == {"rich", "pay"}
    # in the column's own units: a prediction of the mean alone is off by the standard deviation
    assert measured["pay"]["rmse"]["value"] < 1.5 * people.frame["pay"].std()


def test_a_missing_target_among_several_is_masked(people, tmp_path):
    frame = people.frame.with_columns(pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("pay")).alias("pay"))
    recipe = Recipe.parse({**TINY, "data": {}, "outputs": {"rich": "binary", "pay": "number"}, "training": {"epochs": 1}})
    path = train(recipe, table=people.with_frame(frame), out=tmp_path / "m")
    tensors = load_file(path / "weights.safetensors")
    assert all(np.isfinite(value).all() for value in tensors.values())


def test_weights_and_balance(people, tmp_path):
    weighted = people.with_frame(people.frame.with_columns((pl.int_range(pl.len()) % 2).alias("w")))
    recipe = Recipe.parse({**TINY, "data": {"drop": ["pay"], "weight": "w"}})
    for balance in ("none", "weights", "resample"):
        path = train(recipe.replace(training={"balance": balance}), table=weighted, target=["rich"], out=tmp_path / balance)
        assert "w" not in Bundle.open(path).recipe.inputs
    assert len({weights(tmp_path / name) for name in ("none", "weights", "resample")}) == 3
    negative = people.with_frame(people.frame.with_columns(pl.lit(-1.0).alias("w")))
    with pytest.raises(DataError, match="row weights"):
        train(recipe, table=negative, target=["rich"], out=tmp_path / "x")


def test_selection_is_written_into_the_recipe(people, tmp_path):
    noisy = people.with_frame(people.frame.with_columns(pl.Series("noise", np.random.default_rng(1).normal(size=300))))
    recipe = Recipe.parse({**TINY, "data": {"drop": ["pay"], "select": {"keep": 3}}})
    events = []
    path = train(recipe, table=noisy, target=["rich"], out=tmp_path / "m", listener=events.append)
    resolved = Bundle.open(path).recipe
    assert list(resolved.inputs) == ["age", "work", "gain"]
    assert resolved.data.select is None
    assert any("noise" in e.text for e in events if e.stage == "clean")


def test_derived_columns_are_made_again_when_predicting(people, tmp_path):
    recipe = Recipe.parse({**TINY, "data": {"drop": ["pay"], "derive": {"kind": "cross(work, rich)", "log_gain": "log1p(gain)"}}})
    recipe = recipe.replace(data={"derive": {"log_gain": "log1p(gain)"}})
    path = train(recipe, table=people, target=["rich"], out=tmp_path / "m")
    assert "log_gain" in Bundle.open(path).recipe.inputs
    assert len(predict(path, people.with_frame(people.frame.drop("rich", "pay")))) == 300


def test_a_budget_becomes_steps(people, tmp_path):
    path = train(
        Recipe.parse({**TINY, "training": {"budget": "2s", "batch": 32}}), table=people, target=["rich"], out=tmp_path / "m"
    )
    training = Bundle.open(path).recipe.training
    assert training.budget is None
    assert training.steps > 1
    began = time.monotonic()
    again = train(Bundle.open(path).recipe, table=people, out=tmp_path / "n")
    assert weights(again) == weights(path)
    assert time.monotonic() - began < 60


def test_a_loss_that_explodes_is_named(people, tmp_path):
    with pytest.raises(TrainingError) as error:
        train(tiny(optimizer={"type": "sgd", "lr": 1e18}), table=people, target=["pay"], out=tmp_path / "m")
    assert error.value.code == "E401"
    assert "learning rate" in str(error.value)
    assert not (tmp_path / "m").exists()


def test_a_graph_that_disagrees_is_refused_loudly(people, tmp_path, monkeypatch):
    real = export_module.OnnxBackend.run
    monkeypatch.setattr(export_module.OnnxBackend, "run", lambda self, arrays: {k: v + 0.01 for k, v in real(self, arrays).items()})
    events = []
    path = train(tiny(), table=people, target=["rich"], out=tmp_path / "m", listener=events.append)
    assert any(e.stage == "warning" and e.values["code"] == "E501" for e in events)
    bundle = Bundle.open(path)
    assert not bundle.has("model.onnx")
    assert bundle.manifest["export"]["graph"] is False
    with pytest.raises(BundleError) as error:
        predict(path, people, engine="onnx")
    assert error.value.code == "E305"
    assert len(predict(path, people)) == 300


def test_the_tune_up_refuses_wrong_numbers(people, tmp_path, monkeypatch, two_threads):
    monkeypatch.setattr(tuneup, "bf16_supported", lambda device: True)
    monkeypatch.setattr(tuneup, "SHARE", 1e9)
    real = tuneup.backward
    monkeypatch.setattr(
        tuneup, "backward", lambda task, batch: real(task, batch) * (1.5 if task.settings.precision == "bf16" else 1)
    )
    events = []
    recipe = tiny(epochs=60, compile="off")
    path = train(recipe, table=people, target=["rich"], out=tmp_path / "m", listener=events.append)
    training = Bundle.open(path).recipe.training
    assert training.precision == "fp32"
    tried = next(e.values["tried"] for e in events if e.stage == "machine")
    wrong = [c for c in tried if c["precision"] == "bf16"]
    assert len(wrong) == 1
    assert not wrong[0]["agrees"]
    assert "differs from plain fp32" in wrong[0]["reason"]
    assert len(tried) > 2
    assert all(c["agrees"] for c in tried if c["precision"] == "fp32")
    assert sum(c["chosen"] for c in tried) == 1


def test_a_candidate_must_be_faster_than_the_best_measured_again(people, tmp_path, monkeypatch, two_threads):
    """What was slow only while the machine was busy is not replaced."""
    measured = []

    def measure(task, choice, truth, hopeless=math.inf):
        # The first choice is measured while the machine is busy, and then again.
        busy = choice.threads == 2 and not measured
        measured.append(choice.threads)
        return tuneup.Candidate(choice, 0.002 if busy else 0.001 * (1.2 if choice.threads == 1 else 1), 0.0)

    monkeypatch.setattr(tuneup, "_measure", measure)
    monkeypatch.setattr(tuneup, "SHARE", 1e9)
    monkeypatch.setenv("DEEPWRIGHT_CACHE", "off")
    recipe = tiny(epochs=60, compile="off", precision="fp32", prefetch=0)
    path = train(recipe, table=people, target=["rich"], out=tmp_path / "m")
    assert measured == [2, 1, 2]
    assert Bundle.open(path).recipe.training.threads == 2


def test_pinned_products_train_and_leave_the_same_kind_of_bundle(tmp_path, monkeypatch):
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("emulated bf16 takes minutes")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype(np.uint8)
    table = pl.DataFrame({"image": pixels, "dark": [str(bool(each.mean() < 128)) for each in pixels]})
    weights = {}
    for how in ("direct", "products"):
        recipe = Recipe.parse(
            {
                "inputs": {"image": {"type": "image", "encoder": {"type": "cnn", "channels": [8, 16]}, "augment": []}},
                "outputs": {"dark": "binary"},
                "training": {"batch": 16, "seed": 0, "epochs": 1, "precision": "bf16", "weight_gradients": how},
            }
        )
        path = train(recipe, table=Table(table), out=tmp_path / how)
        bundle = Bundle.open(path)
        assert bundle.recipe.training.weight_gradients == how
        assert bundle.has("model.onnx")
        weights[how] = load_file(path / "weights.safetensors")
    assert weights["direct"].keys() == weights["products"].keys()
    for name, value in weights["direct"].items():
        np.testing.assert_allclose(weights["products"][name], value, rtol=0.1, atol=0.02)


def test_what_cannot_be_computed_is_refused_and_told(people, tmp_path, monkeypatch):
    monkeypatch.setattr(tuneup, "bf16_supported", lambda device: True)
    monkeypatch.setattr(tuneup, "SHARE", 1e9)
    real = tuneup.backward

    def backward(task, batch):
        if task.settings.precision == "bf16":
            raise RuntimeError("no kernel for this\nand a long trace")
        return real(task, batch)

    monkeypatch.setattr(tuneup, "backward", backward)
    before, events = torch.get_num_threads(), []
    recipe = tiny(epochs=60, compile="off", batch=48)
    path = train(recipe, table=people, target=["rich"], out=tmp_path / "m", listener=events.append)
    tried = next(e.values["tried"] for e in events if e.stage == "machine")
    (refused,) = [c for c in tried if c["precision"] == "bf16"]
    assert refused["reason"] == "no kernel for this"
    json.dumps(tried, allow_nan=False)
    json.loads((path / "report.json").read_text(), parse_constant=pytest.fail)
    assert Bundle.open(path).recipe.training.precision == "fp32"
    assert torch.get_num_threads() == before


def test_pictures_begin_with_bf16_where_it_is_computed_and_agrees(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype(np.uint8)
    table = pl.DataFrame({"image": pixels, "dark": [str(bool(each.mean() < 128)) for each in pixels]})
    monkeypatch.setenv("DEEPWRIGHT_CACHE", "off")  # what one run measured, the next would know
    monkeypatch.setattr(tuneup, "bf16_supported", lambda device: True)
    real = tuneup.backward

    def run(name, factor, **settings):
        monkeypatch.setattr(
            tuneup, "backward", lambda task, batch: real(task, batch) * (factor if task.settings.precision == "bf16" else 1)
        )
        recipe = Recipe.parse(
            {
                "inputs": {
                    "image": {"type": "image", "encoder": {"type": "cnn", "channels": [8, 16], "norm": "none"}, "augment": []}
                },
                "outputs": {"dark": "binary"},
                "training": {"batch": 16, "seed": 0, "compile": "off", "prefetch": 0, "threads": 1, "weight_gradients": "direct"}
                | settings,
            }
        )
        events = []
        path = train(recipe, table=Table(table), out=tmp_path / name, listener=events.append)
        tried = [c for e in events if e.stage == "machine" for c in e.values["tried"]]
        return Bundle.open(path).recipe.training, tried

    monkeypatch.setattr(tuneup, "SHARE", 0.0)  # nothing is asked beside the first choice
    training, tried = run("agrees", 1.0, steps=80)
    assert (training.precision, training.layout, len(tried)) == ("bf16", "channels_last", 1)
    training, tried = run("wrong", 1.5, steps=80)
    assert (training.precision, training.layout, len(tried)) == ("fp32", "contiguous", 2)
    assert [c["agrees"] for c in tried] == [False, True]
    training, tried = run("declared", 1.5, steps=80, precision="bf16", layout="channels_last")
    assert (training.precision, len(tried)) == ("bf16", 0)
    # A run too short to be measured takes no numbers on trust.
    training, tried = run("short", 1.0, steps=20)
    assert (training.precision, len(tried)) == ("fp32", 0)


@pytest.mark.parametrize("epochs", [2, 60])
def test_compilation_without_a_compiler_is_told(people, tmp_path, epochs):
    import torch._inductor.config as inductor

    torch.compiler.reset()
    with inductor.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}), pytest.raises(RecipeError) as error:
        train(tiny(epochs=epochs, compile="on"), table=people, target=["rich"], out=tmp_path / "m")
    assert error.value.code == "E106"
    assert "training.compile" in str(error.value)
    assert not (tmp_path / "m").exists()


def test_an_interrupted_tune_up_leaves_the_threads_as_they_were(people, tmp_path, monkeypatch):
    def interrupted(task, batch):
        torch.set_num_threads(before + 1)
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    monkeypatch.setattr(tuneup, "backward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(epochs=60, batch=40), table=people, target=["rich"], out=tmp_path / "m")
    assert torch.get_num_threads() == before


def test_a_measurement_is_remembered(people, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPWRIGHT_CACHE", str(tmp_path / "cache"))
    recipe = tiny(epochs=60, compile="off", patience=0)
    told = []
    paths = [train(recipe, table=people, target=["rich"], out=tmp_path / name, listener=lambda e: told.append(e)) for name in "ab"]
    first, second = [event for event in told if event.stage == "machine"]
    assert "tried" in first.text
    assert "as measured before" in second.text
    assert first.values == second.values
    assert weights(paths[0]) == weights(paths[1])
    train(recipe.replace(training={"batch": 32}), table=people, target=["rich"], out=tmp_path / "c", listener=told.append)
    assert "tried" in [event for event in told if event.stage == "machine"][2].text


def test_an_existing_output_is_refused_before_any_work(people, tmp_path):
    train(tiny(), table=people, target=["rich"], out=tmp_path / "m")
    events = []
    with pytest.raises(BundleError) as error:
        train(tiny(), table=people, target=["rich"], out=tmp_path / "m", listener=events.append)
    assert error.value.code == "E303"
    assert not events


@pytest.mark.parametrize(
    ("change", "target", "code"),
    [
        (lambda f: f.head(5), "rich", "E402"),
        (lambda f: f.with_columns(pl.lit("no").alias("rich")), "rich", "E403"),
        (lambda f: f.with_columns(pl.lit(None, pl.String).alias("rich")), "rich", "E403"),
        (lambda f: f, "ric", "E107"),
        (lambda f: f.select("rich", "pay"), "rich", "E106"),
        (
            lambda f: f.with_columns(pl.when(pl.col("gain") == 0).then(float("inf")).otherwise(pl.col("age")).alias("age")),
            "rich",
            "E221",
        ),
    ],
)
def test_data_that_cannot_be_learnt_from(people, tmp_path, change, target, code):
    with pytest.raises((DataError, RecipeError)) as error:
        train(tiny(), table=people.with_frame(change(people.frame)), target=[target], out=tmp_path / "m")
    assert error.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_test_rows_and_unseen_labels(people, tmp_path):
    people.frame.with_columns(pl.col("rich") + ".").write_csv(tmp_path / "test.csv")
    recipe = Recipe.parse({**TINY, "data": {"drop": ["pay"], "test": str(tmp_path / "test.csv")}})
    with pytest.raises(DataError) as error:
        train(recipe, table=people, target=["rich"], out=tmp_path / "m")
    assert error.value.code == "E214"
    assert "strip" in str(error.value)
    mended = Recipe.parse(
        {**TINY, "data": {"drop": ["pay"], "test": str(tmp_path / "test.csv"), "clean": {"rich": {"strip": "."}}}}
    )
    path = train(mended, table=people, target=["rich"], out=tmp_path / "m")
    assert Bundle.open(path).manifest["evaluated_on"] == "test.csv"
    assert evaluate(path).rows == 300


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_any_damage_to_the_newest_checkpoint_is_noticed(tmp_path_factory, place, bit, cut):
    folder = tmp_path_factory.mktemp("checkpoints")
    for step in (1, 2):
        save_checkpoint(folder, {"step": step, "weight": torch.arange(20.0)})
    newest = folder / NAME
    data = bytearray(newest.read_bytes())
    where = int(place * len(data))
    if cut:
        del data[where:]
    else:
        data[where] ^= 1 << bit
    newest.write_bytes(data)
    state, skipped = load_checkpoint(folder)
    assert state["step"] == 1
    assert skipped == [f"{NAME} is damaged (its hash does not match); the one before it is used"]


def test_checkpoints_hold_everything_and_survive_damage(tmp_path):
    state = {
        "a": torch.arange(6.0).reshape(2, 3),
        "list": [1, 2.5, None, "x", {"k": torch.ones(2, dtype=torch.uint8)}],
        "inf": float("inf"),
        3: {"n": True},
    }
    save_checkpoint(tmp_path, {**state, "step": 1})
    save_checkpoint(tmp_path, {**state, "step": 2})
    loaded, skipped = load_checkpoint(tmp_path)
    assert not skipped
    assert loaded["step"] == 2
    assert torch.equal(loaded["a"], state["a"])
    assert torch.equal(loaded["list"][4]["k"], torch.ones(2, dtype=torch.uint8))
    assert loaded[3] == {"n": True}
    assert loaded["inf"] == float("inf")
    newest = tmp_path / NAME
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    loaded, skipped = load_checkpoint(tmp_path)
    assert loaded["step"] == 1
    assert "damaged" in skipped[0]
    (tmp_path / NAME).with_suffix(".safetensors.1").write_bytes(b"torn")
    with pytest.raises(TrainingError) as error:
        load_checkpoint(tmp_path)
    assert error.value.code == "E404"
    assert load_checkpoint(tmp_path / "none") is None


def test_a_bundle_holds_no_code_and_no_pickle(people, tmp_path):
    path = train(tiny(), table=people, target=["rich"], out=tmp_path / "m")
    assert {file.suffix for file in path.iterdir()} == {".json", ".yaml", ".onnx", ".safetensors", ".html", ".jsonl"}
    text = "".join(f.read_text() for f in path.iterdir() if f.suffix in {".json", ".yaml", ".jsonl"})
    assert str(Path.cwd()) not in text
    assert json.loads((path / "manifest.json").read_text())["lineage"]["rows"]["train"] == 255


def test_memory_tables_of_every_kind(people, tmp_path):
    import deepwright as dw

    pandas = people.frame.to_pandas()
    model = dw.train(pandas, target="rich", recipe=TINY, out=tmp_path / "m", listener=lambda event: None)
    assert type(model.predict(pandas)).__module__.startswith("pandas")
    for data in (people.frame, people.frame.to_dict(as_series=False), people.frame.to_arrow(), Table(people.frame)):
        assert model.predict(data)["rich"].to_list() == model.predict(pandas)["rich"].to_list()
    assert model.predict({"age": [40]}).height == 1
    assert "roc_auc" in model.metrics["rich"]
    assert "rich" in repr(model)
    assert "<table>" in model._repr_html_()


def test_all_rows_can_train(people, tmp_path):
    recipe = Recipe.parse({**TINY, "data": {"drop": ["pay"], "split": {"validation": 0}}})
    path = train(recipe, table=people, target=["rich"], out=tmp_path / "m")
    manifest = Bundle.open(path).manifest
    assert manifest["lineage"]["rows"]["train"] == 300
    assert manifest["evaluated_on"].startswith("train rows")
    assert json.loads((path / "report.json").read_text())["best"] == 2


def test_the_source_of_training_says_how_later_files_are_read(people, tmp_path):
    people.frame.write_csv(tmp_path / "people.csv", include_header=False)
    source = {"type": "csv", "path": str(tmp_path / "people.csv"), "header": False, "names": people.columns}
    path = train(Recipe.parse({**TINY, "data": {"source": source, "drop": ["pay"]}}), target=["rich"], out=tmp_path / "m")
    people.frame.head(7).write_csv(tmp_path / "new.csv", include_header=False)
    assert len(predict(path, str(tmp_path / "new.csv"))) == 7
    # without names a column is known by its place only: one that is missing shifts all others
    shifted = Table(people.frame.drop("age"), "new.csv", (Note("header", "no header"),))
    with pytest.raises(DataError, match="no header"):
        predict(path, shifted)


def test_a_logarithmic_target_is_judged_in_its_own_units(people, tmp_path):
    frame = people.frame.with_columns((pl.col("pay") - pl.col("pay").min()).alias("pay"))
    recipe = Recipe.parse({**TINY, "data": {}, "outputs": {"pay": {"type": "number", "log": True}}})
    result = evaluate(train(recipe, table=people.with_frame(frame), out=tmp_path / "m"), people.with_frame(frame)).outputs["pay"]
    mean = frame["pay"].mean()
    assert result.baseline["rmse"] < 2 * frame["pay"].std()
    assert 0.3 * mean < float(result.baseline_text.removeprefix("always ").replace(",", "")) < 1.5 * mean


def test_mixing_needs_pictures(people, tmp_path):
    with pytest.raises(RecipeError, match="mixup mixes pictures"):
        train(tiny(mixup=0.2), table=people, target=["rich"], out=tmp_path / "m")


@pytest.mark.parametrize("missing", [False, True])
def test_only_rows_that_lack_no_number_are_not_searched_for_missing_ones(people, missing):
    age = pl.col("age").fill_null(30)
    gaps = pl.when(pl.int_range(pl.len()) % 2 == 0).then(None).otherwise(age)
    people = people.with_frame(people.frame.with_columns((gaps if missing else age).alias("age")))
    data = {"columns": "declared", "split": {"validation": 0}}
    recipe = Recipe.parse({**TINY, "inputs": {"age": "number"}, "outputs": {"rich": "category"}, "data": data})
    prepared = prepare(recipe, people, None, "", silent)
    part = Encoded(prepared.train.arrays, prepared.train.targets)
    task, _ = assemble(prepared.recipe, prepared.data, part, part, lambda outputs: {"score": 0.0})
    found = [module for module in task.model.modules() if isinstance(module, PiecewiseLinearEncoding)]
    assert found
    assert all(module.complete is not missing for module in found)
    numbers = torch.tensor([[0.5] * len(found[0].baseline), [math.nan] * len(found[0].baseline)])
    assert found[0].train().filled(numbers[:1]).equal(numbers[:1])
    assert not found[0].eval().filled(numbers).isnan().any()
