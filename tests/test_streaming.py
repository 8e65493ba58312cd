"""Rows that are streamed from disk: the same states and arrays as in memory."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from deepwright import blockwise
from deepwright.batches import Rows

from deepwright.errors import DataError, RecipeError
from deepwright.preparation import load_tables, prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe
from deepwright.scan import Scan
from deepwright.store import Store
from deepwright.streaming import prepare_scan

ROWS = 3000


@pytest.fixture
def folder(tmp_path):
    """3,000 rows in three Parquet files: numbers, texts, dates, tags, gaps, outliers, blanks, repeated rows."""
    rng = np.random.default_rng(1)
    number = rng.lognormal(size=ROWS)
    number[::97] = 500.0
    city = rng.choice([" Rome", "Oslo ", "Lima", "?", "Bonn"], ROWS)
    columns = {
        "number": pl.Series(number).scatter(np.arange(0, ROWS, 41), None),
        "count": rng.integers(0, 5, ROWS),
        "text number": pl.Series([f"{v:.2f}" for v in rng.normal(size=ROWS)]),
        "city": city.tolist(),
        "street": [f"street {i}" for i in rng.zipf(1.5, ROWS) % 400],
        "day": [f"{d:02}.{m:02}.2020" for d, m in zip(rng.integers(1, 29, ROWS), rng.integers(1, 13, ROWS), strict=True)],
        "seen": pl.Series(rng.integers(0, 10**9, ROWS) * 1_000_000).cast(pl.Datetime("us")),
        "flag": rng.random(ROWS) < 0.3,
        "tags": ["|".join(rng.choice(["a", "b", "c"], 2)) for _ in range(ROWS)],
        "weight": rng.random(ROWS) + 0.1,
        "group": rng.integers(0, 200, ROWS),
        "pay": number * 3 + rng.normal(size=ROWS),
        "rich": [None if i % 59 == 0 else "yes" if v > 1 else "no" for i, v in enumerate(number)],
    }
    frame = pl.DataFrame(columns)
    frame = pl.concat([frame[:1000], frame[:50], frame[1000:]])
    place = tmp_path / "rows"
    place.mkdir()
    for part in range(3):
        frame[part * 1100 : (part + 1) * 1100].write_parquet(place / f"{part}.parquet", row_group_size=300)
    return place


RECIPES = {
    "plain": {},
    "cleaned": {
        "data": {
            "clean": {
                "duplicates": "drop",
                "number": {"outliers": "drop", "missing": "drop"},
                "pay": {"outliers": "clip", "fence": 1.5},
                "text number": {"convert": "number", "outliers": "clip"},
                "city": {"case": "upper", "replace": {"LIMA": "ROME", "NOWHERE": "X"}},
                "count": {"convert": "number", "outliers": "clip"},
            },
            "drop": ["count"],
            "derive": {"ratio": "number / (1 + count)", "bigger": "ratio * 2", "where": "cross(city, flag)"},
            "weight": "weight",
        },
        "training": {"balance": "weights"},
    },
    "grouped": {"data": {"split": {"by": "group", "column": "group", "test": 0.1}}, "outputs": {"rich": "binary", "pay": "number"}},
    "in order": {"data": {"split": {"by": "time", "column": "seen", "test": 0.2}}, "inputs": {"day": "date", "street": {"type": "category", "max_size": 50}}},
    "numbers": {"outputs": {"pay": "number"}, "inputs": {"number": {"type": "number", "view": "quantile", "log": True}, "tags": "tags"}},
}


def both(folder, tmp_path, declared):
    recipe = Recipe.parse({"outputs": {"rich": "binary"}, **declared, "data": {**declared.get("data", {}), "source": str(folder)}})
    table, held, name, recipe = load_tables(recipe)
    notes = []
    held_in_memory = prepare(recipe, table, held, name, silent)
    streamed = prepare_scan(recipe, recipe.data.source.scan(), held, name, Store(tmp_path / "store"), notes.append)
    return held_in_memory, streamed


@pytest.mark.parametrize("declared", RECIPES.values(), ids=RECIPES.keys())
def test_what_is_learnt_and_encoded_is_equal_to_the_last_bit(folder, tmp_path, declared):
    a, b = both(folder, tmp_path, declared)
    assert a.recipe == b.recipe
    assert a.data.dump() == b.data.dump()
    for side in ("train", "validation", "test"):
        one, other = getattr(a, side), getattr(b, side)
        assert (one is None) == (other is None)
        if one is None:
            continue
        for mine, theirs in ((one.arrays, other.arrays), (one.targets, other.targets)):
            assert list(mine) == list(theirs)
            for key in mine:
                assert mine[key].dtype == theirs[key].dtype
                assert np.array_equal(mine[key], theirs[key], equal_nan=mine[key].dtype.kind == "f")
        assert (one.weights is None) == (other.weights is None)
        assert one.weights is None or np.array_equal(one.weights, other.weights)
    told = {(note.what, note.text) for note in a.notes} - {(note.what, note.text) for note in b.notes}
    assert {what for what, _ in told} <= {"strip", "missing_marker"}  # counted over the columns that are used only


# Training from the store --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows and windows of a few blocks, so that small data have many."""
    monkeypatch.setattr(blockwise, "BLOCK_BYTES", 12 * 7)
    monkeypatch.setattr(blockwise, "WINDOW_BYTES", 12 * 7 * 5)


