"""Recipes: one declaration in YAML, JSON and Python; all errors at once."""

import contextlib
import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import polars as pl
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

import deepwright as dw
from deepwright.errors import RecipeError
from deepwright.families import Feature
from deepwright.mappings import override
from deepwright.recipe import Rate, Recipe

EXAMPLES = Path(__file__).parents[1] / "examples"

FULL = {
    "data": {"clean": {"duplicates": "drop", "income": {"strip": "."}}, "split": {"by": "stratified", "test": 0.2}},
    "inputs": {"age": "number", "edu": {"type": "category"}, "gain": {"type": "number", "view": "quantile"}},
    "outputs": {"income": {"type": "binary", "weight": 2.0}},
    "training": {"budget": "5m", "optimizer": {"type": "sgd", "lr": 0.1}, "schedule": "cosine"},
}


def codes(error):
    return [(p.code, p.where) for p in error.value.problems]


def test_shorthand_and_full_form_are_the_same():
    assert Recipe.parse({"inputs": {"age": "number"}}) == Recipe.parse({"inputs": {"age": {"type": "number"}}})
    assert Recipe.parse({"inputs": {"age": Feature.parse("number")}}) == Recipe.parse({"inputs": {"age": "number"}})


@pytest.mark.parametrize("defaults", [True, False])
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_round_trip(tmp_path, defaults, suffix):
    recipe = Recipe.parse(FULL)
    assert recipe.training.budget == 300
    recipe.save(tmp_path / f"r.{suffix}", defaults=defaults)
    assert Recipe.load(tmp_path / f"r.{suffix}") == recipe


def test_columns_of_clean_stand_beside_its_own_keys():
    clean = Recipe.parse(FULL).data.clean
    assert clean.duplicates == "drop"
    assert clean.columns["income"].strip == "."


def test_all_errors_together_with_path_and_hint():
    wrong = {
        "trainin": {},
        "training": {"epochs": "many", "optimizer": "adm", "l1": -1},
        "inputs": {"a": "nmber", "b": {"view": "x"}},
    }
    with pytest.raises(RecipeError) as error:
        Recipe.parse(wrong, where="r.yaml")
    found = dict(codes(error)[::-1])
    assert set(found) == {"E102", "E103", "E104", "E105"}
    text = str(error.value)
    for part in (
        "r.yaml: training.epochs",
        "r.yaml: trainin",
        "did you mean 'training'",
        "did you mean 'adam'",
        "did you mean 'number'",
        "inputs.b",
    ):
        assert part in text
    assert len(error.value.problems) == 6


def test_nested_parts_name_their_place():
    wrong = {
        "inputs": {"x": {"type": "image", "encoder": {"type": "sequential", "layers": ["flatten", {"type": "dense", "unitz": 3}]}}}
    }
    with pytest.raises(RecipeError, match=r"inputs\.x\.encoder\.layers\[1\]\.unitz.*did you mean 'units'"):
        Recipe.parse(wrong)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("- 1", "not a mapping"),
        ("", "not a mapping"),
        ("training: {}\ntraining: {}", "given twice"),
        ("inputs:\n\t- x", "not valid YAML"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "\n".join(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]" for a, b in pairwise("abcdefghi")),
            "aliases",
        ),
        ("a: &a [*a]", "aliases"),
        ("x: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_broken_files(tmp_path, text, message):
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=message) as error:
        Recipe.load(file)
    assert error.value.code == "E101"
    assert "r.yaml" in str(error.value)


def test_not_text(tmp_path):
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RecipeError) as error:
        Recipe.load(tmp_path / "r.yaml")
    assert error.value.code == "E101"


def test_overrides():
    changed = override(
        FULL, ["training.optimizer.lr=1e-3", "inputs.age.view=standard", "training.seed=7", "data.clean.income.strip=;"]
    )
    recipe = Recipe.parse(changed)
    assert recipe.training.optimizer.lr == 1e-3
    assert recipe.inputs["age"].view == "standard"
    assert recipe.training.seed == 7
    assert override({"data": "x.csv"}, ["data.drop=[a, b]"]) == {"data": {"source": "x.csv", "drop": ["a", "b"]}}


