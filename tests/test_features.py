"""Features: the conformance suite over the folder, and what each promises beyond it."""

import contextlib
import io
import json
import struct
import zlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

import deepwright as dw
from deepwright import pictures
from deepwright.encoding import LIMIT, Scaling, bin_edges, natural_order
from deepwright.errors import CODES, DataError
from deepwright.features.binary import Binary
from deepwright.features.category import Category
from deepwright.features.date import Date
from deepwright.features.image import Image
from deepwright.features.number import Number
from deepwright.features.ordinal import Ordinal, infer_order
from deepwright.features.tags import Tags
from deepwright.recipe import Recipe
from deepwright.testing import features, parts

finite = st.floats(allow_nan=False, allow_infinity=False)
any_number = st.none() | st.floats()
texts = st.text(st.characters(codec="utf-8"), max_size=8)


@pytest.mark.parametrize("check", features.CHECKS, ids=parts.check_name)
@pytest.mark.parametrize("name", [name for _, name in parts.discovered("features")])
def test_feature(name, check):
    check(features.find(name))


def numbers(values, name="x"):
    return pl.Series(name, values, dtype=pl.Float64)


def words(values, name="x"):
    return pl.Series(name, values, dtype=pl.String)


def wire(part, column, state=None):
    return next(iter(part.encode(column, state or part.fit(column)).values()))


def code(error):
    assert error.value.code in CODES
    return error.value.code


# Numbers --------------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(any_number, min_size=1, max_size=200),
    later=st.lists(any_number, max_size=20),
    view=st.sampled_from(["piecewise", "quantile", "standard", "robust"]),
    bins=st.integers(2, 64),
    log=st.booleans(),
)
def test_any_numbers_encode(train, later, view, bins, log):
    part = Number(view=view, bins=bins, log=log)
    column = numbers(train)
    if not np.isfinite(column.to_numpy()).any():
        with pytest.raises(DataError):
            part.fit(column)
        return
    state = part.fit(column)
    assert type(state).model_validate_json(state.model_dump_json()) == state
    assert part.fit(column.sort(nulls_last=True)) == state
    facts = part.facts("name", state)
    features.check_facts(facts)
    assert len(facts.numbers[0].edges) <= bins + 1
    rows = numbers([*train, *later])
    arrays = part.encode(rows, state)
    features.check_arrays(arrays, facts, len(rows))
    np.testing.assert_array_equal(np.isnan(arrays["numbers"][:, 0]), np.isnan(rows.to_numpy()))
    target = part.target(rows, state)
    np.testing.assert_array_equal(np.isfinite(target), np.isfinite(rows.to_numpy()))
    assert np.isfinite(part.decode("y", np.array([3e38, -3e38, 0], np.float32), state)["y"].to_numpy()).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=2, max_size=100), st.booleans())
def test_encoding_keeps_the_order(values, log):
    part = Number(log=log)
    encoded = wire(part, numbers(sorted(values)))[:, 0]
    assert (np.diff(encoded) >= 0).all()


def test_point_mass_has_a_bin_of_its_own_and_leaves_bins_for_the_rest():
    rest = np.random.default_rng(0).lognormal(8, 1, 800).round()
    column = numbers([0.0] * 9200 + rest.tolist())
    part = Number()
    state = part.fit(column)
    edges = np.asarray(state.wire.edges)
    zero, least = state.wire.apply(np.array([0.0, rest.min()]))
    assert edges[0] == zero
    assert edges[1] == least
    assert len(edges) >= 45
    inside = np.histogram(state.wire.apply(rest), edges[1:])[0]
    assert inside.max() < 3 * len(rest) / len(inside)


def test_point_mass_inside_is_fenced():
    values = np.sort(np.concatenate([np.linspace(0, 100, 5001), np.full(3000, 40.0)]))
    edges = bin_edges(values, 48)
    near = np.searchsorted(edges, 40.0)
    np.testing.assert_allclose(edges[near - 1 : near + 2], [39.98, 40.0, 40.02])
    assert 40 <= len(edges) <= 49


def test_many_point_masses_stay_within_the_bins():
    values = np.sort(np.concatenate([np.repeat(np.arange(40.0), 100), np.linspace(0.5, 90.5, 300)]))
    edges = bin_edges(values, 48)
    assert set(np.arange(40.0)) <= set(edges)
    assert len(edges) <= 49
    assert edges[-1] == 90.5