def stored_rows(tmp_path, rows=500, weights=None):
    """Stored and resident rows of 12 bytes with the row's number in every value."""
    numbers = np.arange(rows, dtype=np.float32)
    arrays = {"tabular.numbers": np.stack([numbers, -numbers], axis=1)}
    store = Store(tmp_path / "store")
    with store.writing("entry") as writer:
        writer.put("tabular.numbers", arrays["tabular.numbers"])
        writer.put("target y", np.arange(rows, dtype=np.int32))
    stored = store.get("entry")
    targets = {"y": np.arange(rows, dtype=np.int32)}
    return blockwise.open_rows(arrays, targets, weights, stored=stored), Rows(arrays, targets, weights)


def same(a, b):
    pairs = [(a.arrays, b.arrays), (a.targets, b.targets), ({"w": a.rows}, {"w": b.rows})]
    return all(list(x) == list(y) and all(x[k] is y[k] or torch.equal(x[k], y[k]) for k in x) for x, y in pairs)


@pytest.mark.parametrize(("rows", "size"), [(500, 16), (500, 90), (7, 7), (501, 500), (3, 16)])
def test_an_epoch_holds_every_row_once_and_batches_are_those_of_resident_rows(tmp_path, small_blocks, rows, size):
    stored, resident = stored_rows(tmp_path, rows, np.arange(rows, dtype=np.float32))
    sampler = blockwise.open_sampler(stored, size, seed=3)
    assert (sampler.steps, sampler.size) == (max(1, rows // min(size, rows)), min(size, rows))
    epochs = []
    for epoch in range(3):
        seen = [sampler(epoch * sampler.steps + step) for step in range(sampler.steps)]
        for index in seen:
            assert same(stored.take(index), resident.take(index))
        epochs.append(torch.cat(seen))
        assert len(epochs[-1].unique()) == sampler.steps * sampler.size
    assert rows < 10 or not torch.equal(epochs[0], epochs[1])


def test_the_order_depends_on_seed_and_step_alone(tmp_path, small_blocks):
    stored, resident = stored_rows(tmp_path)
    sampler = blockwise.open_sampler(stored, 16, seed=3)
    through = {step: sampler(step).clone() for step in range(70)}
    for step in (69, 3, 31, 30, 0, 68):  # as after a resume, in any order
        assert torch.equal(blockwise.open_sampler(stored, 16, seed=3)(step), through[step])
        assert torch.equal(sampler(step), through[step])
        assert same(stored.take(sampler(step)), resident.take(through[step]))
    assert not torch.equal(blockwise.open_sampler(stored, 16, seed=4)(0), through[0])


def test_rows_of_many_blocks_meet_in_a_window(tmp_path, small_blocks):
    stored, _ = stored_rows(tmp_path)
    sampler = blockwise.open_sampler(stored, 16, seed=0)
    index = torch.cat([sampler(step) for step in range(2)])
    assert len((index // stored.block).unique()) == stored.window  # shuffled together
    assert not torch.equal(index.sort().values, index)


def test_any_rows_can_be_taken_and_all_in_order(tmp_path, small_blocks):
    stored, resident = stored_rows(tmp_path)
    draw = torch.Generator().manual_seed(0)
    blockwise.open_sampler(stored, 16, seed=0)
    for _ in range(40):
        index = torch.randint(len(resident), (20,), generator=draw)
        assert same(stored.take(index), resident.take(index))
    assert all(same(a, b) for a, b in zip(stored.slices(33), resident.slices(33), strict=True))
    assert {k: (v.shape, v.dtype) for k, v in stored.arrays.items()} == {k: (v.shape, v.dtype) for k, v in resident.arrays.items()}


def test_an_entry_that_leaves_the_store_is_read_on(tmp_path, small_blocks):
    stored, resident = stored_rows(tmp_path)
    Store(tmp_path / "store").clear()
    index = torch.arange(100, 130)
    assert same(stored.take(index), resident.take(index))
