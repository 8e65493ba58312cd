"""Cleaning: value rules for all rows, row rules for training rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from deepwright.clean import CleanState, apply_values, drop_rows, fit_clean
from deepwright.errors import DataError, RecipeError
from deepwright.recipe import Clean
from deepwright.table import Table


def table(**columns):
    return Table(pl.DataFrame(columns, strict=False), "t.csv")


def cleaned(data, declared, types=None):
    clean = Clean.model_validate(declared)
    state = fit_clean(data, clean, types or {})
    assert CleanState.model_validate_json(state.model_dump_json()) == state
    return apply_values(data, clean, state)


def test_nothing_declared_changes_nothing():
    data = table(a=["x", None], b=[1, 2])
    result = cleaned(data, {})
    assert result.frame.equals(data.frame)
    assert result.notes == ()


def test_strip_removes_characters_and_empties_become_missing():
    result = cleaned(table(a=["<=50K.", "50.", "..", None]), {"a": {"strip": "."}})
    assert result.frame["a"].to_list() == ["<=50K", "50", None, None]
    assert result.notes[0].count == 3
    assert result.notes[0].column == "a"


def test_rules_apply_in_the_documented_order():
    # strip, normalize, case, replace, convert, fill: each sees the result of the one before
    data = table(a=["$ＯＮＥ", "$two  x", "3", None])
    rule = {
        "strip": "$",
        "normalize": True,
        "case": "lower",
        "replace": {"one": "1", "two x": "2"},
        "convert": "number",
        "missing": 9,
    }
    result = cleaned(data, {"a": rule}, {"a": "number"})
    assert result.frame["a"].dtype == pl.Float64
    assert result.frame["a"].to_list() == [1, 2, 3, 9]


def test_replace_with_null_and_unused_keys():
    data = table(a=["unknown", "b"])
    clean = Clean.model_validate({"a": {"replace": {"unknown": None, "unknwon": "x"}}})
    state = fit_clean(data, clean, {})
    assert apply_values(data, clean, state).frame["a"].to_list() == [None, "b"]
    assert state.unused == {"a": ("unknwon",)}
    kept, rows = drop_rows(data, clean, state)
    assert "unknwon" in kept.notes[0].text
    assert rows.tolist() == [0, 1]


@pytest.mark.parametrize("values", [["-999", "5"], [-999, 5], [-999.0, 5.0]])
def test_replace_means_the_same_from_every_source(values):
    result = cleaned(table(a=values), {"a": {"replace": {"-999": None}, "convert": "number"}})
    assert result.frame["a"].to_list() == [None, 5]


def test_outliers_are_clipped_at_fences_of_the_training_rows():
    data = table(a=[*map(str, range(100)), "100000"])
    clean = Clean.model_validate({"a": {"outliers": "clip", "fence": 1.0}})
    state = fit_clean(data, clean, {"a": "number"})
    fence = state.fences["a"]
    assert (fence.low, fence.high) == (25 - 50, 75 + 50)
    later = apply_values(table(a=["-1000", "7", None, "1e9"]), clean, state)
    assert later.frame["a"].to_list() == [-25, 7, None, 125]
    assert later.notes[-1].count == 2


def test_fences_collapse_at_a_point_mass():
    data = table(a=["0"] * 90 + ["5"] * 10)
    clean = Clean.model_validate({"a": {"outliers": "clip"}})
    state = fit_clean(data, clean, {"a": "number"})
    assert state.fences == {}
    assert state.collapsed == ("a",)
    assert apply_values(data, clean, state).frame["a"].max() == 5
    assert "coincide" in drop_rows(data, clean, state)[0].notes[0].text


def test_missing_values_are_filled_in_the_type_of_the_column():
    data = table(t=["a", None], n=[1.5, None], d=[None, "2024-01-02"])
    types = {"t": "text", "n": "number", "d": "date"}
    result = cleaned(
        data, {"t": {"missing": "none"}, "n": {"missing": 0}, "d": {"convert": "date", "missing": "2024-01-01"}}, types
    )
    assert result.frame["t"].to_list() == ["a", "none"]
    assert result.frame["n"].to_list() == [1.5, 0]
    assert result.frame["d"].dt.day().to_list() == [1, 2]


def test_rows_are_dropped_with_a_note_each():
    data = table(a=["1", "1", "2", None, "900"], b=["x", "x", "y", "z", "w"])
    clean = Clean.model_validate({"duplicates": "drop", "a": {"missing": "drop", "outliers": "drop"}})
    state = fit_clean(table(a=["1", "2", "3", "4"], b=["x"] * 4), clean, {"a": "number"})
    kept, rows = drop_rows(data, clean, state)
    assert rows.tolist() == [0, 2]
    assert rows.dtype == np.int64
    assert kept.frame["a"].to_list() == ["1", "2"]
    assert [(note.what, note.count) for note in kept.notes] == [("duplicates", 1), ("missing", 1), ("outliers", 1)]


def test_duplicates_are_compared_as_cleaned_and_rows_returned_as_they_were():
    data = table(a=["Male", "MALE", "x"])
    clean = Clean.model_validate({"duplicates": "drop", "a": {"case": "lower"}})
    kept, rows = drop_rows(data, clean, fit_clean(data, clean, {}))
    assert rows.tolist() == [0, 2]
    assert kept.frame["a"].to_list() == ["Male", "x"]


def test_duplicates_of_pictures_and_lists():
    frame = pl.DataFrame({"i": [b"a", b"a", b"b"], "l": [["x"], ["x"], ["x"]]})
    _, rows = drop_rows(Table(frame), Clean(duplicates="drop"), CleanState())
    assert rows.tolist() == [0, 2]


def test_all_problems_are_reported_at_once():
    clean = Clean.model_validate({"agee": {"case": "lower"}, "sex": {"outliers": "clip"}, "n": {"missing": "none"}})
    with pytest.raises(RecipeError) as caught:
        fit_clean(table(age=["1"], sex=["m"], n=["1"]), clean, {"n": "number"})
    assert [problem.code for problem in caught.value.problems] == ["E107", "E103", "E103"]
    assert "did you mean 'age'" in str(caught.value)


def test_values_that_cannot_be_converted_are_refused_or_made_missing():
    data = table(a=["1", "x"], b=["y", "2"])
    with pytest.raises(DataError) as caught:
        cleaned(data, {"a": {"convert": "number"}, "b": {"convert": "number"}})
    assert len(caught.value.problems) == 2
    assert cleaned(data, {"a": {"convert": "number", "on_error": "missing"}}).frame["a"].to_list() == [1, None]


def test_cleaning_that_drops_every_row_is_an_error():
    data = table(a=[None, None])
    clean = Clean.model_validate({"a": {"missing": "drop"}})
    with pytest.raises(DataError) as caught:
        drop_rows(data, clean, CleanState())
    assert caught.value.code == "E230"


def test_later_rows_may_lack_a_column():
    clean = Clean.model_validate({"a": {"case": "lower"}})
    data = table(b=["X"])
    assert apply_values(data, clean, CleanState()).frame["b"].to_list() == ["X"]