@pytest.mark.parametrize(("values", "edges"), [([5.0] * 9, 0), ([0.0, 1.0] * 9, 2), ([1.0, 2.0, 3.0] * 9, 3)])
def test_few_distinct_values_are_edges(values, edges):
    facts = Number().facts("x", Number().fit(numbers(values))).numbers[0]
    assert len(facts.edges) == edges
    assert facts.view == ("piecewise" if edges else "standard")


def test_timestamps_stay_apart():
    start = 1.7e9
    encoded = wire(Number(), numbers([start + i for i in range(10_000)]))
    assert len(np.unique(encoded)) == 10_000


def test_standard_and_robust_scale():
    values = numbers([1.0, 2.0, 3.0, 4.0, 100.0, None])
    standard = wire(Number(view="standard"), values)[:-1, 0]
    np.testing.assert_allclose([standard.mean(), standard.std()], [0, 1], atol=1e-6)
    np.testing.assert_allclose(wire(Number(view="robust"), values)[:-1, 0], [-1, -0.5, 0, 0.5, 48.5])
    assert wire(Number(view="standard"), numbers([1e300]), Number(view="standard").fit(values)) == LIMIT


def test_missing_flag():
    gaps, whole = numbers([1.0, None]), numbers([1.0, 2.0])
    for missing, expected in {"auto": (True, False), "flag": (True, True), "ignore": (False, False)}.items():
        part = Number(missing=missing)
        assert tuple(part.facts("x", part.fit(c)).numbers[0].missing for c in (gaps, whole)) == expected


def test_nan_is_missing():
    state = Number().fit(numbers([1.0, float("nan"), None]))
    assert (state.rows, state.missing) == (1, 2)


def test_log_target_comes_back():
    column = numbers([0.0, 10.0, 1e6, -50.0])
    part = Number(log=True)
    state = part.fit(column)
    facts = part.target_facts("y", state)
    raw = part.target(column, state).astype(np.float64) * facts.scale + facts.center
    np.testing.assert_allclose(
        part.decode("y", raw.astype(np.float32), state)["y"].to_numpy(), column.to_numpy(), rtol=1e-5, atol=1e-5
    )


def test_clip_limits_predictions_to_the_training_range():
    column, outputs = numbers([1.0, 3.0]), np.array([-9, 2, 9], np.float32)
    part = Number(clip=True)
    assert part.decode("y", outputs, part.fit(column))["y"].to_list() == [1.0, 2.0, 3.0]
    assert Number().decode("y", outputs, part.fit(column))["y"].to_list() == [-9.0, 2.0, 9.0]


def test_scaling_without_spread():
    assert Scaling.standard(np.array([3.0])).scale == 1.0
    assert Scaling.winsorised(np.sort(np.array([0.0] * 999 + [5.0])), 8).edges != ()


# Labels ---------------------------------------------------------------------------------------------------------------------


def test_natural_order():
    assert natural_order(["10", "9", "-1", "1e1"]) == ["-1", "9", "10", "1e1"]
    assert natural_order(["b", "10", "a"]) == ["10", "a", "b"]


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(st.none() | texts, min_size=1, max_size=60).filter(lambda v: any(x is not None for x in v)),
    later=st.lists(st.none() | texts, max_size=20),
    part=st.sampled_from(
        [Category(), Category(min_count=1), Category(max_size=2), Category(max_size=0), Category(hash=3, min_count=3)]
    ),
)
def test_any_texts_encode(train, later, part):
    column = words(train)
    state = part.fit(column)
    assert type(state).model_validate_json(state.model_dump_json()) == state
    assert part.fit(column.reverse()) == state
    rows = words([*train, *later])
    arrays = part.encode(rows, state)
    facts = part.facts("name", state)
    features.check_arrays(arrays, facts, len(rows))
    np.testing.assert_array_equal(arrays["categories"][:, 0] == 0, rows.is_null().to_numpy())
    if not state.buckets:
        assert facts.categories[0].baseline == np.bincount(arrays["categories"][: len(train), 0]).argmax()
    if part.hash == "auto" and part.max_size > 1000:
        target = part.target(column, state)
        assert [None if i < 0 else state.values[i] for i in target] == train


def test_rare_and_unseen_share_an_id():
    column = words(["a", "a", "b", "b", "once", None])
    assert wire(Category(), column)[:, 0].tolist() == [2, 2, 3, 3, 1, 0]
    assert wire(Category(min_count=1), column)[:, 0].tolist() == [2, 2, 3, 3, 4, 0]
    state = Category().fit(column)
    assert Category().encode(words(["never"]), state)["categories"].tolist() == [[1]]
    assert Category().target_facts("y", state).classes == ("a", "b", "once")


