"""Small real-looking data that many tests share."""

from __future__ import annotations

import functools
import types

import numpy as np
import polars as pl
import pytest
from hypothesis import settings

from deepwright.table import Table

# The same examples each time, so that a change is judged by what it changed; `make test-all` draws new ones.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="session")
def _a_cache_of_their_own(tmp_path_factory):
    """Keep encoded rows out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _operators_are_read_once():
    """Let exports share PyTorch's table of operators: it reads the sources of 500 functions for each, half of a small one."""
    from torch.onnx._internal.exporter import _registration

    with pytest.MonkeyPatch.context() as patch:
        found = functools.cache(_registration.onnxscript_apis.get_torchlib_ops)
        patch.setattr(_registration, "onnxscript_apis", types.SimpleNamespace(get_torchlib_ops=found))
        yield


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Keep what a test writes without a path out of the project."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def two_threads():
    """Let torch compute with two threads, which the tune-up then asks about."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def people() -> Table:
    """300 rows with numbers, categories, missing values and a class that they explain."""
    rng = np.random.default_rng(0)
    age = rng.integers(17, 90, 300)
    work = rng.choice(["office", "field", "home"], 300)
    gain = np.where(rng.random(300) < 0.8, 0, rng.integers(100, 9000, 300))
    score = 0.05 * (age - 45) + 1.5 * (work == "office") + 0.0005 * gain + rng.normal(0, 0.7, 300)
    columns = {
        "age": [None if i % 37 == 0 else int(a) for i, a in enumerate(age)],
        "work": [None if i % 41 == 0 else str(w) for i, w in enumerate(work)],
        "gain": gain.tolist(),
        "rich": ["yes" if s > 0.8 else "no" for s in score],
        "pay": (1000 + 200 * score).round(2).tolist(),
    }
    return Table(pl.DataFrame(columns), "people.csv")
