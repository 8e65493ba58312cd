"""The store of encoded rows: whole entries or none, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from deepwright import caching, pictures
from deepwright.cli.main import app
from deepwright.errors import DataError, UsageError
from deepwright.preparation import load_tables, prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe
from deepwright.store import Store, default_store, key_of


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache")


def write(store, key, size=1000):
    with store.writing(key) as writer:
        writer.put("numbers", np.full(size, len(key), np.uint8))
        writer.facts["key"] = key


def test_what_is_written_is_read(store):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(3, 2), "b": np.zeros((0, 4), np.uint8), "c": np.array([1, 2], np.int64)}
    with store.writing("entry") as writer:
        writer.facts["words"] = ["ä", 1, None]
        for name, array in arrays.items():
            rows = writer.array(name, array.shape, array.dtype)
            for row in array:
                rows.append(row[None])
    stored = store.get("entry")
    assert stored.facts == {"words": ["ä", 1, None]}
    for name, array in arrays.items():
        for read in (stored.load(name), stored.map(name)) if array.size else (stored.load(name),):
            assert read.dtype == array.dtype
            assert np.array_equal(read, array)


def test_a_part_that_was_not_written_makes_no_entry(store):
    with pytest.raises(ValueError, match="2 of 3 rows"), store.writing("entry") as writer:
        writer.array("a", (3,), np.uint8).append(np.zeros(2, np.uint8))
    assert store.get("entry") is None
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("harm", ["flip", "cut", "lose", "manifest"])
def test_a_damaged_entry_is_removed_and_not_taken(store, harm):
    write(store, "entry")
    file = store.get("entry").file("numbers")
    data = bytearray(file.read_bytes())
    match harm:
        case "flip":
            data[-1] ^= 1
            file.write_bytes(data)
        case "cut":
            file.write_bytes(data[:-1])
        case "lose":
            file.unlink()
        case "manifest":
            (file.parent / "manifest.json").write_text("{")
    assert store.get("entry") is None
    write(store, "entry")
    assert store.get("entry") is not None


KILLED = """
import sys, time, numpy as np
from pathlib import Path
from deepwright.store import Store
with Store(Path(sys.argv[1])).writing("entry") as writer:
    array = writer.array("a", (1000,), np.uint8)
    array.append(np.zeros(500, np.uint8))
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_writer_leaves_nothing_that_counts_and_its_scratch_is_swept(store):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(store.root)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"half\n"
    store.sweep()
    assert len(list(store.root.iterdir())) == 1  # it is still writing
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert store.get("entry") is None
    assert store.entries() == []
    write(store, "other")
    assert [path.name for path in store.root.iterdir()] == ["other"]


def test_two_writers_of_one_entry_agree(store):
    barrier = threading.Barrier(4)
    failures = []

    def work():
        try:
            with store.writing("entry") as writer:
                writer.put("numbers", np.ones(1000, np.uint8))
                barrier.wait()
            assert store.get("entry").load("numbers").sum() == 1000
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [path.name for path in store.root.iterdir()] == ["entry"]


def test_beyond_the_bound_the_entries_used_longest_ago_go(tmp_path):
    store = Store(tmp_path / "cache", limit=3500)
    for number, key in enumerate("abc"):
        write(store, key)
        os.utime(store.root / key / "manifest.json", (number, number))
    assert store.get("a") is not None  # used now
    write(store, "d")
    assert {entry.path.name for entry in store.entries()} == {"a", "c", "d"}
    write(store, "large", size=10_000)  # what is being written stays, even beyond the bound
    assert [entry.path.name for entry in store.entries()] == ["large"]
    with pytest.raises(DataError, match="E240"), store.writing("too large", size=10**18):
        pass


