"""Dividing rows: sizes, sides that do not meet, repeatability."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwright.errors import DataError, RecipeError
from deepwright.recipe import Split
from deepwright.split import overlap, split_rows
from deepwright.table import Table


def table(**columns):
    return Table(pl.DataFrame(columns, strict=False), "t.csv")


def numbered(count):
    return table(x=list(range(count)))


def check_sides(rows, count, whole=True):
    """Sides are ascending, do not meet, and hold every row."""
    together = np.concatenate([rows.train, rows.validation, rows.test])
    assert len(np.unique(together)) == len(together)
    assert not whole or len(together) == count
    for side in (rows.train, rows.validation, rows.test):
        assert side.dtype == np.int64
        assert (np.diff(side) > 0).all()


@given(st.integers(8, 300), st.floats(0.01, 0.9), st.floats(0, 0.6), st.integers(0, 5))
def test_random_sides(count, validation, test, seed):
    split = Split(by="random", validation=validation, test=test, seed=seed)
    rows = split_rows(numbered(count), split)
    check_sides(rows, count)
    assert len(rows.test) == (min(max(round(test * count), 1), count - 1) if test else 0)
    assert len(rows.train)
    again = split_rows(numbered(count), split)
    assert all(np.array_equal(a, b) for a, b in zip((rows.train, rows.test), (again.train, again.test), strict=True))


def test_the_seed_matters():
    first, second = (split_rows(numbered(100), Split(seed=seed)).validation for seed in (0, 1))
    assert not np.array_equal(first, second)


@given(st.lists(st.sampled_from("abcd"), min_size=8, max_size=200), st.integers(0, 3))
def test_strata_keep_their_shares(labels, seed):
    target = pl.Series("y", labels)
    rows = split_rows(numbered(len(labels)), Split(validation=0.25, seed=seed), target=target, stratify=True)
    check_sides(rows, len(labels))
    for label, count in target.value_counts().iter_rows():
        here = (target.gather(rows.validation) == label).sum()
        assert count * 0.25 - 1 <= here <= count * 0.25 + 1
        assert here < count


def test_single_rows_of_a_class_stay_in_training():
    target = pl.Series("y", ["a"] * 50 + ["b"] * 49 + ["rare"])
    rows = split_rows(numbered(100), Split(validation=0.3, test=0.3), target=target, stratify=True)
    assert 99 in rows.train
    assert rows.notes[0].count == 1


def test_stratified_numbers_have_equal_means():
    values = pl.Series("y", np.arange(1000.0) ** 2)
    rows = split_rows(numbered(1000), Split(by="stratified", validation=0.2), target=values)
    assert values.gather(rows.validation).mean() == pytest.approx(values.mean(), rel=0.05)


@given(st.lists(st.integers(0, 9), min_size=20, max_size=100), st.integers(0, 3))
def test_no_group_is_on_two_sides(groups, seed):
    if len(set(groups)) < 4:
        return
    data = table(g=[str(g) for g in groups])
    rows = split_rows(data, Split(by="group", column="g", validation=0.3, test=0.2, seed=seed))
    check_sides(rows, len(groups))
    sides = [set(data.frame["g"].gather(side)) for side in (rows.train, rows.validation, rows.test)]
    assert sum(map(len, sides)) == len(set.union(*sides))


def test_rows_without_a_group_are_groups_of_their_own():
    rows = split_rows(table(g=["a", None, None, "b", "a"]), Split(by="group", column="g", validation=0.4))
    check_sides(rows, 5)
    assert rows.notes[0].count == 2


@pytest.mark.parametrize(
    "times", [[f"2024-01-{i // 2 + 1:02d}" for i in range(40)], [str(i // 2) for i in range(40)], [i // 2 for i in range(40)]]
)
def test_the_latest_rows_are_set_aside_and_ties_stay_together(times):
    order = np.random.default_rng(0).permutation(40)
    data = table(t=[times[i] for i in order])
    rows = split_rows(data, Split(by="time", column="t", validation=0.26, test=0.24))
    check_sides(rows, 40)
    when = np.array([i // 2 for i in order])
    assert when[rows.train].max() < when[rows.validation].min()
    assert when[rows.validation].max() < when[rows.test].min()
    assert len(rows.test) == 10


def test_rows_without_a_time_train_and_all_missing_is_an_error():
    data = table(t=[None, "2024-01-01", "2024-01-02", "2024-01-03"])
    rows = split_rows(data, Split(by="time", column="t", validation=0.25))
    assert 0 in rows.train
    assert rows.validation.tolist() == [3]
    with pytest.raises(DataError) as caught:
        split_rows(table(t=[None, None, None]), Split(by="time", column="t"))
    assert caught.value.code == "E233"


def test_one_time_only_cannot_be_divided():
    with pytest.raises(DataError) as caught:
        split_rows(table(t=["2024-01-01"] * 10), Split(by="time", column="t"))
    assert caught.value.code == "E231"


def test_named_sides():
    data = table(s=["train", "Dev", "TEST", "valid", "train", "val"])
    rows = split_rows(data, Split(by="column", column="s"))
    assert [side.tolist() for side in (rows.train, rows.validation, rows.test)] == [[0, 4], [1, 3, 5], [2]]


def test_named_sides_without_validation_take_some_training_rows():
    data = table(s=["train"] * 20 + ["test"] * 5)
    rows = split_rows(data, Split(by="column", column="s", validation=0.25))
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (15, 5, 5)
    assert rows.notes[0].count == 5


def test_strange_names_of_sides():
    with pytest.raises(DataError) as caught:
        split_rows(table(s=["train", "tset", "tset", None]), Split(by="column", column="s"))
    assert caught.value.code == "E232"
    assert "'tset' (2 rows)" in str(caught.value)


@pytest.mark.parametrize("by", ["random", "stratified", "group"])
def test_folds_partition_the_rows(by):
    data = table(g=[str(i % 13) for i in range(103)])
    target = pl.Series("y", ["a", "b", "b"] * 34 + ["a"])
    folds = [
        split_rows(data, Split(by=by, column="g", folds=5, fold=fold, test=0.1), target=target, stratify=True) for fold in range(5)
    ]
    assert all(np.array_equal(folds[0].test, rows.test) for rows in folds)
    held = np.concatenate([rows.validation for rows in folds])
    assert sorted([*held, *folds[0].test]) == list(range(103))
    for rows in folds:
        check_sides(rows, 103)


def test_folds_by_time_never_look_ahead():
    data = table(t=list(range(60)))
    ends = []
    for fold in range(5):
        rows = split_rows(data, Split(by="time", column="t", folds=5, fold=fold))
        check_sides(rows, 60, whole=False)
        assert rows.train.max() < rows.validation.min()
        ends.append(rows.validation.max())
    assert ends == [19, 29, 39, 49, 59]


def test_errors_of_the_declaration():
    with pytest.raises(RecipeError, match="did you mean 'group'"):
        split_rows(table(group=["a"] * 9), Split(by="group", column="grup"))
    with pytest.raises(RecipeError, match="needs an output"):
        split_rows(numbered(9), Split(by="stratified"))
    with pytest.raises(DataError) as caught:
        split_rows(numbered(2), Split(test=0.5))
    assert caught.value.code == "E231"


def test_overlap_counts_exact_and_near_duplicates():
    names = [f"n{i} {'x' * (i % 3)}" for i in range(30)]
    a = table(id=[f"k{i}" for i in range(30)], name=names, v=[str(i + 0.25) for i in range(30)])
    b = table(id=["q1", "q2", "q3"], name=[names[3], names[4].upper(), "new"], v=["3.25", "4.250001", "1"])
    found = overlap(a, b)
    assert (found.exact, found.near) == (1, 1)
    assert found.examples == ((3, 0), (4, 1))
    assert found.columns == ("name", "v")
    assert overlap(a, b, ignore=["v"]).exact == 1


def test_overlap_between_sources_of_different_types():
    a, b = table(v=[1, 2, None], w=["x", "y", None]), table(v=["1", None], w=["x", None])
    assert overlap(a, b).exact == 2
    assert overlap(a, table(z=["1"])).exact == 0


def test_validation_rows_are_a_share_but_not_more_than_are_needed():
    for rows, wanted in ((1_000, 150), (100_000, 5_000)):
        sides = split_rows(Table(pl.DataFrame({"x": range(rows)})), Split(), target=None, stratify=False)
        assert len(sides.validation) == wanted
        assert len(sides.train) == rows - wanted
