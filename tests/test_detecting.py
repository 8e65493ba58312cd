"""Unusual rows: errors laid over rows, thresholds, and what is found."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

import deepwright as dw
from deepwright.cli.main import run
from deepwright.detecting import Calibration, calibrated, judged, scores, told
from deepwright.errors import UsageError
from deepwright.forecasting import prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe
from deepwright.table import Table


def rows(count=900, seed=0):
    """Return rows of an hour with two columns of a daily pattern; rows 800 to 803 of the second are unusual."""
    draw, time = np.random.default_rng(seed), np.arange(count)
    one = 5 + np.sin(2 * np.pi * time / 24) + 0.1 * draw.normal(size=count)
    other = 50 + 8 * np.cos(2 * np.pi * time / 24) + draw.normal(size=count)
    other[800:804] += 30
    odd = (time >= 800) & (time < 804)
    start = dt.datetime(2025, 1, 1)
    times = [start + dt.timedelta(hours=int(i)) for i in time]
    return pl.DataFrame({"time": times, "one": one, "other": other, "odd": odd.astype(int)})


def recipe(**output):
    return {
        "data": {"time": "time", "drop": ["odd"], "split": {"by": "time", "train": "500 rows", "validation": "200 rows"}},
        "inputs": {"history": {"type": "window", "length": 48, **({"encoder": "bottleneck"} if output.get("past") else {})}},
        "outputs": {"future": {"type": "forecast", "horizon": 6, **output}},
        "training": {"epochs": 12, "batch": 64, "precision": "fp32", "threads": 1, "compile": "off"},
    }


class Echo:
    """A network that says the windows' last rows, in units."""

    steps = {}

    def __init__(self, data, horizon):
        self.facts, self.horizon = next(iter(data.target_facts().values())).forecast, horizon

    def run(self, arrays):
        window = arrays["history.window"][:, -self.horizon :]
        return {"future": window * np.asarray(self.facts.scales, np.float32) + np.asarray(self.facts.centers, np.float32)}


@pytest.mark.parametrize(("past", "stride"), [(True, 1), (True, 4), (False, 1)])
def test_every_window_is_laid_over_the_rows_that_it_tells_of(past, stride):
    frame = rows(200)
    value = recipe(past=past, stride=stride, season=1)
    value["data"]["split"] = {"by": "time", "train": "100 rows", "validation": "100 rows"}
    found = prepare(Recipe.parse(value), Table(frame), None, "", silent)
    part, horizon = found.validation, 6
    first = 100  # the first row that is told
    origin = first + horizon - 1 if past else first - 1
    origins = range(origin, origin + len(part) * stride, stride)
    said = told(Echo(found.data, horizon), found.data, part.arrays, part.targets, origins, 200)
    known = ~np.isnan(said.values[:, 0])
    assert not known[:100].any()
    if past:  # rows are said as they are
        np.testing.assert_allclose(said.errors[known], 0, atol=1e-4)
        np.testing.assert_allclose(said.values[known, 1], frame["other"].to_numpy()[known], rtol=1e-5)
        return
    assert known[100:].all()
    # Row 100 is told by one window, as the row six before it.
    assert said.values[100, 1] == pytest.approx(frame["other"][94], rel=1e-5)
    facts = found.data.target_facts()["future"].forecast
    assert said.errors[100, 1] == pytest.approx(abs(frame["other"][94] - frame["other"][100]) / facts.scales[1], rel=1e-4)
    # Row 150 by six, each as the row six before it.
    assert said.values[150, 0] == pytest.approx(frame["one"][144], rel=1e-5)


def test_the_column_that_errs_most_is_the_score_and_the_tail_the_threshold():
    errors = np.abs(np.random.default_rng(0).exponential(size=(20_000, 2))) * [1, 10]
    found = calibrated(errors)
    assert found.scales == pytest.approx((1, 10), rel=0.05)
    score, worst = scores(np.array([[3, 10], [1, 50], [np.nan, 20], [np.nan, np.nan]]), (1.0, 10.0))
    np.testing.assert_allclose(score, [3, 5, 2, np.nan])
    assert worst.tolist()[:3] == [0, 1, 1]
    # The larger of two exponential numbers is above t in about 2 exp(-t) of all cases.
    for share in (0.01, 0.001, 1e-6):
        assert found.threshold(share) == pytest.approx(-np.log(share / 2), rel=0.05)
    assert calibrated(np.full((5, 1), np.nan)) is None
    again = Calibration.model_validate_json(found.model_dump_json())
    assert again == found


def test_alarms_are_judged_by_row_and_by_stretch():
    truth = np.array([0, 1, 1, 1, 0, 0, 1, 1, 0, 0], bool)
    alarms = np.array([0, 0, 1, 0, 0, 1, 0, 0, 0, 0], bool)
    found = judged(alarms, truth)
    assert (found["row_precision"], found["row_recall"]) == (0.5, 0.2)
    assert (found["stretches"], found["stretches_found"], found["runs_of_alarms"], found["run_precision"]) == (2, 1, 2, 0.5)
    assert found["alarms_among_usual_rows"] == 0.2
    nothing = judged(np.zeros(4, bool), np.zeros(4, bool))
    assert nothing["row_precision"] is nothing["stretch_recall"] is None


@pytest.mark.parametrize("past", [False, True], ids=["forecast", "reconstruction"])
def test_unusual_rows_are_found(past, capsys):
    frame = rows()
    model = dw.train(frame, recipe=recipe(past=past), out="model", listener=silent)
    found = model.detect(frame)
    assert found.columns == ["time", "score", "alarm", "column", "told", "value"]
    assert len(found) == 900
    assert found["score"].null_count() < 60
    flagged = found.filter("alarm")
    assert found["alarm"][801]
    assert flagged["column"].to_list().count("other") >= 2
    assert found.filter(pl.int_range(900) < 750)["alarm"].sum() <= 20
    # Rows near the unusual ones are told from windows that hold these.
    assert found["value"][801] == pytest.approx(frame["other"][801])
    frame.write_csv("rows.csv")
    assert run(["detect", "model", "rows.csv", "--truth", "odd", "--json", "-q"]) == 0
    agreement = json.loads(capsys.readouterr().out)
    assert agreement["stretch_recall"] == 1
    # Forecasts from windows that hold the unusual rows err, too, for two days.
    assert agreement["alarms_among_usual_rows"] < 0.06


def test_what_cannot_tell_unusual_rows_says_so(tmp_path):
    table = {"x": [0.1 * (i % 7) for i in range(40)], "y": [0.5 * i for i in range(40)]}
    plain = dw.train(table, target="y", settings=["training.epochs=1"], out="plain", listener=silent)
    with pytest.raises(UsageError, match="E707"):
        plain.detect(rows())
    model = dw.train(rows(), recipe=recipe(), settings=["training.epochs=1"], out="model", listener=silent)
    with pytest.raises(UsageError, match=r"E701.*not a share"):
        model.detect(rows(), alarms=0.5)
