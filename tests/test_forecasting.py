"""Forecasts: rows in order of time, windows as views, and what is foretold."""

import datetime as dt
import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch

import deepwright as dw
from deepwright import forecasting, forecasts
from deepwright.batches import Rows
from deepwright.blocks.windows import ForecastLayer, Path, Phases, Plain
from deepwright.errors import DataError, RecipeError
from deepwright.facts import ForecastFacts
from deepwright.progress import silent
from deepwright.recipe import Data, Recipe, Split
from deepwright.table import Table
from deepwright.timeline import arranged, borders, following, season_of
from deepwright.windows import filled, rows_below, views

START = dt.datetime(2024, 1, 1)


def hours(count, start=START):
    return [start + dt.timedelta(hours=i) for i in range(count)]


def loads(count=700, seed=0):
    """Return rows of an hour with two columns of a daily pattern, and noise."""
    draw, time = np.random.default_rng(seed), np.arange(count)
    daily = np.sin(2 * np.pi * time / 24)
    east = 10 + 3 * daily + 0.3 * draw.normal(size=count)
    west = 100 - 20 * np.cos(2 * np.pi * time / 24) + 2 * draw.normal(size=count)
    return pl.DataFrame({"date": hours(count), "east": east, "west": west})


def recipe(**more):
    value = {
        "data": {"time": "date", "split": {"by": "time", "validation": "4 days", "test": "4 days"}},
        "inputs": {"history": {"type": "window", "length": 72}},
        "outputs": {"future": {"type": "forecast", "horizon": 12}},
        "training": {"epochs": 2, "precision": "fp32", "threads": 1, "compile": "off"},
    }
    for path, entry in more.items():
        section, _, key = path.partition("__")
        value[section] = {**value[section], key: entry} if key else entry
    return value


def prepared(frame, value):
    return forecasting.prepare(Recipe.parse(value), Table(frame), None, "test", silent)


# Time ---------------------------------------------------------------------------------------------------------------------------


def line(times, **columns):
    frame = pl.DataFrame({"t": times, **(columns or {"v": range(len(times))})})
    return arranged(Table(frame), Data(time="t", series="k" if "k" in columns else None))


@pytest.mark.parametrize(
    ("times", "step", "season"),
    [
        (hours(5), "1h", 24),
        ([f"2024-01-01 00:{i:02}" for i in range(0, 60, 15)], "15m", 96),
        ([f"2024-01-{i:02}" for i in range(1, 20)], "1d", 7),
        ([f"2024-{i:02}" for i in range(1, 13)], "1mo", 12),
        (pl.date_range(dt.date(2023, 1, 31), dt.date(2024, 1, 31), "1mo", eager=True).dt.month_end().to_list(), "1mo_end", 12),
        (["2024-01-01", "2024-04-01", "2024-07-01"], "3mo", 4),
        ([3, 5, 7, 9], "2", 1),
    ],
)
def test_the_step_is_told_by_the_times(times, step, season):
    found = line(times)
    assert found.step == step
    assert season_of(found.step) == season
    every = found.table.frame["t"]
    again = following(every[0], step, len(every) - 1)
    assert again.to_list() == every[1:].to_list()


def test_rows_are_put_in_order_and_missing_times_become_rows_without_values():
    times = hours(8)
    found = line([times[i] for i in (7, 0, 1, 2, 5, 6)])
    assert found.table.frame["t"].to_list() == times
    assert found.table.frame["v"].to_list() == [1, 2, 3, None, None, 4, 5, 0]
    assert {note.what for note in found.table.notes} == {"time"}
    assert len(found.table.notes) == 2


def test_the_same_row_twice_counts_once_and_two_rows_of_a_time_are_refused():
    times = hours(4)
    once = line([*times, times[1]], v=[1, 2, 3, 4, 2])
    assert once.table.frame["v"].to_list() == [1, 2, 3, 4]
    with pytest.raises(DataError, match=r"E234.*\n.*row 2.*row 5"):
        line([*times, times[1]], v=[1, 2, 3, 4, 9])
    with pytest.raises(DataError, match=r"E234.*\n.*row 3"):
        line([*times[:2], None], v=[1, 2, 3])


def test_rows_without_a_time_are_refused_wherever_it_stands():
    frame = loads(50).select("east", "date", "west").with_columns(date=pl.when(pl.int_range(50) != 7).then("date"))
    with pytest.raises(DataError, match=r"E234.*1 of 50 rows do not tell their time"):
        arranged(Table(frame), Data(time="date"))


