"""A run that is killed anywhere, again and again, ends as the one that was not."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from deepwright.recipe import Recipe

PHASES = ("step", "write", "evaluation")


def table_recipe(folder, rng):
    rows = 600
    columns = {"a": rng.normal(size=rows), "b": rng.choice(["x", "y", "z"], rows), "c": rng.integers(0, 9, rows)}
    target = np.where(columns["a"] + (columns["b"] == "x") + rng.normal(0, 0.5, rows) > 0.5, "yes", "no")
    pl.DataFrame({**columns, "target": target}).write_csv(folder / "rows.csv")
    return {
        "data": "rows.csv",
        "tabular": {"type": "tabm", "k": 2, "width": 16, "dropout": 0.1},
        "training": {"optimizer": "adamw", "batch": 32},
    }


def picture_recipe(folder, rng):
    for label, light in (("dark", 60), ("light", 150)):
        (folder / "pictures" / label).mkdir(parents=True)
        for number in range(120):
            pixels = rng.integers(0, 100, (12, 12, 3), dtype=np.uint8) + light
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "pictures" / label / f"{number}.png")
    return {
        "data": "pictures",
        "inputs": {"image": {"type": "image", "augment": ["flip", "crop"], "encoder": {"type": "cnn", "channels": [8, 8]}}},
        "training": {"optimizer": "muon", "batch": 16, "mixup": 0.2},
    }


def run(folder, out, *point):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), "recipe.yaml", out, *map(str, point)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def ending(folder, out):
    """Return what must be equal: the weights, the log, and the last saved state with its optimizer."""
    bundle = folder / out
    return {
        "weights": hashlib.sha256((bundle / "weights.safetensors").read_bytes()).hexdigest(),
        "log": (bundle / "log.jsonl").read_text(),
        "state": (folder / f"{out}.sha").read_text(),
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("task", [table_recipe, picture_recipe], ids=["table", "pictures"])
def test_a_run_killed_fifteen_times_ends_as_one_that_was_not(tmp_path, task, prefetch):
    plain = task(tmp_path, np.random.default_rng(0))
    training = {"epochs": 8, "evaluate_every": 0.5, "checkpoint_every": 0.05, "patience": 0, "prefetch": prefetch, "threads": 1}
    target = "label" if "inputs" in plain else "target"
    recipe = {**plain, "outputs": {target: "category"}, "training": {**plain["training"], **training}}
    Recipe.parse(recipe).save(tmp_path / "recipe.yaml")
    whole = run(tmp_path, "whole")
    assert whole.returncode == 0, whole.stderr
    chance = random.Random(prefetch)
    phases = [*PHASES] * 5
    chance.shuffle(phases)
    for number, phase in enumerate(phases):
        killed = run(tmp_path, "killed", phase, chance.randint(1, {"step": 12, "write": 2, "evaluation": 2}[phase]), number)
        assert killed.returncode == -9, f"{phase} {number}: {killed.stderr}"
        assert not (tmp_path / "killed").exists()
    last = run(tmp_path, "killed")
    assert last.returncode == 0, last.stderr
    assert ending(tmp_path, "killed") == ending(tmp_path, "whole")
    assert not (tmp_path / "killed.partial").exists()
