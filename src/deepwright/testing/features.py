"""What holds for every feature (floor 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from deepwright.errors import DataError
from deepwright.facts import COUNTED, PIXELS, Facts, ForecastFacts, TargetFacts
from deepwright.families import Feature

DTYPES: dict[str, Any] = {
    "number": pl.Float64,
    "text": pl.String,
    "date": pl.Datetime("us"),
    "tags": pl.List(pl.String),
    "image": pl.Binary,
    "mask": pl.Binary,
    "series": pl.List(pl.List(pl.Float64)),
    "sound": pl.Binary,
    "words": pl.String,
    "labels": pl.String,
    "answer": pl.List(pl.Struct({"first": pl.Int64, "last": pl.Int64, "text": pl.String})),
    "numbers": pl.Array(pl.Float64, 2),
}
"""What the data path casts a column of each kind to."""

HARD: dict[str, list[Any]] = {
    "number": [1e308, -1e308, 1e-308, -0.0, 0.0, float("inf"), float("-inf"), float("nan"), None, 2.0**53 + 1],
    "text": ["", " ", "🙂", "a value never seen", "\n", "\x00", "NaN", "1e400", None, "é" * 1000],
    "date": [0, -1, 2**62, -(2**62), 253402300799999999, None],
    "tags": [[], [""], ["🙂", "a tag never seen"], [None], ["x"] * 100, None],
    "image": [None, None],
    "mask": [None, None],
    "series": [[], [[]], [[None]], [[1e308], [-1e308]], [[float("nan")], [float("inf")]], [[1.0, 2.0], [3.0]], [None], None],
    "sound": [None, None],
    "words": ["", " ", "🙂", "a value never seen", "\n", "\x00", "NaN", "1e400", None, "é" * 1000],
    "labels": ["", " ", "🙂", "a value never seen", "\n", "\x00", "NaN", "1e400", None, "é" * 1000],
    "answer": [None, [{"first": 0, "last": 0, "text": "x"}], [{"first": 10**6, "last": 10**6 + 9, "text": "🙂"}]],
    "numbers": [[1e308, -1e308], [float("nan"), float("inf")], [None, 0.0], [-0.0, 2.0**53 + 1], None],
}
"""Well-typed values that no feature may stumble over."""

_DTYPE_OF = {
    "numbers": np.float32,
    "categories": np.int32,
    "image": np.uint8,
    "tokens": np.int32,
    "grams": np.int32,
    "letters": np.uint8,
    "tree": np.int32,
    "series": np.float32,
    "sound": np.int16,
    "lengths": np.int32,
    "window": np.float32,
}


def as_column(feature: type[Feature], values: list[Any], name: str = "column") -> pl.Series:
    """Return values as the column that the data path would hand to the feature (dates: microseconds since 1970)."""
    if feature.dtype == "series" and not any(isinstance(place, list) for value in values for place in value or []):
        return pl.Series(name, values, dtype=pl.List(pl.Float64))
    if feature.dtype in ("words", "labels") and any(isinstance(value, list) for value in values):
        return pl.Series(name, values, dtype=pl.List(pl.String))
    if feature.dtype in ("image", "mask", "sound") and any(isinstance(value, str) for value in values):
        return pl.Series(name, values, dtype=pl.String)
    if feature.dtype == "date":
        return pl.Series(name, values, dtype=pl.Int64).cast(pl.Datetime("us"))
    return pl.Series(name, values, dtype=DTYPES[feature.dtype])


def columns(feature: type[Feature]) -> Iterator[pl.Series]:
    """Yield the feature's example columns."""
    for description, values in feature.columns().items():
        yield as_column(feature, values, description)


def check_state(feature: type[Feature]) -> None:
    """The state survives JSON and does not depend on the order of the rows."""
    part = feature.example()
    for column in columns(feature):
        state = part.fit(column)
        assert isinstance(state, feature.state)
        assert feature.state is not Feature.state, "the feature declares the class of its state"
        assert feature.state.model_validate_json(state.model_dump_json()) == state
        assert feature.state.model_validate(state.model_dump(mode="json")) == state
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(len(column))
            assert part.fit(column.gather(order)) == state, f"{column.name}: the order of the rows matters"


def check_nothing_to_learn(feature: type[Feature]) -> None:
    """A column without a value is refused, with the column's name."""
    for size in (0, 3):
        with pytest.raises(DataError, match="nameless"):
            feature.example().fit(as_column(feature, [None] * size, "nameless"))