def test_irregular_times_are_told_and_taken_one_after_the_other():
    found = line([START + dt.timedelta(seconds=i * i * 7 + i) for i in range(10)])
    assert found.step == ""
    assert len(found.table) == 10
    assert "irregular" in found.table.notes[0].text


def test_series_of_the_long_form_stand_side_by_side():
    times = hours(3)
    found = line(times + times[1:], k=["b"] * 3 + ["a"] * 2, v=[1, 2, 3, 4, 5])
    assert found.table.frame.to_dict(as_series=False) == {"t": times, "a": [None, 4, 5], "b": [1, 2, 3]}


def test_sides_are_stretches_of_time_and_months_are_those_of_the_calendar():
    times = pl.Series(hours(24 * 400))
    assert borders(times, "1h", ("360 days", "20 days", "10 days")) == (0, 8640, 9120, 9360)
    assert borders(times, "1h", ("12 months", "1 month", None))[1:] == (8784, 8784 + 744, 8784 + 744)
    assert borders(times, "1h", (None, "2 days", "10 rows"))[1:] == (9600 - 58, 9590, 9600)
    spans = Split.model_validate({"by": "time", "train": "12 months", "test": "4 month"}).spans
    assert spans.model_dump() == {"train": "12 months", "validation": None, "test": "4 months"}
    again = Split.model_validate(Split(spans=spans).model_dump(mode="json"))
    assert again.spans == spans


# Windows ------------------------------------------------------------------------------------------------------------------------


def test_windows_are_views_and_stay_views_as_tensors():
    rows = np.arange(40, dtype=np.float32).reshape(20, 2)
    for stride in (1, 3):
        found = views(rows, 4, 2, range(3, 18, stride))
        assert np.shares_memory(found, rows)
        np.testing.assert_array_equal(found[1], rows[stride : stride + 6])
        assert np.shares_memory(rows_below(found), rows)
        held = Rows({"h.window": found}, {"y": found})
        tensor = held.arrays["h.window"]
        assert tensor.untyped_storage().nbytes() <= rows.nbytes
        assert torch.equal(tensor, torch.from_numpy(found.copy()))
        assert torch.equal(held.take(torch.tensor([2, 0])).arrays["h.window"], tensor[[2, 0]])
        assert len(next(held.slices(4))) == 4


def test_missing_values_are_the_last_known_ones_before_them():
    nan = np.nan
    rows, count = filled(np.array([[nan, 1], [2, nan], [nan, nan], [5, 6]], np.float32))
    assert count == 4
    np.testing.assert_array_equal(rows, [[0, 1], [2, 1], [2, 1], [5, 6]])


def test_the_windows_of_the_literature_on_ett():
    """12, 4 and 4 months of 30 days: 8,209 training, 2,785 validation and 2,785 test windows of horizon 96, look-back 336."""
    frame = pl.DataFrame({"date": hours(17_420), "x": np.arange(17_420.0), "y": 1.0 + np.arange(17_420) % 24})
    split = {"by": "time", "train": "360 days", "validation": "120 days", "test": "120 days"}
    value = recipe(data__split=split, inputs__history={"type": "window", "length": 336, "encoder": "nlinear"})
    value["outputs"] = {"future": {"type": "forecast", "horizon": 96}}
    found = prepared(frame, value)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [8209, 2785, 2785]
    facts = found.data.target_facts()["future"].forecast
    assert facts.centers[0] == np.arange(8640).mean()
    scaled = (np.arange(17_420) - facts.centers[0]) / facts.scales[0]
    for part, first in ((found.train, 336), (found.validation, 8640), (found.test, 11_520)):
        window, target = part.arrays["history.window"], part.targets["future"]
        np.testing.assert_allclose(window[0, :, 0], scaled[first - 336 : first], rtol=1e-5)
        np.testing.assert_allclose(target[-1, 24:, 0], scaled[first + len(part) - 1 :][:96], rtol=1e-5)
        np.testing.assert_allclose(target[0, :24, 0], scaled[first - 24 : first], rtol=1e-5)
    assert any("3,020 rows" in note.text for note in found.notes)


