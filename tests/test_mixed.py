"""Several inputs of different kinds in one network, several answers, and the programs of tutorials."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import deepwright as dw
from deepwright.recipe import Recipe

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def wares(tmp_path_factory):
    """Train the example of a picture, a text and a number, with two answers."""
    place = tmp_path_factory.mktemp("wares")
    recipe = Recipe.load(EXAMPLES / "wares.yaml", [f"data.source={EXAMPLES / 'wares.parquet'}", "training.epochs=12"])
    model = dw.train(recipe=recipe, out=place / "bundle")
    return model, place


def test_a_picture_a_text_and_a_number_answer_two_questions(wares):
    """Each input is needed: what the picture tells is the kind, and the price is told by all three."""
    model, place = wares
    assert (place / "bundle" / "model.onnx").exists()
    assert model.metrics["kind"]["accuracy"]["value"] > 0.6
    assert model.metrics["price"]["r2"]["value"] > 0.5


def test_it_predicts_and_evaluates_without_torch(wares):
    model, place = wares
    code = (
        "import sys; from deepwright.cli.main import run\n"
        f"bundle, data = {str(place / 'bundle')!r}, {str(EXAMPLES / 'wares.parquet')!r}\n"
        f"assert run(['predict', bundle, data, '-o', {str(place / 'found.csv')!r}]) == 0\n"
        "assert run(['evaluate', bundle, data, '--json']) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = pl.read_csv(place / "found.csv")
    assert found.columns == ["kind", "kind:box", "kind:disc", "kind:star", "price"]
    assert len(found) == 300
    again = model.predict(pl.read_parquet(EXAMPLES / "wares.parquet").head(20))
    np.testing.assert_allclose(again["price"].to_numpy(), found["price"][:20].to_numpy(), rtol=1e-4)


def test_what_is_missing_of_a_row_is_missing(wares):
    """A row may lack any of its inputs, and a table a whole column."""
    model, _ = wares
    rows = pl.read_parquet(EXAMPLES / "wares.parquet").head(4)
    holes = rows.with_columns(
        picture=pl.when(pl.int_range(4) == 0).then(None).otherwise("picture"),
        offer=pl.when(pl.int_range(4) == 1).then(None).otherwise("offer"),
        weight=pl.when(pl.int_range(4) == 2).then(None).otherwise("weight"),
    )
    found, whole = model.predict(holes), model.predict(rows)
    assert found["price"].is_finite().all()
    assert (found["price"] != whole["price"]).to_list() == [True, True, True, False]
    assert model.predict(rows.drop("offer"))["kind"].null_count() == 0


def test_the_small_cnn_of_every_tutorial_reads_digits(tmp_path):
    settings = [f"data.source={EXAMPLES / 'numerals.zip'}", "training.epochs=10", "training.batch=16"]
    recipe = Recipe.load(EXAMPLES / "mnist-cnn.yaml", settings)
    model = dw.train(recipe=recipe, out=tmp_path / "digits")
    assert model.metrics["label"]["accuracy"]["value"] > 0.9


@pytest.mark.slow
def test_the_resnet50_of_every_tutorial_learns(tmp_path):
    """A ResNet-50 of torchvision learns by SGD with momentum: over the same few pictures, the loss falls from step to step."""
    pytest.importorskip("torchvision")
    draw = np.random.default_rng(0)
    rows = [
        {"image": draw.integers(0, 90, (32, 32, 3), np.uint8) + np.uint8(150 * (row % 2)), "label": "ab"[row % 2]}
        for row in range(24)
    ]
    frame = pl.DataFrame({"label": [row["label"] for row in rows]}).with_columns(
        image=pl.Series([row["image"].tolist() for row in rows], dtype=pl.Array(pl.UInt8, (32, 32, 3)))
    )
    settings = ["data.source=null", "inputs.image.encoder.weights=none", "inputs.image.height=32", "inputs.image.width=32"]
    settings += ["training.epochs=null", "training.steps=10", "training.batch=24"]
    settings += ["inputs.image.augment=[]"]
    recipe = Recipe.load(EXAMPLES / "cifar-resnet50.yaml", settings)
    dw.train(frame, recipe=recipe, out=tmp_path / "resnet")
    losses = [record["train_loss"] for record in json.loads((tmp_path / "resnet" / "report.json").read_text())["log"]]
    assert len(losses) == 10
    assert sum(losses[-3:]) / 3 < losses[0]