def check_encoding(feature: type[Feature]) -> None:
    """Arrays agree with the facts; rows are independent; reordering rows reorders codes; nothing well-typed raises."""
    part = feature.example()
    if not part.can_input:
        pytest.skip("an output only")
    for column in columns(feature):
        state = part.fit(column)
        facts = part.facts("name", state)
        check_facts(facts)
        hard = as_column(feature, HARD[feature.dtype], column.name)
        for rows in (column, column[:0], hard, column.clear(3)):
            before = rows.clone()
            arrays = part.encode(rows, state)
            assert rows.equals(before, null_equal=True), "encoding changed the column"
            check_arrays(arrays, facts, len(rows))
            order = np.random.default_rng(0).permutation(len(rows))
            _equal(part.encode(rows.gather(order), state), {key: array[order] for key, array in arrays.items()})
            for row in range(len(rows)):
                _equal(part.encode(rows[row : row + 1], state), {key: a[row : row + 1] for key, a in arrays.items()})


def check_missing(feature: type[Feature]) -> None:
    """A missing value is NaN, id 0, one and the same picture of one colour, or a sequence without a place."""
    part = feature.example()
    if not part.can_input:
        pytest.skip("an output only")
    for column in columns(feature):
        state = part.fit(column)
        arrays = part.encode(column.clear(2), state)
        if "numbers" in arrays:
            assert np.isnan(arrays["numbers"].astype(np.float64)).all()
            known = part.encode(column.drop_nulls(), state)["numbers"].astype(np.float64)
            assert np.isfinite(known).all(), "only a missing value is NaN"
        if "categories" in arrays:
            assert (arrays["categories"] == 0).all()
            assert (part.encode(column.drop_nulls(), state)["categories"] != 0).all()
        if "window" in arrays:
            assert np.isnan(arrays["window"].astype(np.float64)).all()
        if "image" in arrays:
            assert (arrays["image"] == arrays["image"][:1, :1, :1]).all()
        for key in ("tokens", "grams", "lengths"):
            assert not arrays.get(key, np.zeros(1)).any()


def check_target(feature: type[Feature]) -> None:
    """What can be an output has targets that agree with their facts, and predictions that are the values again."""
    part = feature.example()
    if not part.can_output:
        pytest.skip("an input only")
    for column in columns(feature):
        state = part.fit(column)
        facts = part.target_facts("name", state)
        target = part.target(column, state)
        assert facts.name == "name"
        assert len(facts.classes) == len(facts.counts)
        missing = column.is_null().to_numpy()
        assert len(target) == len(column)
        # Labels of tokens are as long as the longest row that is there.
        alone = part.target(column.clear(1), state).shape
        assert alone == (1, *target.shape[1:]) or (facts.kind in COUNTED and alone == (1, 1))
        if facts.kind == "text":
            check_text_target(part, column, state)
            continue
        if facts.kind == "answer":
            check_answer_target(part, column, state)
            continue
        if facts.kind == "labels":
            check_label_target(part, column, state, facts)
            continue
        if facts.kind == "match":
            check_match_target(part, column, state, facts)
            continue
        if facts.forecast is not None:
            check_forecast_target(part, column, state, facts.forecast)
            continue
        if facts.kind in PIXELS:
            check_pixel_target(part, column, state, facts)
            continue
        if facts.kind == "number":
            check_number_target(part, column, state, facts)
        else:
            check_class_target(part, column, state, facts)
        hard = part.target(as_column(feature, HARD[feature.dtype]), state)
        assert hard.dtype == target.dtype
        if facts.kind in ("binary", "multiclass", "ordinal"):
            assert (target[missing] == -1).all()
            assert set(hard.tolist()) <= set(range(-1, len(facts.classes)))
        else:
            assert np.isnan(target[missing].astype(np.float64)).all()


def check_number_target(part: Feature, column: pl.Series, state: Any, facts: TargetFacts) -> None:
    """A target's value comes back from ``decode`` within the precision of float32."""
    target = part.target(column, state)
    assert target.shape == (len(column),)
    assert target.dtype == np.float32
    assert facts.scale > 0
    assert np.isfinite(facts.center)
    assert np.isfinite(facts.scale)
    known = column.drop_nulls()
    scaled = part.target(known, state).astype(np.float64)
    if abs(facts.center) < 1e30 and facts.scale < 1e30:  # what leaves the graph is float32
        frame = part.decode("name", (scaled * facts.scale + facts.center).astype(np.float32), state)
        assert frame.columns == ["name"]
        assert frame["name"].dtype == pl.Float64
        reach = float(np.abs(known.to_numpy()).max()) + facts.scale
        np.testing.assert_allclose(frame["name"].to_numpy(), known.to_numpy(), atol=1e-6 * reach)