def test_nothing_behind_the_training_rows_is_learnt_from():
    frame = loads()
    later = frame.with_columns(pl.when(pl.int_range(700) >= 508).then(pl.col("east") * 50).otherwise("east").alias("east"))
    one, other = prepared(frame, recipe()), prepared(later, recipe())
    assert one.data.dump() == other.data.dump()
    np.testing.assert_array_equal(one.train.targets["future"], other.train.targets["future"])
    np.testing.assert_array_equal(one.train.arrays["history.window"], other.train.arrays["history.window"])
    assert not np.array_equal(one.validation.targets["future"], other.validation.targets["future"])


def test_every_forecast_lies_within_its_side():
    found = prepared(loads(), recipe(outputs__future={"type": "forecast", "horizon": 12, "stride": 5}))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [508 - 72 - 11, 17, 17]


# The network --------------------------------------------------------------------------------------------------------------------


def test_phases_that_say_the_last_season_repeat_it():
    torch.manual_seed(0)
    path = Path(Phases(25, 1, 4), "mean", (0, 1), mix=False)
    torch.nn.init.zeros_(path.encoder.around.weight)
    layer = ForecastLayer([path], 10, 2, 1)
    with torch.no_grad():
        layer.layers[0].weight.zero_()
        assert layer.layers[0].bias is None
        layer.layers[0].weight[:, -1] = 1
    window = torch.randn(3, 25, 2)
    told = layer([path.read({"window": window})]).view(3, 10, 2)
    torch.testing.assert_close(told, window[:, -4:].repeat(1, 3, 1)[:, :10])


def test_blocks_behind_the_fold_that_validates_are_on_no_side():
    first, last = (prepared(loads(), recipe(data__split={"by": "time", "test": 0.2, "folds": 4, "fold": fold})) for fold in (0, 3))
    assert len(first.train) < len(last.train)
    one, same = (
        found.test.targets["future"] * np.asarray(facts.scales) + np.asarray(facts.centers)
        for found in (first, last)
        for facts in [found.data.target_facts()["future"].forecast]
    )
    np.testing.assert_allclose(one, same, rtol=1e-5, err_msg="every fold has the same test rows")
    assert len(first.test) == 0.2 * 700 - 12 + 1


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("normalize", ["instance", "mean", "last", "none"])
def test_what_is_taken_from_a_window_is_given_back(normalize, mix):
    """Shifted windows have shifted forecasts, and scaled ones scaled ones, as far as the normalisation goes."""
    torch.manual_seed(0)
    path = Path(Plain(8, 2 if mix else 1), normalize, (1, 0), mix=mix)
    layer = ForecastLayer([path], 5, 2, 3)
    window = torch.randn(4, 8, 2)
    shift = torch.tensor([7.0, -3.0])

    def told(rows):
        return layer([path.read({"window": rows})]).view(4, 5, 2, 3).detach()

    if normalize != "none":
        torch.testing.assert_close(told(window + shift), told(window) + shift.flip(0).view(2, 1), atol=1e-4, rtol=1e-4)
    if normalize == "instance":
        torch.testing.assert_close(told(10 * window), 10 * told(window), atol=1e-2, rtol=1e-3)


def test_counts_are_the_errors_in_standard_deviations():
    draw = np.random.default_rng(1)
    facts = ForecastFacts(("a", "b"), (1.0, -5.0), (2.0, 10.0), 3, 2, (0.1, 0.5, 0.9), (0.5, 2.0))
    target = draw.normal(size=(4, 5, 2)).astype(np.float32)
    target[0, 3, 1] = np.nan
    scaled = np.sort(draw.normal(size=(4, 3, 2, 3)), -1)
    outputs = scaled * np.array([2.0, 10.0])[:, None] + np.array([1.0, -5.0])[:, None]
    counts = forecasts.counts(outputs, target, facts)
    error = scaled[..., 1] - target[:, 2:]
    np.testing.assert_allclose(counts[:, 0], [5, 6, 6, 6])
    np.testing.assert_allclose(counts[:, 1], np.nansum(error**2, (1, 2)))
    np.testing.assert_allclose(counts[:, 3], np.nansum(np.abs(error) / [0.5, 2.0], (1, 2)))
    naive = target[:, [0, 1, 0]] - target[:, 2:]
    np.testing.assert_allclose(counts[:, 5], np.nansum(naive**2, (1, 2)), rtol=1e-6)
    last = target[:, [1, 1, 1]] - target[:, 2:]
    np.testing.assert_allclose(counts[:, 9], np.nansum(last**2, (1, 2)), rtol=1e-6)
    inside = (target[:, 2:] >= scaled[..., 0]) & (target[:, 2:] <= scaled[..., -1])
    np.testing.assert_allclose(counts[:, forecasts.FIXED - 1], inside.sum((1, 2)))
    by_step = counts[:, forecasts.FIXED :][:, 3:6]
    np.testing.assert_allclose(by_step, np.nansum(error**2, 2))