def test_both_ways_of_looking_up_agree():
    column = words([None if i % 7 == 0 else f"v{i % 501}" for i in range(5000)])
    state = Category().fit(column[:2000])
    large = Category().encode(column, state)["categories"]
    small = np.concatenate([Category().encode(column[i : i + 1000], state)["categories"] for i in range(0, 5000, 1000)])
    np.testing.assert_array_equal(large, small)


def test_hashing():
    column = words([f"v{i}" for i in range(50)] + [None])
    part = Category(max_size=0, hash=1000)
    state = part.fit(column)
    ids = part.encode(column, state)["categories"][:, 0]
    assert ids[-1] == 0
    assert ids[0] == 2 + 163  # CRC-32 of "v0": must never change, or bundles would read other embeddings
    assert len(set(ids.tolist())) > 45
    assert part.facts("x", state).categories[0].size == 1002
    assert Category(max_size=10).fit(column).buckets == 1024
    assert Category(max_size=10, hash=0).fit(column).buckets == 0


def test_two_classes_are_binary_and_too_many_are_refused():
    assert Category().target_facts("y", Category().fit(words(["b", "a"]))).kind == "binary"
    assert Category().target_facts("y", Category().fit(words(["b", "a", "c"]))).kind == "multiclass"
    part = Category(max_size=2)
    with pytest.raises(DataError, match="3 values") as error:
        part.target_facts("y", part.fit(words(["b", "a", "c"])))
    assert code(error) == "E264"


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        (["yes", "no"], None, ("no", "yes")),
        (["1", "0"], None, ("0", "1")),
        (["<=50K", ">50K"], None, ("<=50K", ">50K")),
        (["Spam", "zzz"], None, ("zzz", "Spam")),
        (["ham", "advert"], None, ("ham", "advert")),
        (["no", "Not sure"], None, ("no", "Not sure")),
        (["a", "b"], "a", ("b", "a")),
        (["0", "1"], 0, ("1", "0")),
        (["Yes", "No"], True, ("No", "Yes")),
        (["Yes", "No"], False, ("Yes", "No")),
    ],
)
def test_positive_class(values, positive, expected):
    part = Binary.parse({"type": "binary", "positive": positive})
    state = part.fit(words([values[0], *values, None]))
    assert state.values == expected
    assert part.target_facts("y", state).classes == expected
    assert wire(part, words([*values, None, "?"]), state)[:, 0].tolist() == [*(2 + expected.index(v) for v in values), 0, 1]


def test_binary_refusals():
    with pytest.raises(DataError, match=r"column x: .*more than two") as error:
        Binary().fit(words(["a", "b", "c"]))
    assert code(error) == "E261"
    with pytest.raises(DataError, match="positive: z") as error:
        Binary(positive="z").fit(words(["a", "b"]))
    assert code(error) == "E262"


@pytest.mark.parametrize(
    "order",
    [
        ["Fair", "Good", "Very Good", "Premium", "Ideal"],
        ["low", "medium", "HIGH"],
        ["2", "9", "10"],
        ["<18", "18-24", "25-64", "65+"],
        ["0-9", "10-19", "20-29"],
        ["S", "M", "XL"],
        ["strongly disagree", "neutral", "agree"],
        ["1 star", "2 stars", "10 stars"],
    ],
)
def test_inferred_order(order):
    assert infer_order(sorted(order)) == tuple(order)


@pytest.mark.parametrize("labels", [["red", "green"], ["D", "E", "F"], ["1a", "1b"], ["medium", "moderate", "other"]])
def test_an_order_in_doubt_is_not_guessed(labels):
    assert infer_order(labels) is None
    with pytest.raises(DataError, match="order:") as error:
        Ordinal().fit(words(labels))
    assert code(error) == "E263"


def test_declared_order():
    part = Ordinal.parse({"type": "ordinal", "order": ["c", "b", 1]})
    state = part.fit(words(["1", "b", "b", None]))
    facts = part.target_facts("y", state)
    assert (facts.classes, facts.counts, facts.kind) == (("c", "b", "1"), (0, 2, 1), "ordinal")
    encoded = wire(part, words(["c", "b", "1", "z", None]), state)[:, 0]
    assert (np.diff(encoded[:3]) > 0).all()
    assert np.isnan(encoded[3:]).all()
    with pytest.raises(DataError) as error:
        part.fit(words(["x", "y", "b"]))
    assert [p.code for p in error.value.problems] == ["E262", "E262"]
    with pytest.raises(ValueError, match="twice"):
        Ordinal(order=("a", "a"))