@pytest.mark.parametrize("setting", ["nothing", "=3", "a.b={", "training.seed.deeper.still=1"])
def test_overrides_that_lead_nowhere(setting):
    with pytest.raises(RecipeError) as error:
        override({"training": {"seed": 3}}, [setting])
    assert error.value.code == "E109"


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": {"a": {"type": "number", "loss": "mse"}}},
        {"outputs": {"a": {"type": "number", "encoder": "mlp"}}},
        {"outputs": {"a": "sound"}},
        {"inputs": {"a": "number"}, "outputs": {"a": "number"}},
        {"training": {"epochs": 1, "steps": 1}},
        {"data": {"split": {"by": "group"}}},
        {"data": {"split": {"by": "file"}}},
        {"data": {"split": {"folds": 3, "fold": 3}}},
    ],
)
def test_contradictions(wrong):
    with pytest.raises(RecipeError) as error:
        Recipe.parse(wrong)
    assert error.value.code == "E106"


def test_schema_links_every_family():
    schema = json.dumps(Recipe.full_schema())
    assert "x-family" not in schema
    for name in ("features.number", "encoders.tabm", "layers.conv2d", "losses.focal"):
        assert f'"#/$defs/{name}"' in schema


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    )
)
@example({"nullable": None})
@example({"training": {"function-wrap": {"nullable[x]": 1}}})
def test_anything_is_accepted_or_refused_properly(value):
    recipe = None
    with contextlib.suppress(RecipeError):
        recipe = Recipe.parse(value)
    assert recipe is None or Recipe.parse(recipe.dump()) == recipe


def test_a_budget_is_a_time():
    assert Recipe.parse({"training": {"budget": "1.5h"}}).training.budget == 5400
    with pytest.raises(RecipeError, match="a time such as 30s, 5m"):
        Recipe.parse({"training": {"budget": "banana"}})


def test_rates_and_switches_have_short_forms():
    training = {
        "rates": {"photo": 0.1, "tabular": {"frozen": "always"}, "pay": {"frozen": 2, "gradual": 0.5}},
        "checkpoint_every": "2m",
    }
    recipe = Recipe.parse({"training": training | {"compile": False, "loggers": ["csv"], "average": "ema"}})
    assert recipe.training.rates["photo"] == Rate(lr=0.1)
    assert recipe.training.compile == "off"
    assert recipe.training.checkpoint_every == 120
    assert Recipe.parse(recipe.dump()) == recipe
    assert Recipe.parse(yaml.safe_load(recipe.yaml())) == recipe
    for bad in ({"frozen": "always", "gradual": 1}, {"frozen": "never"}, {"layer_decay": 0}, -1, True):
        with pytest.raises(RecipeError, match=r"training\.rates\.photo"):
            Recipe.parse({"training": {"rates": {"photo": bad}}})


def test_options_without_a_type_are_those_of_the_type_that_fits(tmp_path):
    texts = ["a long sentence about cats", "another sentence about dogs and rain", "what a day it was", "rain again, they said"]
    table = pl.DataFrame(
        {"words": [f"{texts[i % 4]} {i}" for i in range(80)], "size": [i % 7 for i in range(80)], "kind": ["x", "y"] * 40}
    )
    recipe = {
        "inputs": {"words": {"encoder": {"type": "bag", "width": 8}}, "size": {}},
        "outputs": {"kind": {"loss": "focal", "weight": 2.0}},
        "training": {"steps": 1, "optimizer": {"lr": 0.25}, "schedule": {"warmup": 0.5}, "seed": 0},
    }
    model = dw.train(table, recipe=recipe, out=tmp_path / "model")
    found = model.recipe
    assert found.inputs["words"].type_name() == "text"
    assert found.inputs["words"].encoder.type_name() == "bag"
    assert found.inputs["size"].type_name() == "number"
    assert (found.outputs["kind"].type_name(), found.outputs["kind"].weight) == ("binary", 2.0)
    assert found.outputs["kind"].loss.type_name() == "focal"
    plain = dw.train(table, recipe={**recipe, "training": {"steps": 1, "seed": 0}}, out=tmp_path / "plain").recipe.training
    assert found.training.optimizer == plain.optimizer.model_copy(update={"lr": 0.25})
    assert found.training.schedule == plain.schedule.model_copy(update={"warmup": 0.5})
    assert Recipe.parse(recipe).dump(defaults=False)["inputs"]["words"].keys() == {"encoder"}
    assert Recipe.parse(Recipe.parse(recipe).dump()) == Recipe.parse(recipe)