def check_forecast_target(part: Feature, column: pl.Series, state: Any, facts: ForecastFacts) -> None:
    """Targets of rows are standardised; what is foretold rightly has no error, and decodes to the values of the columns."""
    target = part.target(column, state)
    assert target.dtype == np.float32
    assert target.shape == (len(column), len(facts.channels))
    values = target.astype(np.float64) * np.asarray(facts.scales) + np.asarray(facts.centers)
    horizon, before = facts.horizon, np.zeros((1, facts.season, len(facts.channels)), np.float32)
    ahead = np.resize(np.nan_to_num(target), (1, horizon, len(facts.channels)))
    told = ahead.astype(np.float64) * np.asarray(facts.scales) + np.asarray(facts.centers)
    frame = part.decode("name", told, state)
    assert frame.columns == list(facts.channels)
    assert frame.height == horizon
    np.testing.assert_allclose(frame.to_numpy(), told[0])
    counts = part.counts(told, np.concatenate([before, ahead], 1), state)
    assert counts[0, 0] == ahead.size
    assert counts[0, 1] < 1e-9
    nothing = np.full((1, facts.season + horizon, len(facts.channels)), np.nan, np.float32)
    assert np.isnan(part.counts(told, nothing, state)).all()
    assert np.isnan(values[np.isnan(target)]).all()


def check_label_target(part: Feature, column: pl.Series, state: Any, facts: TargetFacts) -> None:
    """Labels are told by their index, their counts are those of the training rows, and what is right counts as right."""
    encoded = part.target(column, state)
    assert encoded.dtype == np.int32
    assert encoded.ndim == 2
    target = encoded.astype(np.int64)
    assert (target[column.is_null().to_numpy()] == -1).all()
    assert tuple(np.bincount(target[target >= 0], minlength=len(facts.classes))) == facts.counts
    frame = part.decode("name", target, state)
    assert frame["name"].to_list() == [value or [] for value in column.to_list()]
    counts = part.counts(target, target, state)
    empty = (target < 0).all(1)
    assert np.isnan(counts[empty]).all()
    assert (counts[~empty, 0] == counts[~empty, 1]).all()
    assert (counts[~empty, 3::3] == counts[~empty, 5::3]).all()
    assert part.decode("name", target[:0], state).height == 0


def check_answer_target(part: Feature, column: pl.Series, state: Any) -> None:
    """The first and the last token of the first answer, which are told again."""
    target = part.target(column, state)
    assert target.dtype == np.int32
    assert target.shape == (len(column), 2)
    first = [value[0] if value else {"first": -1, "last": -1} for value in column.to_list()]
    assert target.tolist() == [[each["first"], each["last"]] for each in first]
    frame = part.decode("name", target.astype(np.int64), state)
    assert frame.columns == ["name:start", "name:end"]
    assert [list(row) for row in frame.rows()] == target.tolist()
    assert part.decode("name", target[:0].astype(np.int64), state).height == 0


def check_text_target(part: Feature, column: pl.Series, state: Any) -> None:
    """The ids of a text become a text that has the same ids, and what is right counts as right."""
    encoded = part.target(column, state)
    assert encoded.dtype == np.int32
    assert encoded.ndim == 2
    target = encoded.astype(np.int64)
    empty = (target < 0).all(1)
    assert np.asarray(empty)[column.is_null().to_numpy()].all()
    assert (np.diff((target < 0).astype(int), axis=1) >= 0).all(), "an end stands within a row"
    assert not (target == 0).any()
    frame = part.decode("name", target, state)
    assert frame.columns == ["name"]
    assert frame["name"].dtype == pl.String
    np.testing.assert_array_equal(part.target(frame["name"], state), target)
    counts = part.counts(target, target, state, np.ones((len(target), 2)))
    assert np.isnan(counts[empty]).all()
    assert np.isfinite(counts[~empty]).all()
    assert part.decode("name", target[:0], state).height == 0