# From rows to forecasts ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecast")
    value = recipe(outputs__future={"type": "forecast", "horizon": 12, "quantiles": [0.1, 0.5, 0.9]}, training__epochs=20)
    value["inputs"] = {"days": {"type": "window", "length": 72}, "last": {"type": "window", "length": 30, "encoder": "nlinear"}}
    return dw.train(loads(), recipe=value, out=folder / "model", listener=silent)


def test_a_model_foretells_the_next_rows_with_their_times(model):
    frame = loads()
    told = model.predict(frame)
    assert told.columns == ["date", "east", "west", *(f"{name}:{level}" for name in ("east", "west") for level in (0.1, 0.5, 0.9))]
    assert told["date"].to_list() == hours(12, START + dt.timedelta(hours=700))
    ahead = np.arange(700, 712)
    np.testing.assert_allclose(told["east"].to_numpy(), 10 + 3 * np.sin(2 * np.pi * ahead / 24), atol=1.5)
    assert (told["east:0.1"] <= told["east"]).all()
    assert (told["west"] <= told["west:0.9"]).all()
    # The latest rows alone tell, in whatever order they come; empty ones behind them are what is asked for.
    shuffled = frame.tail(80).sample(fraction=1.0, shuffle=True, seed=0)
    assert model.predict(shuffled).equals(told)
    empty = pl.DataFrame({"date": hours(3, START + dt.timedelta(hours=700)), "east": [None] * 3, "west": [None] * 3})
    assert model.predict(pl.concat([frame, empty], how="vertical_relaxed")).equals(told)
    assert model.predict(frame, engine="torch").select(pl.exclude("date")).to_numpy() == pytest.approx(
        told.select(pl.exclude("date")).to_numpy(), abs=1e-3
    )


def test_it_is_better_than_repeating_a_day_and_its_figures_agree(model):
    metrics = model.metrics["future"]
    assert metrics["skill"]["value"] > 0.2
    assert metrics["mse"]["value"] < 0.2
    assert 0.6 < metrics["coverage"]["value"] <= 1
    report = json.loads((model.path / "report.json").read_text())["evaluation"]["future"]
    assert len(report["steps"]["model"]) == 12
    assert np.mean(report["steps"]["model"]) == pytest.approx(metrics["mse"]["value"])
    assert [row["name"] for row in report["channels"]] == ["east", "west"]
    assert len(report["windows"]) == 6
    assert "Errors by distance" in (model.path / "report.html").read_text()
    assert model.bundle.manifest["export"]["graph"]


def test_new_rows_are_evaluated_from_every_origin_that_has_enough_before_it(model, tmp_path):
    later = loads(160, seed=5)
    result = model.evaluate(later, report=tmp_path / "page.html")
    assert result.rows == 160 - 72 - 12 + 1
    assert result.outputs["future"].metrics["mse"].value < 0.3
    with pytest.raises(DataError, match=r"E236.*no forecast fits"):
        model.evaluate(later.head(80))


def test_rows_that_do_not_fit_are_refused(model):
    with pytest.raises(DataError, match=r"E236.*fewer rows"):
        model.predict(loads(50))
    with pytest.raises(DataError, match=r"E107.*'west' is missing"):
        model.predict(loads().drop("west"))
    with pytest.raises(DataError, match=r"E235.*another step"):
        model.predict(loads().gather_every(2))
    with pytest.raises(DataError, match=r"E236.*fewer rows"):
        model.predict(loads().with_columns(east=pl.lit(None, pl.Float64), west=pl.lit(None, pl.Float64)))


