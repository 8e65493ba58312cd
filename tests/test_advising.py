"""What ``inspect`` says a table may be for: the signs, the commands, and silence about ordinary tables."""

import datetime as dt
import json
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import deepwright as dw
from deepwright.cli.main import run
from deepwright.reporting.inspection import inspection_html
from deepwright.steps.inspect import inspect
from deepwright.table import Table

EXAMPLES = Path(__file__).parents[1] / "examples"
WORDS = ["the", "a", "big", "small", "red", "blue", "cat", "dog", "bird", "runs", "sleeps", "eats", "quickly", "in", "park"]


def hours(count=200, step="1h"):
    """Return rows of a regular step, with two numbers and a word."""
    draw = np.random.default_rng(0)
    times = pl.datetime_range(dt.datetime(2020, 1, 1), dt.datetime(2060, 1, 1), step, eager=True).head(count)
    load = np.sin(np.arange(count) / 4) + 0.2 * draw.normal(size=count)
    return pl.DataFrame({"time": times, "load": load, "heat": draw.normal(size=count), "sky": draw.choice(["sun", "rain"], count)})


def ratings(count=300):
    """Return ratings of 20 items by 30 users."""
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "userId": draw.integers(1, 31, count),
            "movieId": draw.integers(100, 120, count),
            "rating": draw.integers(1, 11, count) / 2,
            "day": [dt.date(2024, 1, 1) + dt.timedelta(days=int(day)) for day in draw.integers(0, 300, count)],
        }
    )


def sentence(draw):
    return " ".join(draw.choice(WORDS, 8))


def pairs(count=80, names=("sentence1", "sentence2"), label="label"):
    """Return pairs of sentences of which every second consists of the same words."""
    draw = np.random.default_rng(0)
    first = [sentence(draw) for _ in range(count)]
    second = [" ".join(reversed(text.split())) if row % 2 else sentence(draw) for row, text in enumerate(first)]
    return pl.DataFrame({"id": range(count), names[0]: first, names[1]: second, label: [row % 2 for row in range(count)]})


def questions(count=60):
    """Return questions about who lives where."""
    draw = np.random.default_rng(0)
    homes = draw.choice(["Rome", "Oslo", "New York"], count)
    passages = [f"Ann lives in {home}, and Bo has {row} cats." for row, home in enumerate(homes)]
    return pl.DataFrame({"question": ["Where does Ann live?"] * count, "context": passages, "answer": homes})


def tasks(frame, target=None):
    return [advice.task for advice in inspect(Table(frame, "table.csv"), target=target).advice]


@pytest.mark.parametrize(
    ("frame", "task"), [(hours(), "forecasting"), (ratings(), "recommendation"), (pairs(), "pairs"), (questions(), "questions")]
)
def test_a_table_is_told_what_it_may_be_for_and_the_command_trains(frame, task, capsys):
    frame.write_csv("table.csv")
    assert run(["inspect", "table.csv", "--report", "page.html", "--json"]) == 0
    (advice,) = json.loads(capsys.readouterr().out)["advice"]
    assert advice["task"] == task
    assert "\n" not in advice["command"]
    assert "deepwright train table.csv" in Path("page.html").read_text(encoding="utf-8")
    assert run(["inspect", "table.csv"]) == 0
    out = capsys.readouterr().out
    assert f"  next: {advice['command']}\n        {advice['why']}\n" in out
    assert out.rstrip().endswith("or: deepwright train table.csv --target COLUMN")
    words = shlex.split(advice["command"])
    assert words[:3] == ["deepwright", "train", "table.csv"]
    small = ["--set", "inputs.context.encoder={type: rnn, embedding: 8, width: 8}"] if task == "questions" else []
    assert run([*words[1:], *small, "--set", "training.steps=1", "-o", "bundle", "-q"]) == 0
    kind = next(iter(dw.load("bundle").bundle.manifest["outputs"].values()))["kind"]
    assert kind == {"forecasting": "forecast", "recommendation": "number", "pairs": "binary", "questions": "answer"}[task]


@pytest.mark.parametrize(
    ("count", "step", "horizon"), [(400, "1h", 24), (90, "1h", 9), (36, "1mo", 3), (300, "1mo", 12), (60, "1d", 6)]
)
def test_a_forecast_is_as_far_as_the_rows_allow(count, step, horizon):
    (advice,) = inspect(Table(hours(count, step), "t.csv")).advice
    assert advice.command == f"deepwright train t.csv --time time --horizon {horizon}"


def test_advice_heeds_what_is_asked_for():
    assert inspect(Table(hours(), "t.csv"), target="load").advice[0].command.endswith("--horizon 20 --target load")
    assert tasks(hours(), "sky") == []
    assert inspect(Table(hours(), "t.csv"), time="time").advice == ()
    assert tasks(ratings(), "rating") == ["recommendation"]
    assert tasks(ratings(), "movieId") == []
    assert tasks(pairs(), "label") == ["pairs"]
    assert tasks(questions(), "question") == []
    ordered = inspect(Table(pairs(names=("premise", "hypothesis")), "t.csv")).advice[0]
    assert "{type: compare, ordered: true}" in ordered.command
    spaced = inspect(Table(pairs(names=("my text 1", "my text 2"), label="is it: so"), "my table.csv")).advice[0]
    assert shlex.split(spaced.command)[2:5] == ["my table.csv", "--target", "is it: so"]


def people():
    """Return an ordinary table that a hasty look might take for something else: days, identifiers and texts."""
    draw = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "customer_id": range(1, 101),
            "joined": [dt.date(2020, 1, 1) + dt.timedelta(days=int(day)) for day in draw.choice(2000, 100, replace=False)],
            "title": [sentence(draw) for _ in range(100)],
            "review": [sentence(draw) for _ in range(100)],
            "score": draw.integers(1, 6, 100),
            "label": draw.choice(["good", "bad"], 100),
        }
    )


@pytest.mark.parametrize(
    "frame",
    [
        people(),
        hours().with_columns(time=pl.col("time").gather([0, *range(199)])),
        hours().select("time", "sky"),
        hours(20),
        ratings().drop("rating"),
        ratings().with_columns(userId=pl.int_range(300)),
        pairs().drop("label"),
        pairs(names=("sentence1", "summary1")),
        questions().with_columns(answer=pl.lit("Paris") + pl.int_range(60).cast(pl.String)),
        questions().drop("context"),
    ],
    ids=[
        "people",
        "a time twice",
        "no numbers",
        "few rows",
        "no rating",
        "users once",
        "no label",
        "no twins",
        "elsewhere",
        "no passage",
    ],
)
def test_without_sure_signs_nothing_is_advised(frame):
    assert tasks(frame) == []


def test_ordinary_tables_get_no_advice(people):
    assert tasks(people.frame) == []
    for name in ("adult.csv", "sms.csv", "tatoeba.csv", "films.csv", "users.csv", "answers.csv", "notes.jsonl", "wares.parquet"):
        assert inspect(str(EXAMPLES / name)).advice == (), name


def test_the_examples_are_known():
    found = {name: inspect(str(EXAMPLES / name)).advice for name in ("demand.csv", "ratings.csv", "questions.json", "pairs.csv")}
    assert [advice[0].task for advice in found.values()] == ["forecasting", "recommendation", "questions", "pairs"]
    assert "split={by: last, group: user, column: day}" in found["ratings.csv"][0].command


def test_a_page_without_advice_has_no_place_for_it(people):
    assert "What it may be for" not in inspection_html(inspect(people))