def test_the_environment_names_the_store_and_its_bound(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPWRIGHT_CACHE", str(tmp_path / "here"))
    monkeypatch.setenv("DEEPWRIGHT_CACHE_SIZE", "1.5 GB")
    assert (default_store().root, default_store().limit) == (tmp_path / "here", 1_500_000_000)
    monkeypatch.setenv("DEEPWRIGHT_CACHE_SIZE", "much")
    with pytest.raises(UsageError, match="E701"):
        default_store()
    monkeypatch.setenv("DEEPWRIGHT_CACHE", "off")
    assert default_store() is None
    if sys.platform == "linux":
        monkeypatch.delenv("DEEPWRIGHT_CACHE_SIZE")
        monkeypatch.delenv("DEEPWRIGHT_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert default_store().root == tmp_path / "deepwright"


def test_the_command_lists_and_clears(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPWRIGHT_CACHE", str(tmp_path / "here"))
    write(default_store(), key_of("entry"))
    runner = CliRunner()
    listed = runner.invoke(app, ["cache"]).output
    assert key_of("entry")[:12] in listed
    assert "1,000 rows" in listed
    assert "1 entries removed" in runner.invoke(app, ["cache", "--clear"]).output
    assert runner.invoke(app, ["cache", "--json"]).output.count('"entries": []') == 1


# Encoded rows between runs ------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    """120 PNG files of two kinds, and the table that names them."""
    draw = np.random.default_rng(0)
    paths = []
    for number in range(120):
        pixels = draw.integers(0, 128, (8, 8, 3), dtype=np.uint8) + np.uint8(100 * (number % 2))
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(pictures.png(pixels))
    frame = pl.DataFrame({"photo": [path.name for path in paths], "kind": ["dark", "light"] * 60})
    frame.write_parquet(tmp_path / "photos.parquet")
    return paths


def prepared(tmp_path, store, **data):
    recipe = Recipe.parse(
        {
            "data": {"source": str(tmp_path / "photos.parquet"), "split": {"validation": 0.2}, **data},
            "inputs": {"photo": "image"},
            "outputs": {"kind": "binary"},
        }
    )
    table, held, name, recipe = load_tables(recipe)
    return prepare(recipe, table, held, name, silent, store)


@pytest.fixture
def decoded(monkeypatch):
    """How many columns of pictures were decoded."""
    calls = []
    real = pictures.decode
    monkeypatch.setattr(pictures, "decode", lambda column, *rest: calls.append(len(column)) or real(column, *rest))
    return calls


def test_pictures_are_decoded_once_unless_one_changed(tmp_path, store, photos, decoded, monkeypatch):
    monkeypatch.setattr(caching, "LEAST_SECONDS", 0.0)
    plain = prepared(tmp_path, None)
    times = []
    for _ in range(2):
        decoded.clear()
        again = prepared(tmp_path, store)
        times.append(decoded.count(len(again.train)))
        assert np.array_equal(plain.train.arrays["photo.image"], again.train.arrays["photo.image"])
    assert times == [2, 1]  # to learn from and to encode; to learn from
    entries = len(store.entries())
    photos[0].write_bytes(pictures.png(np.full((8, 8, 3), 7, np.uint8)))
    changed = prepared(tmp_path, store)
    sides = [(plain.train, changed.train), (plain.validation, changed.validation)]
    assert sum((a.arrays["photo.image"] != b.arrays["photo.image"]).any(axis=(1, 2, 3)).sum() for a, b in sides) == 1
    assert len(store.entries()) > entries


def test_quick_encodings_are_not_kept(tmp_path, store, photos):
    prepared(tmp_path, store)
    assert store.entries() == []


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_does_not_matter(tmp_path, photos, workers):
    assert np.array_equal(
        prepared(tmp_path, None).train.arrays["photo.image"], prepared(tmp_path, None, workers=workers).train.arrays["photo.image"]
    )


def test_pictures_can_be_trained_from_disk(tmp_path, store, photos, monkeypatch):
    monkeypatch.setattr(caching, "_SLICE", 17)
    resident, streamed = prepared(tmp_path, store), prepared(tmp_path, store, stream=True)
    assert streamed.train.stored is not None
    assert resident.train.stored is None
    assert np.array_equal(resident.train.arrays["photo.image"], streamed.train.arrays["photo.image"])
    assert np.array_equal(resident.train.targets["kind"], streamed.train.targets["kind"])
    assert len(streamed.train) == len(resident.train)