def test_predicting_needs_no_torch(model):
    loads().write_csv("rows.csv")
    code = f"""
import sys, deepwright as dw
print(len(dw.load({str(model.path)!r}).predict("rows.csv")))
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "12"


def test_gaps_in_values_cost_nothing_and_are_told():
    frame = loads().with_columns(pl.when(pl.int_range(700) % 7 == 3).then(None).otherwise("east").alias("east"))
    frame = frame.filter(pl.int_range(700) % 50 != 20)
    found = prepared(frame, recipe())
    assert any("missing values are the last known ones" in note.text for note in found.notes)
    assert not np.isnan(found.train.arrays["history.window"]).any()
    assert np.isnan(found.train.targets["future"]).any()
    model = dw.train(frame, recipe=recipe(training__epochs=1), out="gaps", listener=silent)
    assert np.isfinite(model.metrics["future"]["mse"]["value"])


@pytest.mark.parametrize("encoder", ["patch_tst", "gru"])
def test_columns_can_be_foretold_from_others(encoder):
    small = {"patch_tst": {"depth": 1, "width": 4}, "gru": {"width": 8, "bidirectional": False, "layers": 1, "pool": "last"}}
    value = recipe(outputs__future={"type": "forecast", "channels": ["west"], "horizon": 6}, training__epochs=1)
    window = {"type": "window", "length": 30, "mix": True, "encoder": {"type": encoder, **small[encoder]}}
    value["inputs"] = {"history": window}
    model = dw.train(loads(300), recipe=value, out="mixed", listener=silent)
    assert model.recipe.inputs["history"].channels == ("east", "west")
    assert model.predict(loads(300)).columns == ["date", "west"]
    assert model.bundle.manifest["export"]["graph"]


def test_a_derived_column_is_foretold_from_its_last_rows(tmp_path):
    value = recipe(outputs__future={"type": "forecast", "channels": ["total"], "horizon": 6}, training__epochs=30)
    value["data"]["derive"] = {"half": "east + west", "total": "half + 0"}
    model = dw.train(loads(700), recipe=value, out=tmp_path / "m", listener=silent)
    told = model.predict(loads(700))
    assert told["date"].to_list() == hours(6, START + dt.timedelta(hours=700))
    plain = recipe(outputs__future={"type": "forecast", "channels": ["total"], "horizon": 6}, training__epochs=30)
    frame = loads(700).select("date", total=pl.col("east") + pl.col("west"))
    other = dw.train(frame, recipe=plain, out=tmp_path / "plain", listener=silent)
    assert told["total"].to_list() == pytest.approx(other.predict(frame)["total"].to_list(), abs=1e-3)
    with pytest.raises(DataError, match=r"E236.*fewer rows"):
        model.predict(loads(20))
    assert model.detect(loads(700))["column"].drop_nulls().unique().to_list() == ["total"]


def test_data_a_time_and_a_horizon_are_enough():
    model = dw.train(loads(600), time="date", horizon=8, target="east", settings=["training.epochs=1"], out="m", listener=silent)
    assert model.predict(loads(600)).columns == ["date", "east"]
    assert model.recipe.outputs["future"].horizon == 8
    assert dw.Recipe.parse(model.recipe.dump()) == model.recipe


def test_the_same_data_and_seed_give_the_same_weights():
    paths = [dw.train(loads(300), recipe=recipe(), out=name, listener=silent).path for name in ("one", "other")]
    one, other = ((path / "weights.safetensors").read_bytes() for path in paths)
    assert one == other


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"outputs__future": {"type": "forecast", "horizon": 5000}}, "E236", "too few forecasts fit into the training rows"),
        ({"outputs__future": {"type": "forecast", "horizon": 12, "channels": ["north"]}}, "E107", "no column 'north'"),
        ({"data__time": "day"}, "E107", "no column 'day'"),
        ({"data__split": {"by": "random"}}, "E106", "divided by time alone"),
        ({"data__split": {"by": "time", "validation": "3 rows", "test": "4 days"}}, "E236", "too few forecasts"),
        ({"inputs__extra": "number"}, "E106", "inputs are window or ahead"),
        ({"inputs__east": {"type": "window"}}, "E106", "'east' is the name of a column"),
        ({"inputs__history": {"type": "window", "channels": ["east"]}}, "E106", "other columns than are foretold"),
        ({"outputs__more": "forecast"}, "E106", "one forecast"),
        ({"data__stream": True}, "E241", "stay in memory"),
    ],
)
def test_recipes_that_contradict_the_data_are_refused(change, code, words):
    loads(300).write_parquet("loads.parquet")
    value = recipe(**change)
    value["data"] = {**value["data"], "source": "loads.parquet"}
    with pytest.raises((RecipeError, DataError), match=words) as refused:
        dw.train(recipe=value, out="refused", listener=silent)
    assert code in {problem.code for problem in refused.value.problems}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"outputs": {"future": "forecast"}}, "needs the column of the rows' time"),
        ({"data": {"time": "date"}, "outputs": {"y": "number"}}, "no output is one"),
        ({"data": {"time": "date", "split": {"by": "time", "test": "4 moons"}}, "outputs": {"future": "forecast"}}, "months"),
        ({"data": {"time": "date"}, "outputs": {"future": {"type": "forecast", "quantiles": [0.1, 0.9]}}}, "0.5 is among them"),
        ({"data": {"split": {"by": "time", "column": "date", "test": "4 days"}}, "outputs": {"y": "number"}}, "rows of forecasts"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(value, words):
    with pytest.raises(RecipeError, match=words):
        Recipe.parse(value)


def test_a_constant_column_is_foretold_as_it_is():
    frame = loads(300).with_columns(east=pl.lit(4.0))
    model = dw.train(frame, recipe=recipe(training__epochs=1), out="constant", listener=silent)
    np.testing.assert_allclose(model.predict(frame)["east"].to_numpy(), 4.0, atol=0.05)


def test_a_column_without_a_training_value_is_refused():
    frame = loads(300).with_columns(pl.when(pl.int_range(300) > 250).then("east").alias("east"))
    with pytest.raises(DataError, match=r"E260.*\n*.*east"):
        prepared(frame, recipe())


# What is known ahead ------------------------------------------------------------------------------------------------------------


def shop(count=900):
    """Return days with sales that promotions, drawn at random, raise."""
    draw = np.random.default_rng(3)
    offer = (draw.random(count) < 0.3).astype(int)
    sales = 20 + 10 * offer + draw.normal(size=count)
    days = [dt.date(2023, 1, 1) + dt.timedelta(days=i) for i in range(count)]
    return pl.DataFrame({"day": days, "sales": sales, "offer": offer})


def test_what_is_known_ahead_is_used_and_must_be_there():
    frame = shop()
    value = {
        "data": {"time": "day", "split": {"by": "time", "validation": "100 days", "test": "100 days"}},
        "inputs": {"known": {"type": "ahead", "channels": ["offer"], "cycles": ["weekday"]}},
        "outputs": {"future": {"type": "forecast", "horizon": 7}},
        "training": {"epochs": 40, "batch": 128, "precision": "fp32", "threads": 1, "compile": "off", "patience": 0},
    }
    model = dw.train(frame, recipe=value, out="known", listener=silent)
    assert model.recipe.inputs["known"].channels == ("offer", "day.weekday_sin", "day.weekday_cos")
    assert model.recipe.inputs["known"].encoder.type_name() == "gru"
    assert model.recipe.outputs["future"].channels == ("sales",)
    # Without the offers nothing of the spread that they make can be foretold.
    assert model.metrics["future"]["mse"]["value"] < 0.2
    assert model.bundle.manifest["export"]["graph"]
    ahead = frame[800:807].select("day", pl.lit(None, pl.Float64).alias("sales"), "offer")
    told = model.predict(pl.concat([frame[:800], ahead]))
    assert told["day"].dt.date().to_list() == frame["day"][800:807].to_list()
    assert np.corrcoef(told["sales"].to_numpy(), frame["offer"][800:807].to_numpy())[0, 1] > 0.95
    with pytest.raises(DataError, match=r"E237.*offer is known ahead"):
        model.predict(frame)
    with pytest.raises(DataError, match=r"E237.*offer is known ahead"):
        model.predict(pl.concat([frame[:800], ahead[:3]]))
    assert model.evaluate(frame[700:]).outputs["future"].metrics["mse"].value < 0.2


def test_the_calendar_is_known_without_rows():
    value = recipe(training__epochs=1, inputs__calendar={"type": "ahead", "cycles": ["hour"]})
    model = dw.train(loads(300), recipe=value, out="calendar", listener=silent)
    assert len(model.predict(loads(300))) == 12
    assert set(model.recipe.data.derive) == {"date.hour_sin", "date.hour_cos"}
    again = dw.train(loads(300), recipe=model.recipe, out="again", listener=silent)
    assert (again.path / "weights.safetensors").read_bytes() == (model.path / "weights.safetensors").read_bytes()
    value["inputs"]["calendar"]["encoder"] = "nlinear"
    with pytest.raises(RecipeError, match=r"E108.*no state for each row"):
        prepared(loads(300), value)