# Dates ----------------------------------------------------------------------------------------------------------------------


def test_date_parts_by_hand():
    column = pl.Series("d", ["2024-01-01 00:00", "2024-07-01 12:00", None], dtype=pl.String).str.to_datetime("%Y-%m-%d %H:%M")
    part = Date(cycles=("month", "weekday", "day", "hour"))
    state = part.fit(column)
    labels = [n.label for n in part.facts("d", state).numbers]
    values = dict(zip(labels, wire(part, column, state).T, strict=True))
    np.testing.assert_allclose(values["d.elapsed"][:2], [-1, 1])
    np.testing.assert_allclose(values["d.month_cos"][:2], [1, -1], atol=1e-6)
    np.testing.assert_allclose(values["d.weekday_sin"][:2], [0, 0], atol=1e-6)  # both are Mondays
    np.testing.assert_allclose(values["d.hour_cos"][:2], [1, -1], atol=1e-6)
    assert all(np.isnan(v[2]) for v in values.values())
    assert part.facts("d", state).numbers[0].missing


@settings(max_examples=40, deadline=None)
@given(st.lists(st.datetimes(), min_size=1, max_size=40))
def test_date_cycles_agree_with_the_calendar(dates):
    column = pl.Series("d", dates, dtype=pl.Datetime("us"))
    part = Date(cycles=("month", "day", "weekday", "hour"))
    encoded = wire(part, column)
    seconds = column.dt.hour().cast(pl.Float64) * 3600 + column.dt.minute() * 60.0 + column.dt.second()
    expected = [(column.dt.month() - 1) / 12, (column.dt.day() - 1) / 31, (column.dt.weekday() - 1) / 7, seconds / 86400]
    for i, phase in enumerate(expected):
        np.testing.assert_allclose(encoded[:, 1 + 2 * i], np.sin(2 * np.pi * phase.to_numpy()), atol=1e-4)


def test_only_cycles_that_vary():
    days = pl.Series("d", [f"2024-01-{d:02}" for d in range(1, 20)]).str.to_date().cast(pl.Datetime("us"))
    assert Date().fit(days).cycles == ("day", "weekday")


# Tags -----------------------------------------------------------------------------------------------------------------------


def test_tags_are_split_at_one_sign_wherever_they_are_read(tmp_path):
    rows = pl.DataFrame({"genres": ["Children, Family|Comedy", "Drama", "Comedy|Drama"] * 20, "hit": ["yes", "no", "no"] * 20})
    recipe = {"inputs": {"genres": "tags"}, "outputs": {"hit": "binary"}, "training": {"epochs": 1}}
    model = dw.train(rows, recipe=recipe, out=tmp_path / "m")
    assert model.recipe.inputs["genres"].separator == "|"
    alone = model.predict({"genres": ["Children, Family"]})
    among = model.predict({"genres": ["Children, Family", "Comedy|Drama", "Drama|Comedy"]})
    assert alone.to_dicts()[0] == pytest.approx(among.to_dicts()[0]), "a row does not depend on those beside it"
    whole = Tags(separator="").read(pl.Series("t", ["a|b", None]))
    assert whole.to_list() == [["a|b"], None]


def test_tags():
    column = pl.Series("t", [["b", "a", "a"], [], None, ["b", None], ["10"]], dtype=pl.List(pl.String))
    state = Tags().fit(column)
    assert (state.values, state.counts, state.rows, state.missing) == (("10", "a", "b"), (1, 1, 2), 4, 1)
    np.testing.assert_array_equal(wire(Tags(), column, state), [[0, 1, 1], [0, 0, 0], [np.nan] * 3, [0, 0, 1], [1, 0, 0]])
    frame = Tags(threshold=0.3).decode("t", np.array([[0.1, 0.4, 0.9]], np.float32), state)
    assert frame["t"].to_list() == [["a", "b"]]
    assert Tags(min_count=2).fit(column).values == ("b",)
    assert Tags(max_size=1).fit(column).values == ("b",)
    with pytest.raises(DataError, match="tag"):
        Tags(min_count=3).fit(column)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.lists(st.none() | st.sampled_from(["a", "b", "", "🙂"]), max_size=5), max_size=20))
