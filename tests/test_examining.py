"""What inspect tells of the files of a column: pictures and sounds are opened."""

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from deepwright import examining, sounds
from deepwright.examining import examine, remarks, same_files, shared_files
from deepwright.reporting.inspection import inspection_html
from deepwright.steps.inspect import inspect
from deepwright.table import Table


def png(value, size=(8, 6), mode="RGB", noise=True):
    draw = np.random.default_rng(value)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = draw.integers(0, 255, shape).astype(np.uint8) if noise else np.full(shape, value, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, "png")
    return file.getvalue()


def wav(seconds, rate=8000, channels=1, level=0.1, seed=0):
    wave = np.random.default_rng(seed).normal(0, level, (round(seconds * rate), channels)) if level else np.zeros(100)
    return sounds.wav(wave.astype(np.float32), rate)


def put(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_pictures_are_opened(tmp_path):
    broken = png(1)
    put(
        tmp_path,
        {
            **{f"cat/{i}.png": png(i, size=(8 + i, 6)) for i in range(5)},
            **{f"dog/{i}.png": png(50 + i, mode="L") for i in range(5)},
            "cat/copy.png": png(51, mode="L"),
            "cat/cut.png": broken[: len(broken) // 2],
            "dog/text.png": b"hello",
            "dog/plain.png": png(7, noise=False),
        },
    )
    found = inspect(str(tmp_path), target="label")
    assert {"6 × 8 … 6 × 12", "grey and colour"} <= set(found.column("image").notes)
    told = {finding.code: finding for finding in found.findings}
    assert told["unreadable"].severity == "error"
    assert told["unreadable"].text.startswith("2 of 14 pictures cannot be read: cat/cut.png: ")
    assert "dog/text.png: not a picture" in told["unreadable"].text
    assert told["empty_files"].text == "1 of 14 pictures is of one colour: dog/plain.png"
    assert "1 of 14 pictures is the same as another, bit by bit: cat/copy.png = dog/1.png" in told["same_files"].text
    assert "of 1 the label differs: cat/copy.png is 'cat', dog/1.png 'dog'" in told["same_files"].text
    assert found.findings[0].code == "unreadable"


def test_sounds_are_opened(tmp_path):
    whole = wav(0.5)
    put(
        tmp_path,
        {
            **{f"low/{i}.wav": wav(0.1 * (i + 1), seed=i) for i in range(5)},
            "high/a.wav": wav(2, rate=16000, channels=2),
            "high/quiet.wav": wav(1, level=0),
            "high/cut.wav": whole[:1000],
        },
    )
    found = inspect(str(tmp_path))
    assert found.column("sound").notes == (
        "0.0125 … 2 s, half of them above 0.3 s",
        "8,000 Hz, 16,000 Hz",
        "mono and stereo",
    )
    told = {finding.code: finding.text for finding in found.findings}
    assert "1 of 8 sounds cannot be read: high/cut.wav: cut short" in told["unreadable"]
    assert told["empty_files"] == "1 of 8 sounds is silent: high/quiet.wav"


def test_bytes_and_missing_cells_have_rows_for_names():
    column = pl.Series("photo", [None, png(1), b"junk", png(1), None])
    files = examine(column, "image")
    assert files.opened == 3
    assert [row for row, _ in files.unreadable] == [3]
    assert list(remarks(files)) == ["6 × 8", "colour"]
    (same,) = same_files(column, "image", None)
    assert "1 of 5 pictures is the same as another, bit by bit: row 2 = row 4" in same.text
    assert examine(pl.Series("photo", [None, None], dtype=pl.Binary), "image").opened == 0


def test_many_files_are_sampled_and_all_compared(monkeypatch):
    monkeypatch.setattr(examining, "OPENED", 10)
    column = pl.Series("photo", [png(i % 49) for i in range(50)])
    files = examine(column, "image")
    assert (files.opened, files.there) == (10, 50)
    assert next(remarks(files)) == "10 of 50 opened"
    (same,) = same_files(column, "image", None)
    assert "row 1 = row 50" in same.text
    monkeypatch.setattr(examining, "HASHED", 0)
    assert not list(same_files(column, "image", None))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_test_pictures_among_the_training_ones_are_told_and_others_are_not(tmp_path, kind):
    import shutil

    put(tmp_path / "old", {f"{label}/{i}.png": png(10 * i + len(label)) for i in range(15) for label in ("cat", "horse")})
    put(tmp_path / "new", {f"{label}/{i}.png": png(1000 + 10 * i + len(label)) for i in range(10) for label in ("cat", "horse")})
    places = [str(tmp_path / name) for name in ("old", "new")]
    if kind == "zip":
        places = [shutil.make_archive(place, "zip", place) for place in places]
    assert "overlap" not in {finding.code for finding in inspect(places[0], test=places[1], target="label").findings}
    put(tmp_path / "new", {"cat/again.png": png(53)})
    if kind == "zip":
        places[1] = shutil.make_archive(str(tmp_path / "new"), "zip", tmp_path / "new")
    (told,) = (f for f in inspect(places[0], test=places[1], target="label").findings if f.code == "overlap")
    assert told.text.startswith("1 of 21 test pictures are among those of the training rows")


def test_paths_and_bytes_compare(tmp_path):
    put(tmp_path, {"a.png": png(1), "b.png": png(2)})
    paths = pl.Series("photo", [str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    (told,) = shared_files(paths, pl.Series("photo", [png(2), png(3)]), "image")
    assert "1 of 2 test pictures" in told.text


@pytest.mark.parametrize("target", ["mask", "size", "words"])
def test_targets_that_are_no_labels_are_no_names_of_files(target):
    rows = [png(i % 30) for i in range(40)]
    frame = {"image": rows, "mask": [png(i, mode="L") for i in range(40)], "size": [i / 7 for i in range(40)]}
    frame["words"] = [[f"word {i}", "and more"] for i in range(40)]
    found = inspect(Table.of(frame), target=target)
    assert found.column("image").examples[0][0] == "row 1"
    assert "differs" not in next(f.text for f in found.findings if f.code == "same_files" and f.columns == ("image",))


def test_the_page_shows_some_files_of_every_label(tmp_path):
    put(tmp_path, {f"{label}/{i}.png": png(i) for i in range(20) for label in ("cat", "dog")} | {"cat/a.png": b"junk"})
    found = inspect(str(tmp_path), target="label")
    assert [word for word, _ in found.column("image").examples] == ["cat", "dog"] * 4 + ["cat"]
    assert "examples" not in found.model_dump_json()
    page = inspection_html(found)
    assert page.count('alt="dog"') == 4
    assert "no readable picture" not in page
    put(tmp_path / "heard", {f"{i}/a.wav": wav(0.5, seed=i) for i in range(3)})
    found = inspect(str(tmp_path / "heard"))
    assert [word for word, _ in found.column("sound").examples] == ["0/a.wav", "1/a.wav", "2/a.wav"]
    assert inspection_html(found).count("<img") == 3
