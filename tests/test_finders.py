"""Finding learning rates and batch sizes."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

import deepwright as dw
from deepwright.cli.main import run
from deepwright.engine import finders
from deepwright.engine.assembly import Encoded, assemble
from deepwright.engine.finders import _smooth, _steepest, _valley, find_batch, find_rate
from deepwright.errors import TrainingError
from deepwright.preparation import open_tables, prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe

TINY = {
    "tabular": {"type": "mlp", "hidden": [16], "dropout": 0.2},
    "data": {"drop": ["pay"]},
    "training": {"batch": 64, "optimizer": {"type": "adamw", "lr": 1e-3}},
}


@pytest.fixture
def task(people):
    def make(**training):
        recipe = Recipe.parse({**TINY, "training": {**TINY["training"], **training}})
        table, held, name, recipe = open_tables(recipe, people, ["rich"])
        prepared = prepare(recipe, table, held, name, silent)
        train, validation = (Encoded(part.arrays, part.targets) for part in (prepared.train, prepared.validation))
        return assemble(prepared.recipe, prepared.data, train, validation, lambda outputs: {})[0], prepared.recipe

    return make


def curve(bottom, rise=8.0):
    """A loss that falls from 1 around ``bottom - 1`` (a power of 10), is least at ``bottom`` and rises after it."""
    places = np.linspace(-6, 1, 100)
    loss = 1 - 0.8 / (1 + np.exp(-4 * (places - bottom + 1))) + np.maximum(places - bottom, 0) * rise
    return places, loss + np.random.default_rng(0).normal(0, 0.01, 100)


@pytest.mark.parametrize("bottom", [-4.0, -2.0, 0.0])
def test_suggestions_lie_in_the_fall(bottom):
    places, loss = curve(bottom)
    smoothed = _smooth(loss)
    assert bottom - 1.5 < places[_valley(smoothed)] < bottom - 0.2
    assert places[_steepest(smoothed)] == pytest.approx(bottom - 1, abs=0.4)


def test_noise_before_the_fall_is_not_the_fall():
    places, loss = curve(-2.0)
    early = loss + np.where(np.abs(places + 5) < 0.3, -0.25, 0.0)
    assert -3.5 < places[_valley(_smooth(early))] < -2.2


def test_smoothing_keeps_lines_and_does_not_lag():
    line = np.linspace(3, 1, 40)
    assert _smooth(np.ones(40)) == pytest.approx(np.ones(40))
    assert _smooth(line)[10:-10] == pytest.approx(line[10:-10])


def test_a_range_test_finds_what_learns(task):
    made, recipe = task()
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    state = torch.get_rng_state()
    found = find_rate(made, recipe, silent, steps=80)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in made.model.state_dict().items())
    assert 1e-4 < found.suggestion < 1
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    assert found.rates[0] == pytest.approx(finders.LOWEST)
    assert np.diff(np.log(found.rates)) == pytest.approx(np.log(found.rates[1] / found.rates[0]))
    assert find_rate(made, recipe, silent, steps=80) == found
    # the optimizer's own rate does not matter
    other = recipe.replace(training={"optimizer": recipe.training.optimizer.model_copy(update={"lr": 0.1})})
    assert find_rate(made, other, silent, steps=80).losses == pytest.approx(found.losses, rel=1e-3)


def test_a_range_test_of_few_steps_is_one_or_says_that_they_are_too_few(task):
    made, recipe = task()
    found = find_rate(made, recipe, silent, steps=14, low=1e-4, high=1.0)
    assert len(found.rates) == len(found.smoothed) <= 14
    assert 1e-4 < found.suggestion < 1
    with pytest.raises(TrainingError, match="E407"):
        find_rate(made, recipe, silent, steps=10, high=1e-5)


def test_a_range_test_ends_where_the_loss_diverges(task):
    made, recipe = task(optimizer={"type": "sgd", "momentum": 0.9})
    found = find_rate(made, recipe, silent, steps=60, high=1e6)
    assert found.diverged
    assert len(found.rates) < 60
    with torch.no_grad():
        next(made.model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="E401"):
        find_rate(made, recipe, silent)


def test_batches_double_up_to_the_rows(task):
    made, recipe = task()
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    found = find_batch(made, recipe, silent)
    sizes = [trial.batch for trial in found.trials]
    assert sizes[0] == 16
    assert all(b == 2 * a for a, b in pairwise(sizes))
    assert sizes[-1] <= len(made.feed.rows)
    assert found.largest == sizes[-1]
    best = max(trial.rows_per_second for trial in found.trials)
    assert found.suggestion == next(t.batch for t in found.trials if t.rows_per_second >= 0.95 * best)
    assert [row["batch"] for row in found.table() if row["chosen"]] == [found.suggestion]
    assert all(torch.equal(value, before[name]) for name, value in made.model.state_dict().items())


@pytest.mark.parametrize("most", [0, 64])
def test_what_does_not_fit_ends_the_search(task, monkeypatch, most):
    made, recipe = task()
    step = finders._step

    def limited(trial, optimizer, batch):
        if len(batch.targets["rich"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(trial, optimizer, batch)

    monkeypatch.setattr(finders, "_step", limited)
    if not most:
        with pytest.raises(TrainingError, match="E405"):
            find_batch(made, recipe, silent)
        return
    monkeypatch.setattr(finders, "NEAR", 0.0)
    found = find_batch(made, recipe, silent)
    assert [(trial.batch, trial.fits) for trial in found.trials] == [(16, True), (32, True), (64, True), (128, False)]
    assert (found.suggestion, found.largest) == (16, 64)


def test_the_command_prints_the_line_for_the_recipe(people, tmp_path, capsys):
    people.frame.write_csv("people.csv")
    Recipe.parse({**TINY, "data": {"source": "people.csv", "drop": ["pay"]}, "outputs": {"rich": "binary"}}).save("r.yaml")
    assert run(["find", "lr", "r.yaml", "--report", "lr.html", "--steps", "30", "-q"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("training: {optimizer: {type: adamw, lr: ")
    (tmp_path / "lr.yaml").write_text(line)
    assert Recipe.load("lr.yaml").training.optimizer.lr > 0
    page = (tmp_path / "lr.html").read_text()
    assert line.strip() in page
    assert "<svg" in page
    assert (
        run(
            [
                "find",
                "batch",
                "people.csv",
                "-t",
                "rich",
                "--set",
                "data.drop=[pay]",
                "--set",
                "tabular={type: mlp, hidden: [8]}",
                "--report",
                "b.html",
                "--json",
            ]
        )
        == 0
    )
    shown = json.loads(capsys.readouterr().out)
    assert shown["recipe"] == f"training: {{batch: {shown['suggestion']}}}"
    assert "<svg" in (tmp_path / "b.html").read_text()
    assert run(["find", "lr", "people.csv"]) == 2


def test_the_same_from_python(people):
    found = dw.find_lr(people, target="rich", recipe=TINY, steps=20, listener=silent)
    assert found.suggestion > 0
    assert dw.find_batch(people, target="rich", recipe=TINY, listener=silent).suggestion >= 16