def test_any_tags(rows):
    column = pl.Series("t", [["a"], *rows], dtype=pl.List(pl.String))
    state = Tags().fit(column)
    target = Tags().target(column, state)
    for row, tags in zip(target, column.to_list(), strict=True):
        if tags is None:
            assert np.isnan(row).all()
        else:
            assert {v for v, hot in zip(state.values, row, strict=True) if hot} == set(tags) - {None}


# Pictures -------------------------------------------------------------------------------------------------------------------


def save(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def binary(*values, name="p"):
    return pl.Series(name, list(values), dtype=pl.Binary)


def encode_one(value, **fields):
    part = Image(**{"height": 4, "width": 4, **fields})
    return wire(part, binary(value))[0]


def test_arrays_are_taken_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)
    column = pl.Series("p", pixels)
    state = Image().fit(column)
    assert (state.height, state.width, state.channels) == (6, 5, 1)
    np.testing.assert_allclose([state.mean[0], state.std[0]], [pixels.mean(), pixels.std()])
    encoded = wire(Image(), column, state)
    np.testing.assert_array_equal(encoded[..., 0], pixels)
    assert np.shares_memory(encoded, column.to_numpy())
    gaps = pl.concat([column, pl.Series("p", [None], dtype=column.dtype), column[:1]])
    encoded = wire(Image(), gaps, state)
    np.testing.assert_array_equal(encoded[:20, ..., 0], pixels)
    np.testing.assert_array_equal(encoded[21, ..., 0], pixels[0])
    assert (encoded[20] == round(state.mean[0])).all()


def test_colour_arrays_resized_equal_files():
    pixels = np.random.default_rng(1).integers(0, 256, (3, 9, 7, 3), dtype=np.uint8)
    part = Image(height=4, width=5)
    column = pl.Series("p", pixels)
    files = binary(*(pictures.png(p) for p in pixels))
    assert part.fit(column) == part.fit(files)
    np.testing.assert_array_equal(wire(part, column), wire(part, files))
    for odd in (np.zeros((2, 3, 3, 5), np.uint8), np.zeros((2, 3), np.uint8), np.zeros((2, 3, 3), np.float32)):
        with pytest.raises(DataError, match="not pictures") as error:
            Image().fit(pl.Series("p", odd))
        assert code(error) == "E265"
    gaps = pl.Series("p", [[[1, None], [1, 2]]], dtype=pl.Array(pl.UInt8, (2, 2)))
    with pytest.raises(DataError, match="gaps"):
        Image().fit(gaps)


def test_sizes_are_learnt():
    def learnt(*shapes, **fields):
        files = [pictures.png(np.zeros(shape, np.uint8)) for shape in shapes]
        state = Image(**fields).fit(binary(*files))
        return state.height, state.width

    assert learnt((28, 28), (28, 28)) == (28, 28)
    assert learnt((200, 256)) == (200, 256)
    assert learnt((600, 400)) == (128, 88)
    assert learnt((60, 33), (64, 40), (70, 41)) == (64, 40)
    assert learnt((100, 200), height=50) == (50, 100)
    assert learnt((100, 200), width=50) == (25, 50)
    assert learnt((100, 200), height=7, width=9) == (7, 9)


def test_grey_pictures_in_colour_files_are_grey():
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert Image().fit(binary(pictures.png(grey))).channels == 1
    coloured = grey.copy()
    coloured[0, 0, 0] = 99
    assert Image().fit(binary(pictures.png(grey), pictures.png(coloured))).channels == 3
    assert Image(channels=1).fit(binary(pictures.png(coloured))).channels == 1


def test_sixteen_bits_are_scaled():
    wide = np.array([[0, 257], [65535, 32896]], dtype=np.uint16)
    encoded = encode_one(save(Pillow.fromarray(wide)), height=2, width=2)
    assert encoded[..., 0].tolist() == [[0, 1], [255, 128]]


def test_transparency_lies_over_white():
    clear = Pillow.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (encode_one(save(clear)) == 255).all()
    palette = Pillow.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, 0, 0, 0])
    assert encode_one(save(palette))[0, 0].tolist() == [10, 20, 30]
    assert (encode_one(save(palette, transparency=0)) == 255).all()
    assert encode_one(save(Pillow.new("LA", (4, 4), (0, 128))))[0, 0].tolist() == [127]


def test_cmyk_becomes_rgb():
    red = encode_one(save(Pillow.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))[0, 0].astype(int)
    assert red[0] > 240
    assert red[1:].max() < 15


