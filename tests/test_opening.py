"""Rows that a trained model reads: files in any folder, one file, and columns under another name."""

import io
import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image

import deepwright as dw
from deepwright.cli.main import run
from deepwright.errors import DataError, RecipeError
from deepwright.opening import read_rows, source_for
from deepwright.recipe import Data
from deepwright.steps.inspect import inspect
from deepwright.steps.predict import predict


def png(value, side=8):
    file = io.BytesIO()
    Image.fromarray(np.full((side, side), value, np.uint8)).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of dark and light pictures in folders of their classes, and the model trained on it."""
    place = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for index in range(40):
        folder = place / "sorted" / ("dark", "light")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:02}.png").write_bytes(png(int(draw.integers(0, 90)) + 150 * (index % 2)))
    encoder = {"type": "sequential", "layers": ["flatten", {"type": "dense", "units": 8}]}
    recipe = {
        "data": str(place / "sorted"),
        "inputs": {"image": {"type": "image", "encoder": encoder, "augment": []}},
        "outputs": {"label": "category"},
        "training": {"epochs": 30, "batch": 8, "seed": 0},
    }
    dw.train(recipe=recipe, out=place / "model")
    return place


@pytest.fixture
def loose(tmp_path):
    """A folder of new pictures, one of them deeper, beside a text."""
    (tmp_path / "loose" / "more").mkdir(parents=True)
    for name, value in [("a.png", 20), ("b.png", 230), ("more/c.png", 10)]:
        (tmp_path / "loose" / name).write_bytes(png(value))
    (tmp_path / "loose" / "notes.md").write_text("taken on Monday\n")
    return tmp_path / "loose"


def test_a_folder_of_files_alone_is_predicted(photos, loose):
    frame = dw.load(photos / "model").predict(str(loose))
    assert frame["file"].to_list() == ["a.png", "b.png", "more/c.png"]
    assert frame["label"].to_list() == ["dark", "light", "dark"]


def test_one_file_is_predicted_and_one_in_an_archive(photos, loose, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", loose)
    for path, name in [(loose / "b.png", "b.png"), (f"{archive}/more/c.png", "more/c.png")]:
        frame = predict(photos / "model", str(path))
        assert frame["file"].to_list() == [name]
        assert frame["label"].to_list() == ["light" if name == "b.png" else "dark"]
    frame = predict(photos / "model", archive)
    assert frame["file"].to_list() == ["a.png", "b.png", "more/c.png"]
    assert frame["label"].to_list() == ["dark", "light", "dark"]


def test_predictions_of_a_folder_of_classes_say_which_file_they_are_of(photos):
    frame = predict(photos / "model", str(photos / "sorted"))
    assert frame["file"].to_list()[:2] == ["dark/00.png", "dark/02.png"]
    assert (frame["file"].str.split("/").list.first() == frame["label"]).mean() > 0.9
    assert len(frame) == 40


def test_a_model_of_a_column_of_paths_reads_a_folder_as_that_column(photos, loose, tmp_path):
    source = photos / "sorted"
    files = sorted(source.rglob("*.png"))
    table = pl.DataFrame({"photo": [str(file) for file in files], "label": [file.parent.name for file in files]})
    encoder = {"type": "sequential", "layers": ["flatten", {"type": "dense", "units": 8}]}
    recipe = {
        "inputs": {"photo": {"type": "image", "encoder": encoder, "augment": []}},
        "outputs": {"label": "category"},
        "training": {"epochs": 30, "batch": 8, "seed": 0},
    }
    model = dw.train(table, recipe=recipe, out=tmp_path / "model")
    assert model.predict(str(loose))["label"].to_list() == ["dark", "light", "dark"]
    assert model.evaluate(str(source)).outputs["label"].metrics["accuracy"].value > 0.9


def test_what_needs_labels_still_asks_for_them(photos, loose):
    with pytest.raises(DataError, match="E216"):
        dw.load(photos / "model").evaluate(str(loose))
    shutil.rmtree(loose / "more")
    with pytest.raises(DataError, match=r"E107.*label"):
        dw.load(photos / "model").evaluate(str(loose))


def test_vectors_of_a_folder_keep_its_labels_where_it_has_some(photos, loose):
    model = dw.load(photos / "model")
    assert model.embed(str(photos / "sorted")).columns == ["image", "label", "vector"]
    assert model.embed(str(loose)).columns == ["image", "vector"]


def test_files_of_another_kind_are_refused(photos, tmp_path):
    recipe = dw.load(photos / "model").recipe
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match="E104"):
        source_for(str(tmp_path / "empty"), recipe, outputs=False)
    (tmp_path / "empty" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(RecipeError, match="E104"):
        read_rows(str(tmp_path / "empty"), recipe, outputs=False)


def test_files_named_for_what_is_in_them_need_no_names_to_be_predicted(photos, loose, tmp_path):
    named = tmp_path / "named"
    named.mkdir()
    for index, file in enumerate(sorted((photos / "sorted").rglob("*.png"))):
        (named / f"{file.parent.name}_{index}.png").write_bytes(file.read_bytes())
    source = {"type": "images", "path": str(named), "names": "{label}_{n}"}
    recipe = dw.load(photos / "model").recipe.replace(data=Data.model_validate({"source": source}))
    assert read_rows(str(loose), recipe, outputs=False).columns == ["image"]
    assert read_rows(str(named), recipe).columns == ["image", "label", "n"]


def test_labelled_and_names_are_refused_together():
    with pytest.raises(RecipeError, match="labelled"):
        dw.Recipe.parse({"data": {"source": {"type": "images", "path": "x", "names": "{label}_{n}", "labelled": False}}})


def test_the_command_line_names_files_and_says_what_comes_next(photos, loose, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["predict", str(photos / "model"), str(loose / "b.png")]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("b.png,light,")
    assert run(["train", str(photos / "sorted"), "-t", "label", "-o", "again", "--set", "training.steps=2"]) == 0
    assert "predict again FOLDER" in capsys.readouterr().err


def test_a_path_that_is_not_there_comes_before_a_missing_target(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "nowhere"]) == 2
    told = capsys.readouterr().err
    assert "nowhere does not exist" in told
    assert f"looked for in {tmp_path}" in told
    assert "--target" not in told


def test_training_on_files_in_no_folders_says_what_to_do(loose, capsys):
    shutil.rmtree(loose / "more")
    assert run(["train", str(loose), "-t", "label"]) == 2
    told = capsys.readouterr().err
    assert "holds pictures, and not in folders of their classes" in told
    assert 'names: "{label}_{number}"' in told


def test_inspect_looks_at_files_in_no_folders(loose):
    shutil.rmtree(loose / "more")
    found = inspect(str(loose))
    assert [column.name for column in found.columns] == ["image"]
    assert found.rows == 2
    assert found.notes == ("1 file is no picture and was left out: notes.md",)


def test_files_that_are_not_what_a_model_reads_are_refused(photos, loose):
    recipe = dw.load(photos / "model").recipe
    (loose / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(RecipeError, match=r"E104.*not what the model reads") as caught:
        source_for(str(loose / "a.wav"), recipe, outputs=False)
    assert "give pictures" in str(caught.value)
    more = recipe.replace(inputs={**recipe.inputs, "price": dw.Number()})
    shutil.rmtree(loose / "more")
    with pytest.raises(RecipeError, match="give a table with the columns image, price"):
        source_for(str(loose), more, outputs=False)


@pytest.mark.parametrize("ending", [".json", ".jsonl", ".parquet"])
def test_vectors_of_an_archive_are_written(photos, loose, tmp_path, ending):
    shutil.rmtree(loose / "more")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", loose)
    out = tmp_path / f"vectors{ending}"
    assert run(["embed", str(photos / "model"), archive, "-o", str(out), "-q"]) == 0
    assert out.stat().st_size > 0


def test_rows_of_pairs_are_named_for_what_is_seen(photos, tmp_path):
    for name in ("a", "b"):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{name}.png").write_bytes(png(20 if name == "a" else 230))
    for path in (str(tmp_path), shutil.make_archive(str(tmp_path.with_name("pairs")), "zip", tmp_path)):
        frame = predict(photos / "model", path)
        assert frame["file"].to_list() == ["images/a.png", "images/b.png"]
        assert frame["label"].to_list() == ["dark", "light"]


def test_an_output_called_file_leaves_the_names_their_place(photos, loose, tmp_path):
    bundle = photos / "model"
    frame = predict(bundle, str(loose))
    assert frame.columns[0] == "file"
    rows = {"image": [str(path) for path in sorted((photos / "sorted").rglob("*.png"))]}
    rows["file"] = [path.split("/")[-2] for path in rows["image"]]
    recipe = {**dw.load(bundle).recipe.dump(), "data": {}, "outputs": {"file": "category"}}
    model = dw.train(rows, recipe=recipe, out=tmp_path / "model", settings=["training.epochs=2", "training.steps=null"])
    found = model.predict(str(loose))
    assert found.columns[:2] == ["file_", "file"]
    assert found["file_"].to_list() == ["a.png", "b.png", "more/c.png"]


@pytest.mark.parametrize("count", [2, 3])
def test_a_few_pictures_are_pictures(tmp_path, count):
    for index in range(count):
        (tmp_path / f"{index}.png").write_bytes(png(index))
    assert inspect(str(tmp_path)).column("image").type == "image"