@pytest.mark.parametrize(
    ("recipe", "code", "word"),
    [
        ({"inputs": {"wrds": {"encoder": "bag"}}}, "E107", "did you mean 'words'"),
        ({"inputs": {"number": {"encoder": "bag"}}}, "E105", "identifier"),
        ({"inputs": {"words": {"ngrams": 2}}}, "E105", "text"),
        ({"data": {"derive": {"twice": "number * 2"}}, "inputs": {"twice": {"encoder": "mlp"}}}, "E105", "derived"),
        ({"training": {"optimizer": {"momentum": 0.9}}}, "E105", "sgd"),
    ],
)
def test_a_type_that_must_be_named_is_asked_for(recipe, code, word):
    table = pl.DataFrame({"words": [f"a line of {i} words" for i in range(40)], "number": range(40), "kind": ["x", "y"] * 20})
    with pytest.raises(RecipeError, match=code) as caught:
        dw.train(table, target="kind", recipe=recipe)
    assert word in str(caught.value)


def test_settings_reach_into_what_the_call_names(tmp_path):
    lines = ["城市,好", *(f"{'北京' if i % 2 else '上海'},{'是' if i % 3 else '否'}" for i in range(60))]
    (tmp_path / "rows.csv").write_bytes("\n".join(lines).encode("gb18030"))
    settings = ["data.source.encoding=gb18030", "training.steps=1"]
    model = dw.train(tmp_path / "rows.csv", target="好", settings=settings, out=tmp_path / "model")
    assert model.recipe.data.source.encoding == "gb18030"
    with pytest.raises(RecipeError, match=r"E102.*did you mean 'encoding'"):
        dw.train(tmp_path / "rows.csv", target="好", settings=["data.source.encodin=gb18030"])
    assert Recipe.parse({"data": {"source": {"path": "rows.csv", "separator": ";"}}}).data.source.type_name() == "csv"


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft202012Validator(Recipe.full_schema())


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_schema_takes_the_examples(validator, path):
    validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("recipe", "fits"),
    [
        ({"data": "rows.csv", "outputs": {"y": "number"}}, True),
        ({"data": {"source": {"path": "rows.csv", "encoding": "gb18030"}}}, True),
        ({"data": {"source": {"type": "csv", "path": "rows.csv", "encodin": "gb18030"}}}, False),
        ({"data": {"clean": {"income": {"strip": "."}, "duplicates": "drop"}}}, True),
        ({"data": {"clean": {"income": {"stripp": "."}}}}, False),
        ({"data": {"time": "day", "split": {"by": "time", "validation": "4 months", "test": "1 day", "train": "2 years"}}}, True),
        ({"data": {"split": {"validation": 2}}}, False),
        ({"training": {"budget": "5m", "compile": True, "rates": {"image": 0.1, "tabular": {"lr": 0.5}}}}, True),
        ({"training": {"budget": []}}, False),
        ({"training": {"rates": {"image": "fast"}}}, False),
        ({"training": {"optimizer": {"lr": 0.1}}, "inputs": {"words": {"encoder": "lstm"}}}, True),
        ({"training": {"optimizer": {"momentum": 0.1}}}, False),
        ({"outputs": {"y": {"type": "binary", "positive": 1}}}, True),
    ],
)
def test_the_schema_takes_what_a_recipe_takes(validator, recipe, fits):
    assert validator.is_valid(recipe) == fits
    if fits:
        Recipe.parse(recipe)
    else:
        with pytest.raises(RecipeError):
            Recipe.parse(recipe)


def test_options_without_a_type_stay_though_they_are_the_default():
    recipe = Recipe.parse({"training": {"optimizer": {"lr": 1e-3, "weight_decay": 0.0}}, "outputs": {"y": {"weight": 1.0}}})
    assert recipe.dump(defaults=False)["training"]["optimizer"] == {"lr": 1e-3, "weight_decay": 0.0}
    assert recipe.dump(defaults=False)["outputs"]["y"] == {"weight": 1.0}
    assert Recipe.parse(yaml.safe_load(recipe.yaml())).training.optimizer.model_fields_set == {"lr", "weight_decay"}