def check_match_target(part: Feature, column: pl.Series, state: Any, facts: TargetFacts) -> None:
    """Codes are equal where values are, and tell how many training rows have them; the likeness of two vectors is their product."""
    encoded = part.target(column, state)
    assert encoded.dtype == np.int64
    target = encoded.astype(np.int64)
    assert (target[column.is_null().to_numpy()] == -1).all()
    assert (target[~column.is_null().to_numpy()] >= 0).all()
    assert pl.Series(target).n_unique() == column.n_unique()
    assert (part.target(column.reverse(), state) == target[::-1]).all()
    counts = dict(zip(*(each.tolist() for each in np.unique(target[target >= 0], return_counts=True)), strict=True))
    assert dict(facts.recurring) == {code: count for code, count in counts.items() if count > 1}
    assert facts.rows == sum(counts.values())
    vectors = np.random.default_rng(0).normal(size=(len(column), 2, 5)).astype(np.float32)
    np.testing.assert_allclose(part.decode("name", vectors, state)["name"], (vectors[:, 0] * vectors[:, 1]).sum(1), rtol=1e-5)
    assert part.decode("name", vectors[:0], state).height == 0
    assert np.isnan(part.counts(vectors, target, state)[target < 0]).all()


def check_pixel_target(part: Feature, column: pl.Series, state: Any, facts: TargetFacts) -> None:
    """Of pixels, what was read is what is written: targets decode to files that encode to the same, at any size of the file."""
    target = part.target(column, state)
    missing = column.is_null().to_numpy()
    assert target.dtype == np.int16
    assert target.ndim == (3 if facts.kind == "mask" else 4)
    assert (target[missing] == -1).all()
    known = target[~missing]
    if facts.kind == "mask":
        counts = part.counts(target, target, state)
        assert counts.shape == (len(column), 3 + 3 * len(facts.classes))
        assert np.isnan(counts[missing]).all()
        assert (counts[~missing, 0] == counts[~missing, 1]).all()
        assert (counts[~missing, 2] == 1).all()
        assert (known < len(facts.classes)).all()
    else:
        assert facts.channels == known.shape[3]
        assert (part.counts(target, target, state)[~missing, 1] > 0.9999).all()
    # An ignored pixel has no class to be written.
    whole = np.maximum(known, 0)
    for times in (1, 2):
        sizes = np.tile(np.array(known.shape[1:3]) * times, (len(known), 1))
        frame = part.decode_at("name", whole, state, sizes)
        assert frame.columns == ["name"]
        assert frame["name"].dtype == pl.Binary
        again = part.target(frame["name"], state)
        if facts.kind == "mask":
            np.testing.assert_array_equal(again, whole)
    np.testing.assert_array_equal(part.target(part.decode("name", whole, state)["name"], state), whole)
    assert part.decode("name", whole[:0], state).height == 0


def check_class_target(part: Feature, column: pl.Series, state: Any, facts: TargetFacts) -> None:
    """Certain predictions decode to the very values, with one probability column a class."""
    known = column.drop_nulls()
    target = part.target(known, state)
    if facts.kind == "multilabel":
        assert target.dtype == np.float32
        assert target.shape == (len(known), len(facts.classes))
        assert tuple(target.sum(axis=0).astype(int)) == facts.counts
        certain = target
    else:
        assert target.dtype == np.int32
        assert tuple(np.bincount(target.astype(np.int64), minlength=len(facts.classes))) == facts.counts
        certain = np.eye(len(facts.classes), dtype=np.float32)[target.astype(np.int64)]
    frame = part.decode("name", certain.astype(np.float32), state)
    assert frame.columns == ["name", *(f"name:{label}" for label in facts.classes)]
    assert len(frame) == len(known)
    if facts.kind == "multilabel":
        given = [sorted({tag for tag in tags if tag is not None}) for tags in known.to_list()]
        assert [sorted(tags) for tags in frame["name"].to_list()] == given
    else:
        assert frame["name"].to_list() == known.to_list()
    assert frame.select(pl.col(pl.Float32)).width == len(facts.classes)
    assert part.decode("name", certain[:0].astype(np.float32), state).height == 0