def test_the_camera_orientation_is_applied():
    half = np.zeros((8, 16), np.uint8)
    half[:, :8] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    for form in ("PNG", "JPEG"):
        state = Image().fit(binary(save(Pillow.fromarray(half), form, exif=exif)))
        assert (state.height, state.width) == (16, 8)
        upright = wire(Image(), binary(save(Pillow.fromarray(half), form, exif=exif)), state)[0, ..., 0]
        assert upright[:8].min() > 240
        assert upright[8:].max() < 15


def test_resize_modes():
    wide = np.full((4, 16), 200, np.uint8)
    wide[:, 6:10] = 100
    encoded = {mode: encode_one(pictures.png(wide), resize=mode)[..., 0] for mode in ("stretch", "pad", "crop")}
    assert (encoded["crop"] == 100).all()
    assert (encoded["pad"][0] == 0).all()
    assert (encoded["pad"][1:3] > 0).all(axis=1).any()
    assert encoded["stretch"][:, 0].min() > 150


def test_large_jpegs_are_read_small_and_alike():
    x = np.linspace(0, 255, 512).astype(np.uint8)
    image = Pillow.fromarray(np.stack(np.broadcast_arrays(x[:, None], x[None], x[::-1, None]), axis=-1).copy())
    fast = encode_one(save(image, "JPEG", quality=95), height=32, width=32).astype(int)
    slow = encode_one(save(image), height=32, width=32).astype(int)
    assert np.abs(fast - slow).max() < 12


def test_paths_and_missing_files(tmp_path):
    pixels = np.full((4, 4), 7, np.uint8)
    (tmp_path / "a.png").write_bytes(pictures.png(pixels))
    column = words([str(tmp_path / "a.png"), None], "photo")
    assert wire(Image(), column)[..., 0].tolist() == [pixels.tolist(), pixels.tolist()]
    with pytest.raises(DataError, match=r"row 2 .*b\.png.*does not exist") as error:
        Image().fit(words([str(tmp_path / "a.png"), str(tmp_path / "b.png"), str(tmp_path)], "photo"))
    assert code(error) == "E265"
    assert "column photo" in str(error.value)
    assert "2 of 3" in str(error.value)


def test_damaged_pictures_are_listed_by_row():
    whole = pictures.png(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    state = Image().fit(binary(whole))
    with pytest.raises(DataError, match=r"(?s)13 of 15 pictures .*row 1: .*row 11: .*and 3 more"):
        Image().encode(binary(whole[: len(whole) // 2], whole, b"", *[b"no picture"] * 11, whole), state)


def test_bombs_are_refused():
    file = bytearray(save(Pillow.new("L", (16, 16))))
    for side in (60_000, 10_000):
        file[16:24] = struct.pack(">II", side, side)
        file[29:33] = struct.pack(">I", zlib.crc32(bytes(file[12:29])))
        with pytest.raises(DataError, match="claims more than"):
            Image().fit(binary(bytes(file)))


def test_programs_in_postscript_are_no_pictures():
    with pytest.raises(DataError, match="not a picture"):
        Image().fit(binary(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"))


SEEDS = [
    save(Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)), form)
    for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
]


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_any_damage_is_a_picture_or_a_data_error(whole, data):
    position = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(position, len(whole)))
    file = whole[:position] + data.draw(st.binary(max_size=4)) + whole[position + 1 : cut]
    encoded = None
    with contextlib.suppress(DataError):
        encoded = encode_one(file)
    assert encoded is None or encoded.shape[:2] == (4, 4)


def test_sample_moments_are_exact():
    draw = np.random.default_rng(3).integers(0, 256, (1300, 3, 4, 3), dtype=np.uint8)
    state = Image().fit(pl.Series("p", draw))
    np.testing.assert_allclose(state.mean, draw.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(state.std, draw.std(axis=(0, 1, 2)))


# In recipes -----------------------------------------------------------------------------------------------------------------


def test_recipes_hold_features():
    recipe = Recipe.parse(
        {
            "inputs": {"age": "number", "photo": {"type": "image", "augment": []}, "cut": {"type": "ordinal", "order": ["a", "b"]}},
            "outputs": {"income": {"type": "binary", "positive": ">50K"}},
        }
    )
    assert Recipe.parse(json.loads(json.dumps(recipe.dump()))) == recipe
    assert Recipe.parse(recipe.dump(defaults=False)) == recipe
    assert recipe.inputs["photo"].augment == ()
