"""Rows that are streamed from disk: the same states and arrays as in memory."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from deepwright import blockwise
from deepwright.batches import Rows
from deepwright.bundle import Bundle
from deepwright.errors import DataError, RecipeError
from deepwright.preparation import load_tables, open_scan, prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe
from deepwright.steps.train import train
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
    "in order": {
        "data": {"split": {"by": "time", "column": "seen", "test": 0.2}},
        "inputs": {"day": "date", "street": {"type": "category", "max_size": 50}},
    },
    "numbers": {
        "outputs": {"pay": "number"},
        "inputs": {"number": {"type": "number", "view": "quantile", "log": True}, "tags": "tags"},
    },
    "texts": {"inputs": {"street": "text", "city": {"type": "text", "ngrams": 2}}},
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


# The whole way ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rows"), [("", 3050), ("/*.parquet", 3050), ("/[01].parquet", 2200), ("/0.parquet", 1100)])
def test_folders_patterns_and_files_can_be_scanned(folder, name, rows):
    source = Recipe.parse({"data": f"{folder}{name}"}).data.source
    assert len(source.scan()) == len(source.read()) == rows


@pytest.mark.slow
def test_training_from_disk_makes_a_bundle(folder, tmp_path):
    recipe = Recipe.parse(
        {
            "data": {"source": str(folder), "stream": True, "split": {"test": 0.1}},
            "outputs": {"rich": "binary"},
            "tabular": {"type": "mlp", "hidden": [8]},
            "training": {"epochs": 2},
        }
    )
    told = []
    bundle = train(recipe, out=tmp_path / "bundle", listener=told.append)
    assert any("streamed" in event.text for event in told)
    found = Bundle.open(bundle).manifest
    assert found["metrics"]["rich"]["roc_auc"]["value"] > 0.9
    assert len(found["lineage"]["data"]) == 64


def test_a_second_run_takes_rows_and_states_from_the_store(folder, tmp_path, monkeypatch):
    recipe = Recipe.parse({"data": {"source": str(folder)}, "outputs": {"rich": "binary"}})
    store = Store(tmp_path / "store")
    first = prepare_scan(recipe, recipe.data.source.scan(), None, "", store, silent)
    monkeypatch.setattr("deepwright.streaming._write", None)
    second = prepare_scan(recipe, recipe.data.source.scan(), None, "", store, silent)
    assert first.data.dump() == second.data.dump()
    assert first.notes == second.notes
    file = folder / "0.parquet"
    pl.read_parquet(file).with_columns(pl.col("count") + 1).write_parquet(file)
    with pytest.raises(TypeError):  # the data have changed: they are written anew
        prepare_scan(recipe, recipe.data.source.scan(), None, "", store, silent)


def test_errors_tell_the_true_rows_of_all_columns(folder, tmp_path):
    file = folder / "1.parquet"
    frame = pl.read_parquet(file)
    bad = frame["text number"].to_list()
    bad[7] = "seven"
    frame.with_columns(pl.Series("text number", bad), pl.Series("day", ["someday"] * len(frame))).write_parquet(file)
    types = {"text number": "number", "day": "date"}
    recipe = Recipe.parse(
        {"data": {"source": str(folder), "split": {"validation": 0.01}}, "inputs": types, "outputs": {"rich": "binary"}}
    )
    with pytest.raises(DataError) as caught:
        prepare_scan(recipe, recipe.data.source.scan(), None, "", Store(tmp_path / "store"), silent)
    assert {problem.code for problem in caught.value.problems} == {"E220", "E222"}
    rich = pl.concat([pl.read_parquet(folder / f"{part}.parquet") for part in range(3)])["rich"]
    assert rich[1107] is not None
    assert "row 1108: 'seven'" in str(caught.value)
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize(
    ("declared", "where"),
    [
        ({"data": {"select": {"keep": 3}}}, "data.select"),
        ({"training": {"balance": "resample"}}, "training.balance"),
        ({"data": {"split": {"validation": 0}}}, "data.split"),
    ],
)
def test_what_cannot_be_streamed_is_refused(folder, tmp_path, declared, where):
    recipe = Recipe.parse({"outputs": {"rich": "binary"}, **declared, "data": {**declared.get("data", {}), "source": str(folder)}})
    with pytest.raises(RecipeError, match=f"E241  {where}"):
        prepare_scan(recipe, recipe.data.source.scan(), None, "", Store(tmp_path / "store"), silent)


def test_auto_streams_what_is_large_for_the_memory(folder, monkeypatch):
    recipe = Recipe.parse({"data": {"source": str(folder)}, "outputs": {"rich": "binary"}})
    assert open_scan(recipe) is None
    monkeypatch.setattr("deepwright.scan.available_memory", lambda: 100_000)
    assert len(open_scan(recipe)) == ROWS + 50
    assert open_scan(recipe.replace(data={"stream": False})) is None


def test_types_of_many_rows_are_inferred_from_a_sample(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("deepwright.scan.SAMPLE", 1000)
    recipe = Recipe.parse({"data": {"source": str(folder)}, "outputs": {"rich": "binary"}})
    scan = recipe.data.source.scan()
    assert len(scan.sample()) == 1000
    streamed = prepare_scan(recipe, scan, None, "", Store(tmp_path / "store"), silent)
    assert streamed.recipe.inputs["seen"].type_name() == "date"
    assert any("1,000 of the 3,050 rows" in note.text for note in streamed.notes)


def test_rows_behind_a_url_are_fetched_once(folder, tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("DEEPWRIGHT_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    for file in folder.iterdir():
        memory.pipe(f"/bucket/rows/{file.name}", file.read_bytes())
    plain = Recipe.parse({"data": str(folder)}).data.source.read()
    for path in ("memory://bucket/rows/*.parquet", {"type": "parquet", "path": "memory://bucket/rows"}):
        source = Recipe.parse({"data": {"source": path}}).data.source
        assert source.read().frame.equals(plain.frame)
        assert len(source.scan()) == len(plain)
    assert len(Store(tmp_path / "cache").entries()) == 3
    with pytest.raises(DataError, match="E200"):
        Recipe.parse({"data": "memory://bucket/none.parquet"}).data.source.read()
