"""The examples that no page of the docs runs are trained here, on few rows or in few steps; those that are made are made again."""

import re
import subprocess
import sys
from pathlib import Path

import polars as pl

import deepwright as dw
from deepwright.progress import silent
from deepwright.recipe import Recipe

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def trained(name, source, *settings):
    """Train an example from other rows than its own, with some keys changed."""
    recipe = Recipe.load(EXAMPLES / name, [f"data.source={source}", *settings])
    model = dw.train(recipe=recipe, out="model", listener=silent)
    assert model.bundle.has("model.onnx")
    return model


def test_every_example_is_trained_by_a_page_or_a_test_and_is_listed():
    listed = set(re.findall(r"`([\w-]+\.yaml)`", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    pages = [path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]]
    run = {name for page in pages for name in re.findall(r"^deepwright train ([\w-]+\.yaml)", page, re.MULTILINE)}
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    tested = {name for name in listed if f'"{name}"' in tests}
    assert {path.name for path in EXAMPLES.glob("*.yaml")} == listed
    assert listed - run - tested == set()


def test_recurrent_networks_translate():
    rows = pl.read_csv(EXAMPLES / "tatoeba.csv").head(160)
    rows.write_csv("few.csv")
    model = trained("tatoeba-lstm.yaml", "few.csv", "training.epochs=3", "training.batch=16", "outputs.zh.head.beam=2")
    signs = len(set("".join(rows["zh"])))
    assert model.metrics["zh"]["perplexity"]["value"] < signs / 2, "what knows nothing is as good as guessing a sign"
    assert model.predict({"en": ["Where is it?", None]})["zh"].str.len_chars()[0] > 0


def test_fixed_convolutions_tell_series_apart():
    model = trained(
        "waves.yaml", EXAMPLES / "waves.zip", "inputs.series.encoder={type: rocket, features: 840}", "training.epochs=20"
    )
    assert model.metrics["label"]["accuracy"]["value"] > 0.9


def test_labelled_pairs_are_compared_by_one_encoder():
    model = trained("pairs.yaml", EXAMPLES / "pairs.csv", "training.epochs=6")
    assert model.recipe.inputs["second"].same_as == "first"
    assert model.metrics["same"]["roc_auc"]["value"] > 0.85
    one, other = "How heavy is the kettle?", "Can one person carry the water boiler?"
    alike = model.predict({"first": [one, one, other], "second": [one, "Is there a blue saw?", one]})["same:yes"]
    assert alike[0] > alike[1]
    assert alike[2] > alike[1]


def test_unusual_rows_are_not_rebuilt():
    rows = pl.read_csv(EXAMPLES / "demand.csv").with_row_index()
    odd = pl.col("index").is_between(2200, 2203)
    rows.with_columns(south=pl.when(odd).then(pl.col("south") * 1.8).otherwise("south")).drop("index").write_csv("odd.csv")
    model = trained("demand-rebuilt.yaml", EXAMPLES / "demand.csv", "training.epochs=6")
    found = model.detect("odd.csv").with_row_index()
    assert found.filter(odd)["alarm"].sum() >= 3
    assert found.filter(odd & pl.col("alarm"))["column"].unique().to_list() == ["south"]
    assert found.filter((pl.col("index") < 2150) & pl.col("alarm")).height < 20


def test_the_questions_are_made_again(tmp_path):
    subprocess.run([sys.executable, str(EXAMPLES / "make_answers.py"), str(tmp_path)], check=True)
    for name in ("answers.csv", "answers-later.csv", "pairs.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes(), name