def check_facts(facts: Facts) -> None:
    """Facts are finite, and edges strictly increasing even in float32."""
    assert facts.name == "name"
    own = (facts.image, facts.tokens, facts.series, facts.sound, facts.window)
    assert sum(each is not None for each in own) == (0 if facts.numbers or facts.categories else 1)
    for number in facts.numbers:
        edges = np.asarray(number.edges, dtype=np.float32)
        assert np.isfinite(edges).all()
        assert (np.diff(edges) > 0).all(), f"{number.label}: edges do not increase"
        assert len(edges) != 1
        assert np.isfinite(number.baseline)
        assert number.view == "standard" or len(edges) > 1
    for category in facts.categories:
        assert category.size >= 2
        assert 0 <= category.baseline < category.size
    if facts.image is not None:
        image = facts.image
        assert image.channels in (1, 3)
        assert len(image.mean) == len(image.std) == image.channels
        assert all(0 <= mean <= 255 for mean in image.mean)
        assert all(std > 0 for std in image.std)
    if facts.tokens is not None:
        assert facts.tokens.vocabulary[:2] == ("<pad>", "<unk>")
        assert len(set(facts.tokens.vocabulary)) == facts.tokens.size
        assert facts.tokens.length >= 1
    if facts.series is not None:
        assert len(facts.series.mean) == len(facts.series.std) == facts.series.channels
        assert np.isfinite(facts.series.mean).all()
        assert all(std > 0 for std in facts.series.std)
    if facts.sound is not None:
        assert facts.sound.std > 0
        assert facts.sound.hop <= facts.sound.window


def check_arrays(arrays: dict[str, NDArray[np.generic]], facts: Facts, rows: int) -> None:
    """Arrays have the names, shapes, dtypes and bounds of the facts."""
    shapes: dict[str, tuple[int, ...]] = {}
    if facts.numbers:
        shapes["numbers"] = (rows, len(facts.numbers))
    if facts.categories:
        shapes["categories"] = (rows, len(facts.categories))
    if facts.image is not None:
        shapes["image"] = (rows, facts.image.height, facts.image.width, facts.image.channels)
    if facts.tokens is not None:
        shapes["tokens"] = (rows, facts.tokens.length)
        if facts.tokens.letters:
            shapes["letters"] = (rows, facts.tokens.length, 16)
        if facts.tokens.tree:
            shapes["tree"] = (rows, max(1, facts.tokens.length - 1), 3)
        if facts.tokens.grams:
            shapes["grams"] = (rows, arrays["grams"].shape[1])
    if facts.series is not None:
        shapes |= {"series": (rows, facts.series.length, facts.series.channels), "lengths": (rows,)}
    if facts.sound is not None:
        shapes |= {"sound": (rows, facts.sound.length), "lengths": (rows,)}
    if facts.window is not None:  # of rows alone: the data path makes windows
        shapes["window"] = (rows, facts.window.channels)
    assert {key: array.shape for key, array in arrays.items()} == shapes
    assert all(array.dtype == _DTYPE_OF[key] for key, array in arrays.items())
    if facts.numbers:
        values = arrays["numbers"].astype(np.float64)
        assert (np.isnan(values) | (np.abs(values) <= 1e4)).all(), "a value swamps its batch"
    if facts.categories:
        ids = arrays["categories"].astype(np.int64)
        assert ((ids >= 0) & (ids < [category.size for category in facts.categories])).all()
    for key, size in {} if facts.tokens is None else {"tokens": facts.tokens.size, "grams": facts.tokens.grams}.items():
        if key in arrays:
            ids = arrays[key].astype(np.int64)
            assert ((ids >= 0) & (ids < size)).all()
            assert (np.diff((ids == 0).astype(int), axis=1) >= 0).all(), "padding stands within a row"
    if "lengths" in arrays:
        longest = arrays["series" if facts.series is not None else "sound"].shape[1]
        assert ((arrays["lengths"].astype(np.int64) >= 0) & (arrays["lengths"].astype(np.int64) <= longest)).all()
    if "series" in arrays:
        assert not np.isinf(arrays["series"].astype(np.float64)).any()


CHECKS: tuple[Callable[[type[Feature]], None], ...] = (
    check_state,
    check_nothing_to_learn,
    check_encoding,
    check_missing,
    check_target,
)
"""Every check of this suite."""


def conforms(feature: type[Feature]) -> None:
    """Run every check of one feature that applies.

    Raises:
        AssertionError: The feature breaks its contract.
    """
    part = feature.example()
    for check in CHECKS:
        if part.can_output if check is check_target else part.can_input or check not in (check_encoding, check_missing):
            check(feature)


def find(name: str) -> type[Feature]:
    """Return the class of a discovered feature."""
    return Feature.resolve(name)


def _equal(found: dict[str, NDArray[np.generic]], expected: dict[str, NDArray[np.generic]]) -> None:
    assert found.keys() == expected.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key])
