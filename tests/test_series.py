"""Series: the .ts format, what a series becomes, and networks over them."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import polars as pl
import pytest
import torch

import deepwright as dw
from deepwright.blocks.rocket import dilations, kernels
from deepwright.casting import cast
from deepwright.datapath import DataPath, trimmed
from deepwright.defaults import resolve_split
from deepwright.errors import CODES, DataError, RecipeError
from deepwright.facts import Facts, ImageFacts
from deepwright.families import Encoder, Source
from deepwright.features.series import Series
from deepwright.frames import of_columns
from deepwright.kinds import infer
from deepwright.recipe import Recipe
from deepwright.sources.ts import Ts
from deepwright.table import Table
from deepwright.testing.networks import arrays_of, expect_equal, facts_of

HEADER = "# a comment\n@problemName Toy\n@univariate true\n@classLabel true a b\n@data\n"


def written(folder, text, name="toy.ts"):
    (folder / name).write_text(text)
    return Ts(path=str(folder / name))


def one(values):
    return pl.Series("curve", values, dtype=pl.List(pl.Float64))


def several(values):
    return pl.Series("motion", values, dtype=pl.List(pl.List(pl.Float64)))


# The .ts format -------------------------------------------------------------------------------------------------------------


def test_a_ts_file_becomes_series_and_labels(tmp_path):
    table = written(tmp_path, HEADER + "1,2.5,?:a\n\n3,NaN,-1e3 , 4:b\n").read()
    assert table.frame.to_dict(as_series=False) == {
        "series": [[1.0, 2.5, None], [3.0, None, -1000.0, 4.0]],
        "label": ["a", "b"],
    }


def test_dimensions_are_channels_and_one_question_mark_is_a_missing_dimension(tmp_path):
    text = "@dimensions 2\n@classLabel true a b\n@data\n1,2:3,4:a\n?:5:b\n?:6,7:b\n"
    frame = written(tmp_path, text).read().frame
    assert frame["series"].to_list() == [[[1.0, 3.0], [2.0, 4.0]], [[None, 5.0]], [[None, 6.0], [None, 7.0]]]


def test_numbers_behind_the_series_are_targets_and_labels_need_not_be_there(tmp_path):
    assert written(tmp_path, "@targetLabel true\n@data\n1,2:0.5\n3,4:?\n").read().frame["target"].to_list() == [0.5, None]
    assert written(tmp_path, "@data\n1,2\n3,4\n").read().columns == ["series"]
    assert written(tmp_path, "@classLabel true\n@data\n1,2:x\n3,4:y\n").read().frame["label"].to_list() == ["x", "y"]


def test_the_test_file_beside_is_held_out(tmp_path):
    for name, row in (("Toy_TRAIN.ts", "1,2:a\n"), ("Toy_TEST.ts", "3,4:b\n")):
        written(tmp_path, HEADER + row, name)
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as box:
        for path in tmp_path.glob("*.ts"):
            box.write(path, f"toy/{path.name}")
    for place in (tmp_path, tmp_path / "toy.zip", tmp_path / "Toy_TRAIN.ts"):
        source = Source.parse(str(place))
        assert isinstance(source, Ts)
        assert source.read().frame["label"].to_list() == ["a"]
        assert source.held_out().read().frame["label"].to_list() == ["b"]
        assert source.held_out().held_out() is None
    assert "Toy_TEST.ts" in Ts(path=str(tmp_path)).read().notes[-1].text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2:a\n", ["line 1", "not a line of a header"]),
        ("@univariate true\n@classLabel true a b\n", ["no @data line"]),
        ("@univariate perhaps\n@data\n1,2\n", ["line 1", "true or false"]),
        ("@dimensions many\n@data\n1,2\n", ["line 1", "whole number"]),
        ("@dimensions 0\n@data\n1,2\n", ["line 1", "whole number"]),
        ("@timeStamps true\n@data\n(0,1),(1,2):a\n", ["line 2", "time stamps"]),
        ("@dimensions 2\n@classLabel true a b\n@data\n1,2:3,4:a\n1,2:a\n", ["line 5", "1 dimensions"]),
        ("@classLabel true a b\n@data\n1,2:3,4:a\n1,2:a\n1,2:3,4:b\n", ["line 4", "1 dimensions"]),
        (HEADER + "1,2:a\n1,2\n", ["line 7", "0 dimensions"]),
        (HEADER + "1,2:c\n", ["line 6", "'c'"]),
        (HEADER + "1,2:a\n1,two:b\n", ["line 7", "not a number", "'two'"]),
        (HEADER + "1,,2:a\n", ["line 6", "not a number"]),
        (HEADER + ":a\n", ["line 6", "without any place"]),
        ("@dimensions 2\n@classLabel true a\n@data\n1,2:3:a\n", ["line 4", "not equally long"]),
        ("@equalLength true\n@classLabel true a\n@data\n1,2:a\n1,2,3:a\n", ["line 5", "3 places"]),
        ("@equalLength true\n@seriesLength 3\n@classLabel true a\n@data\n1,2:a\n", ["line 5", "2 places"]),
        ("@targetLabel true\n@data\n1,2:much\n", ["line 3", "target is not a number"]),
    ],
)
def test_malformed_files_are_refused_with_their_line(tmp_path, text, words):
    with pytest.raises(DataError) as refused:
        written(tmp_path, text).read()
    assert refused.value.code == "E270"
    for word in [*words, str(tmp_path)]:
        assert word in str(refused.value)


def test_a_file_without_series_and_a_folder_without_a_training_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="no series") as refused:
        written(tmp_path, HEADER).read()
    assert refused.value.code == "E206"
    written(tmp_path, HEADER, "A_TRAIN.ts")
    written(tmp_path, HEADER, "B_TRAIN.ts")
    with pytest.raises(DataError) as refused:
        Ts(path=str(tmp_path)).read()
    assert refused.value.code == "E205"
    (tmp_path / "bytes.ts").write_bytes(b"@data\n1,2\x00\n")
    with pytest.raises(DataError) as refused:
        Ts(path=str(tmp_path / "bytes.ts")).read()
    assert refused.value.code == "E207"


def test_many_bad_lines_are_counted(tmp_path):
    with pytest.raises(DataError) as refused:
        written(tmp_path, HEADER + "x:a\n" * 30).read()
    assert len(refused.value.problems) == 11
    assert "20 more lines" in str(refused.value)


# What a series becomes ------------------------------------------------------------------------------------------------------


def test_series_are_standardised_and_padded_behind_their_end():
    rows = one([[1.0, 2.0, 3.0], [2.0], None, [], [None, 2.0]])
    part = Series()
    state = part.fit(rows)
    assert (state.length, state.centers, state.missing) == (3, (2.0,), True)
    arrays = part.encode(rows, state)
    assert arrays["lengths"].tolist() == [3, 1, 0, 0, 2]
    low = -1 / state.scales[0]
    expected = [[low, 0, -low], [0, 0, 0], [0, 0, 0], [0, 0, 0], [np.nan, 0, 0]]
    np.testing.assert_allclose(arrays["series"][..., 0], np.array(expected, np.float32), rtol=1e-6)


@pytest.mark.parametrize(("keep", "expected"), [("start", [1.0, 2.0]), ("end", [3.0, 4.0])])
def test_longer_series_are_cut(keep, expected):
    part = Series(max_length=2, keep=keep)
    state = part.fit(one([[1.0, 2.0, 3.0, 4.0], [5.0]]))
    values = part.encode(one([[1.0, 2.0, 3.0, 4.0], [5.0]]), state)["series"][..., 0] * state.scales[0] + state.centers[0]
    np.testing.assert_allclose(values[0], expected, rtol=1e-6)


def test_rows_of_another_number_of_channels_are_refused():
    part = Series()
    with pytest.raises(DataError, match="row 2") as refused:
        part.fit(several([[[1.0, 2.0]], [[1.0, 2.0], [3.0]]]))
    assert refused.value.code == "E271"
    with pytest.raises(DataError) as refused:
        Series(channels=3).fit(several([[[1.0, 2.0]]]))
    assert refused.value.code == "E271"
    state = part.fit(several([[[0.0, 0.0], [2.0, 2.0]]]))
    for wrong in (several([[[2.0, 0.0], [2.0]]]), several([[[2.0, 0.0, 9.0]]]), several([[[]]]), one([[2.0]])):
        with pytest.raises(DataError, match=r"E271.*exactly 2 channels"):
            part.check(wrong, state)
    part.check(several([[[2.0, None], None], None, []]), state)
    found = part.encode(several([[[2.0, None], None, [2.0, 0.0]]]), state)["series"][0]
    np.testing.assert_array_equal(found, [[1.0, np.nan], [np.nan, np.nan]])  # cut to the length that training saw


@pytest.mark.parametrize("values", [[None, None], [[], []], [[None, None], [float("nan")]], [[float("inf")], None]])
def test_a_column_without_a_number_is_refused(values):
    with pytest.raises(DataError) as refused:
        Series().fit(one(values))
    assert refused.value.code == "E260"
    assert "curve" in str(refused.value)


def test_digits_of_large_numbers_stay_and_extremes_are_finite():
    rows = one([[1.7e9, 1.7e9 + 1], [1.7e9 + 2, 1e308]])
    part = Series()
    state = part.fit(one([[1.7e9, 1.7e9 + 1], [1.7e9 + 2, 1.7e9 + 3]]))
    found = part.encode(rows, state)["series"][..., 0]
    assert len(np.unique(found)) == 4
    assert np.isfinite(found).all()
    assert np.isfinite(part.encode(one([[float("inf"), float("-inf")]]), state)["series"]).all()


def test_the_sample_is_bounded_and_does_not_depend_on_the_order():
    draw = np.random.default_rng(0)
    rows = one([draw.normal(size=5000).tolist() for _ in range(40)])
    part = Series()
    state = part.fit(rows)
    assert part.fit(rows.reverse()) == state
    assert len(state.sample) < 400_000
    facts = part.facts("curve", state)
    assert len(facts.series.sample) >= 8
    assert len(set(facts.series.sample)) == len(facts.series.sample)


@pytest.mark.parametrize(
    "rows",
    [[[1.0, 2.0], [3.0, float("inf"), 1.0]], [[[1.0, 2.0]], [[3.0, None], [1.0, float("-inf")]]], ["1, 2", "3 inf 1"]],
)
def test_infinite_numbers_of_a_series_are_refused_or_its_row_is_missing(rows):
    column = pl.Series("x", [*rows, None])
    with pytest.raises(DataError, match="1 of 3 values are series with infinite numbers") as refused:
        cast(column, "series", where="x")
    assert refused.value.code == "E221"
    assert "row 2" in str(refused.value)
    kept, note = cast(column, "series", where="x", on_error="missing")
    assert kept.is_null().to_list() == [False, True, True]
    assert note.count == 1


def test_lists_of_numbers_are_series_and_lists_of_texts_are_tags():
    assert infer(one([[1.0, 2.0], [3.0]]), "x").type == "series"
    assert infer(several([[[1.0, 2.0]], [[3.0, 4.0]]]), "x").why == "1 place of 2 channels"
    assert infer(pl.Series("x", [["a"], ["b", "c"]]), "x").type == "tags"
    assert infer(pl.Series("x", np.zeros((4, 5))), "x").type == "series"
    assert infer(pl.Series("x", np.zeros((4, 8, 8), np.uint8)), "x").type == "image"
    curves = [" ".join(f"{value:.2f}" for value in row) for row in np.random.default_rng(0).normal(size=(30, 12))]
    assert infer(pl.Series("x", curves), "x").type == "series"
    assert infer(pl.Series("x", ["1.5, 2.5", "3.5, 4.5", "5.5, 6.5"] * 9), "x").type != "series"


@pytest.mark.parametrize("cells", [[[1, 2], None, [3]], [[[1, 2], [3, 4]], [[5, None]], None], [np.arange(3.0), np.ones(2), None]])
def test_lists_in_memory_are_read_as_numbers(cells):
    frame, _ = of_columns({"x": cells}, "rows")
    assert infer(frame["x"], "x").type == "series"


# Networks -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rocket", "inception_time", "tcn", "gru"])
def test_a_network_reads_each_series_as_if_it_were_alone(name):
    facts = facts_of("series")[0]
    torch.manual_seed(0)
    module = Encoder.resolve(name).example().build(facts).eval()
    arrays = arrays_of(facts, 6)
    with torch.inference_mode():
        together = module(arrays)
        for row in range(6):
            alone = trimmed({key: value[row : row + 1] for key, value in arrays.items()})
            expect_equal(module(alone), together[row : row + 1], f"row {row}")


def test_training_does_not_depend_on_what_is_behind_the_end():
    facts = facts_of("series")[1]
    arrays = arrays_of(facts, 5)
    longer = {**arrays, "series": torch.cat([arrays["series"], torch.full((5, 9, 1), 7.0)], 1)}
    torch.manual_seed(0)
    module = Encoder.resolve("inception_time").example().build(facts).train()
    expect_equal(module(longer), module(arrays), "in training")


def test_kernels_sum_to_zero_and_dilations_share_all_features():
    assert kernels().shape == (84, 9)
    assert (kernels().sum(1) == 0).all()
    assert len({tuple(row) for row in kernels()}) == 84
    for length in (1, 7, 24, 100, 5000):
        found = dilations(length, 119)
        assert sum(count for _, count in found) == 119
        assert all(1 <= dilation <= max(1, (length - 1) // 8) for dilation, _ in found)
        assert len({dilation for dilation, _ in found}) == len(found)


def test_shares_are_those_of_plain_convolutions():
    """The shares of one kernel, by a loop over places."""
    facts = facts_of("series")[1]
    module = Encoder.parse({"type": "rocket", "features": 168}).build(facts).eval()
    x = torch.randn(1, 16, 1)
    with torch.inference_mode():
        found = module({"series": x, "lengths": torch.tensor([13])})[0] / module.scale + module.mean
        first = next(iter(module.scales))
        assert first.margin[0] == 0
        values = (x[0, :13, 0].clamp(-32, 32) * 4096).round().double().numpy()
        weight, bias = first.weight[0, 0].numpy(), first.bias[0].numpy()
    padded = np.concatenate([np.zeros(4 * first.dilation), values, np.zeros(4 * first.dilation)])
    sums = np.array([sum(weight[k] * padded[t + k * first.dilation] for k in range(9)) for t in range(13)])
    for place, each in enumerate(bias):
        assert found[place].item() == pytest.approx((sums > each).mean(), abs=1e-5)


def test_encoders_of_series_refuse_pictures():
    facts = Facts("picture", image=ImageFacts(8, 8, 1, (0.0,), (1.0,)))
    for name in ("rocket", "inception_time"):
        with pytest.raises(RecipeError, match="needs a series"):
            Encoder.parse(name).build(facts)


def test_few_rows_all_train_where_a_linear_layer_is_all_that_learns():
    def validation(recipe, rows, tested):
        return resolve_split(Recipe.parse(recipe), rows, tested=tested).data.split.validation

    linear = {"inputs": {"curve": "series"}, "outputs": {"label": "category"}}
    assert validation(linear, 100, tested=True) == 0
    assert validation(linear, 100, tested=False) is None
    assert validation(linear, 5000, tested=True) is None
    assert validation({**linear, "inputs": {"curve": "series", "age": "number"}}, 100, tested=True) is None
    assert validation({**linear, "data": {"split": {"validation": 0.3}}}, 100, tested=True) == 0.3


# From series to prediction --------------------------------------------------------------------------------------------------


def waves(count=120, seed=0, channels=1):
    """Return waves of 20 to 60 places, half of them of a short period; of several channels the first one tells."""
    draw = np.random.default_rng(seed)
    rows = []
    for row in range(count):
        length = int(draw.integers(20, 60))
        turns = np.arange(length) / (5 if row % 2 else 12) + draw.uniform()
        values = np.sin(2 * np.pi * turns) + draw.normal(scale=0.2, size=length)
        others = [draw.normal(size=length) for _ in range(channels - 1)]
        series = values.tolist() if channels == 1 else np.stack([values, *others], 1).tolist()
        rows.append({"curve": series, "label": "fast" if row % 2 else "slow"})
    return rows


@pytest.mark.parametrize(
    ("encoder", "channels"),
    [
        ("rocket", 1),
        ("rocket", 3),
        ({"type": "inception_time", "filters": 4, "depth": 3}, 2),
        ({"type": "tcn", "channels": 8, "depth": 3}, 1),
        ({"type": "lstm", "width": 16}, 1),
    ],
)
def test_series_train_export_and_predict_without_torch(tmp_path, encoder, channels):
    training = {} if encoder == "rocket" else {"epochs": 15, "batch": 16, "optimizer": {"type": "adamw", "lr": 0.01}}
    declared = {"inputs": {"curve": {"type": "series", "encoder": encoder}}, "training": {"seed": 0, **training}}
    rows = waves(channels=channels)
    model = dw.train(rows, target="label", recipe=declared, out=tmp_path / "model")
    assert model.metrics["label"]["accuracy"]["value"] > 0.85
    report = json.loads((tmp_path / "model" / "report.json").read_text())
    assert report["export"]["graph"] is True
    assert report["export"]["lengths"] > 2
    fresh = [*waves(2, seed=9, channels=channels), {"curve": []}, {"curve": None}, {"curve": rows[0]["curve"] * 20}]
    (tmp_path / "rows.json").write_text(json.dumps([{"curve": row["curve"]} for row in fresh]))
    code = (
        "import sys, deepwright as dw; "
        f"frame = dw.load({str(tmp_path / 'model')!r}).predict({str(tmp_path / 'rows.json')!r}); "
        "assert 'torch' not in sys.modules; print(frame['label'].to_list())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"'))[:2] == ["slow", "fast"]


def test_a_run_that_is_done_ahead_is_repeated_to_the_bit(tmp_path):
    weights = []
    for name in ("one", "two"):
        dw.train(waves(40), target="label", recipe={"training": {"epochs": 3, "threads": 1}}, out=tmp_path / name)
        weights.append((tmp_path / name / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_series_beside_other_columns(tmp_path):
    rows = [{**row, "age": index % 7, "colour": "red" if index % 3 else "blue"} for index, row in enumerate(waves(60))]
    model = dw.train(rows, target="label", recipe={"training": {"epochs": 2}}, out=tmp_path / "model")
    assert set(model.recipe.inputs) == {"curve", "age", "colour"}
    assert len(model.predict(rows[:3])) == 3


def test_codes_of_series_are_listed():
    assert {"E270", "E271"} <= set(CODES)


def test_the_report_draws_series():
    from deepwright.reporting.charts import curve

    one = str(curve([0.0, 1.0, None, float("nan"), 2.0, 3.0], alt="a <wave>"))
    assert one.count("M") == 2, "a gap stays a gap"
    assert "a &lt;wave&gt;" in one
    assert str(curve([[0.0, 1.0], [2.0, None], None], alt="x")).count("<path") == 2
    assert "nan" not in str(curve([5.0] * 3, alt="x"))
    assert len(str(curve([float(i % 7) for i in range(100_000)], alt="x"))) < 10_000
    assert "<path" not in str(curve([], alt="x"))


# The wide form, and augmentations -------------------------------------------------------------------------------------------


def wide(rows=60):
    draw = np.random.default_rng(0)
    up = draw.random(rows) < 0.5
    values = np.where(up, 1, -1)[:, None] * np.arange(6) + draw.normal(scale=0.3, size=(rows, 6))
    columns = {f"t{i}": values[:, i].tolist() for i in range(6)}
    columns["t5"][3] = columns["t4"][3] = None
    columns["t2"][4] = None
    return {**columns, "n": draw.normal(size=rows).tolist(), "label": ["up" if each else "down" for each in up]}


def test_columns_of_the_wide_form_are_one_series():
    declared = {"curve": {"type": "series", "across": "t*", "encoder": {"type": "gru", "width": 4}}}
    model = dw.train(wide(), target="label", recipe={"inputs": declared}, settings=["training.epochs=20"], out="wide")
    assert model.recipe.inputs["curve"].across == ("t0", "t1", "t2", "t3", "t4", "t5")
    assert set(model.recipe.inputs) == {"curve", "n"}
    path = DataPath.load(model.recipe, model.bundle.states)
    ready = path.prepare(Table.of(wide()), outputs=True)
    curves = ready.frame["curve"].to_list()
    assert [len(curves[row]) for row in (2, 3, 4)] == [6, 4, 6]
    assert curves[4][2] is None
    assert curves[2] == pytest.approx([wide()[f"t{i}"][2] for i in range(6)])
    assert model.predict(wide()).height == 60
    for change, code in (({"across": "u*"}, "E107"), ({"across": ["t0", "u"]}, "E107")):
        with pytest.raises(RecipeError, match=code):
            dw.train(wide(), target="label", recipe={"inputs": {"curve": {"type": "series", **change}}}, out="refused")
    with pytest.raises(RecipeError, match="E106"):
        dw.train(wide(), target="label", recipe={"inputs": {"n": {"type": "series", "across": "t*"}}}, out="refused")


def test_series_are_augmented_in_training_alone():
    augment = ["jitter", "magnitude", "time_warp", "slice"]
    declared = {"curve": {"type": "series", "across": "t*", "augment": augment, "encoder": {"type": "gru", "width": 4}}}
    one, other = (
        dw.train(wide(), target="label", recipe={"inputs": declared}, settings=["training.epochs=2"], out=name)
        for name in ("one", "other")
    )
    assert (one.path / "weights.safetensors").read_bytes() == (other.path / "weights.safetensors").read_bytes()
    plain = {"curve": {**declared["curve"], "augment": []}}
    bare = dw.train(wide(), target="label", recipe={"inputs": plain}, settings=["training.epochs=2"], out="bare")
    assert (one.path / "weights.safetensors").read_bytes() != (bare.path / "weights.safetensors").read_bytes()
    declared["curve"]["augment"] = ["flip"]
    with pytest.raises(RecipeError, match=r"E106.*changes pictures"):
        dw.train(wide(), target="label", recipe={"inputs": declared}, out="refused")
