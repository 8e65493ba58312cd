"""Selecting columns: scores that mean what they say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from deepwright.errors import DataError
from deepwright.recipe import Select
from deepwright.selection import SelectionReport, binned, mutual_information, select_columns, value_codes
from deepwright.table import Table

N = 3000
TYPES = {"good": "number", "half": "category", "noise": "number", "words": "text", "key": "category", "day": "date"}


def data(seed=0):
    rng = np.random.default_rng(seed)
    good = rng.normal(size=N)
    half = rng.integers(0, 4, N)
    y = (good + (half == 1) + 0.3 * rng.normal(size=N)) > 0.3
    frame = pl.DataFrame(
        {
            "good": [None if i % 50 == 0 else str(v) for i, v in enumerate(good)],
            "half": [f"h{v}" for v in half],
            "noise": rng.normal(size=N),
            "words": ["some text"] * N,
            "key": [f"k{i}" for i in range(N)],
            "day": [f"2024-01-{v:02d}" for v in rng.integers(1, 29, N)],
        }
    )
    return Table(frame), good, pl.Series("y", np.where(y, "yes", "no"))


@pytest.mark.parametrize("by", ["mutual_information", "importance"])
def test_informative_columns_score_best_and_identifiers_nothing(by):
    table, _, y = data()
    report = select_columns(table, TYPES, y, "binary", Select(by=by, keep=2))
    assert list(report.scores)[:2] == ["good", "half"]
    assert abs(report.scores["key"]) < 0.01
    assert abs(report.scores["noise"]) < 0.02
    assert report.kept == ["good", "half", "words"]
    assert report.dropped == ["noise", "key", "day"]
    assert report.unscored == ["words"]
    assert SelectionReport.model_validate_json(report.model_dump_json()) == report
    assert select_columns(table, TYPES, y, "binary", Select(by=by, keep=2)) == report


@pytest.mark.parametrize("by", ["mutual_information", "importance"])
@pytest.mark.parametrize("kind", ["number", "multiclass", "multilabel", "ordinal"])
def test_every_kind_of_output(by, kind):
    table, good, _ = data()
    target = {
        "number": pl.Series("y", good * 2 + 1),
        "multiclass": pl.Series("y", np.digitize(good, [-0.5, 0.5])).cast(pl.String),
        "ordinal": pl.Series("y", np.digitize(good, [-0.5, 0.5])),
        "multilabel": pl.Series("y", [["pos", "all"] if v > 0 else ["all"] for v in good]),
    }[kind]
    report = select_columns(table, TYPES, target, kind, Select(by=by, threshold=0.1))
    assert "good" in report.kept
    assert "noise" in report.dropped


def test_rows_without_a_target_are_left_out():
    table, _, y = data()
    holes = pl.Series("y", [value if i % 3 else None for i, value in enumerate(y)])
    assert next(iter(select_columns(table, TYPES, holes, "binary", Select()).scores)) == "good"
    with pytest.raises(DataError) as caught:
        select_columns(table, TYPES, pl.Series("y", [None] * N, dtype=pl.String), "binary", Select())
    assert caught.value.code == "E231"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=200))
def test_mutual_information_is_the_plug_in_estimate_corrected(pairs):
    a, b = np.array(pairs).T
    plain = mutual_info_score(a, b)
    cells = len(set(a)) + len(set(b)) - len(set(pairs)) - 1
    assert mutual_information(a, b) == pytest.approx(max(plain + cells / (2 * len(a)), 0), abs=1e-9)


def test_mutual_information_of_independent_columns_is_about_zero():
    rng = np.random.default_rng(1)
    values = [mutual_information(rng.integers(0, 10, 500), rng.integers(0, 10, 500)) for _ in range(50)]
    assert np.mean(values) < 0.02  # uncorrected: 0.09


def test_bins():
    assert binned(pl.Series("x", ["1", None, "2", "oops", "1"]), "number").tolist() == [1, 0, 2, 0, 1]
    assert binned(pl.Series("x", ["a"] * 6 + ["b"] * 9 + ["c", None]), "category").tolist() == [3] * 6 + [2] * 9 + [1, 0]
    wide = binned(pl.Series("x", np.arange(1000.0)), "number", bins=10)
    assert np.bincount(wide).tolist() == [0] + [100] * 10


def test_a_point_mass_is_a_bin_of_its_own():
    codes = binned(pl.Series("x", [0.0] * 97 + [5.0, 6.0, 7.0] + [-1.0, -2.0]), "number", bins=20)
    assert len(set(codes[:97])) == 1
    assert not set(codes[:97]) & set(codes[97:])
    assert codes[97] > codes[0] > codes[-1]


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=30))
def test_value_codes_are_by_first_appearance(values):
    codes, counts = value_codes(pl.Series("x", values, dtype=pl.String))
    seen = list(dict.fromkeys(value for value in values if value is not None))
    assert codes.tolist() == [-1 if value is None else seen.index(value) for value in values]
    assert counts.tolist() == [values.count(value) for value in seen]
