"""Rows that are streamed from disk: the same states and arrays as in memory."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

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
