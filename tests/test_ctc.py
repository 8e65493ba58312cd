"""Texts that are read off frames: the loss, the searches, and a network that hears which keys were dialled."""

import itertools
import json

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deepwright as dw
from deepwright.blocks.frames import FramesHead
from deepwright.ctc import greedy, prefix_beam
from deepwright.errors import DeepwrightError
from deepwright.preparation import open_tables, prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe
from deepwright.sounds import wav
from deepwright.table import Table


def collapsed(path):
    return tuple(token for token, _ in itertools.groupby(path) if token)


def of_all_paths(scores):
    """Return log p of every text that some row of frames means."""
    found = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        text = collapsed(path)
        total = sum(scores[place, token] for place, token in enumerate(path))
        found[text] = np.logaddexp(found.get(text, -np.inf), total)
    return found


def resolved(frame, recipe):
    """Return the recipe with all that it leaves open decided; nothing is trained."""
    table, held, name, declared = open_tables(Recipe.parse(recipe), Table.of(frame), [])
    return prepare(declared, table, held, name, silent).recipe


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(0, 5), st.integers(0, 10_000))
def test_loss_and_search_are_those_of_all_paths(rows, frames, seed):
    draw = np.random.default_rng(seed)
    raw = draw.normal(scale=2, size=(rows, frames, 3)).astype(np.float32)
    lengths = draw.integers(0, frames + 1, rows)
    scores = torch.log_softmax(torch.from_numpy(raw), -1).numpy()
    found = prefix_beam(scores, lengths, 1000)
    quick = greedy(scores, lengths)
    target = np.where(found < 0, -1, found) if found.shape[1] else np.full((rows, 1), -1)
    mask = torch.arange(frames) < torch.from_numpy(lengths)[:, None]
    head = FramesHead(3)
    loss = head.loss((torch.from_numpy(raw), mask), torch.from_numpy(target)) if frames else None
    for row, length in enumerate(lengths):
        texts = of_all_paths(scores[row, :length].astype(np.float64))
        text = tuple(token for token in found[row] if token >= 0)
        assert texts[text] == pytest.approx(max(texts.values()), abs=1e-6)
        assert tuple(token for token in quick[row] if token >= 0) == collapsed(scores[row, :length].argmax(1).tolist())
        if loss is not None and text:
            assert float(loss[row]) * len(text) == pytest.approx(-texts[text], rel=1e-4, abs=1e-4)


def test_a_sequence_that_is_too_short_is_told_apart():
    raw = (torch.zeros(3, 4, 3), torch.tensor([[True] * 4, [True] * 2 + [False] * 2, [False] * 4]))
    target = torch.tensor([[1, 1, 2, -1], [1, 1, -1, -1], [1, -1, -1, -1]])
    head = FramesHead(3)
    assert head.lacking(raw, target).tolist() == [0, 1, 1]
    assert torch.isfinite(head.loss(raw, target)).tolist() == [True, False, False]
    assert torch.isnan(head.outputs(raw)).all(2).tolist() == (~raw[1]).tolist()


def dialled(count=120, seed=0, rate=2000):
    """Return strings of digits as tones, one pitch each, equal ones parted by a pause."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        digits = "".join(draw.choice([*"0123"], draw.integers(1, 6)))
        parts = []
        for digit in digits:
            time = np.arange(int(rate * draw.uniform(0.08, 0.12))) / rate
            parts += [np.sin(2 * np.pi * (200 + 180 * int(digit)) * time) / 3, np.zeros(int(rate * 0.04))]
        sound = np.concatenate(parts)
        rows.append({"sound": wav((sound + draw.normal(scale=0.01, size=len(sound))).astype(np.float32), rate), "digits": digits})
    return pl.DataFrame(rows)


RECIPE = {
    "inputs": {
        "sound": {"type": "sound", "mels": 16, "augment": [], "encoder": {"type": "crnn", "channels": [8, 16], "width": 24}}
    },
    "outputs": {"digits": {"type": "text", "tokens": "char"}},
    "training": {"epochs": 20, "batch": 8, "optimizer": {"type": "adamw", "lr": 0.01}, "monitor": "character_error_rate"},
}


def test_what_was_dialled_is_read_without_torch(tmp_path):
    model = dw.train(dialled(), recipe=RECIPE, out=tmp_path / "model")
    assert model.metrics["digits"]["character_error_rate"]["value"] < 0.1
    export = json.loads((tmp_path / "model" / "manifest.json").read_text())["export"]
    assert export["graph"] is True
    assert export["lengths"] > 1
    fresh = dialled(12, seed=1)
    silent = pl.DataFrame({"sound": [*fresh["sound"], None]})
    frame = model.predict(silent)
    assert frame["digits"][-1] == ""
    right = (frame["digits"][:-1] == fresh["digits"]).mean()
    assert right > 0.7
    assert model.predict(silent, engine="torch")["digits"].to_list() == frame["digits"].to_list()


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["sound_cnn", "gru"])
def test_other_encoders_have_frames_too(tmp_path, encoder):
    inputs = {"sound": RECIPE["inputs"]["sound"] | {"encoder": encoder}}
    dw.train(dialled(40), recipe=RECIPE | {"inputs": inputs}, out=tmp_path / "model", settings=["training.epochs=1"])
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["export"]["graph"] is True


def test_what_is_left_open_is_read_off_the_frames():
    found = resolved(dialled(40), {"outputs": RECIPE["outputs"]})
    assert found.outputs["digits"].head.type_name() == "ctc"
    assert found.inputs["sound"].encoder.type_name() == "crnn"


def test_a_sound_that_is_too_short_for_its_text_is_told(tmp_path):
    frame = dialled(40)
    frame[7, "digits"] = "0123" * 40
    with pytest.raises(DeepwrightError) as error:
        dw.train(frame, recipe=RECIPE, out=tmp_path / "model", settings=["training.epochs=1", "data.split.validation=0"])
    assert error.value.code == "E401"
    assert "too short for the texts of output digits" in str(error.value)


def test_a_text_read_off_frames_needs_an_encoder_with_frames(tmp_path):
    recipe = {"inputs": {"size": "number"}, "outputs": {"digits": {"type": "text", "tokens": "char", "head": "ctc"}}}
    frame = pl.DataFrame({"size": np.arange(40.0), "digits": ["01", "10"] * 20})
    with pytest.raises(DeepwrightError) as error:
        dw.train(frame, recipe=recipe, out=tmp_path / "model")
    assert error.value.code == "E108"
