"""Kinds: what columns are taken for, as inputs and as outputs."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwright.kinds import Kind, infer, infer_all, infer_target
from deepwright.parts import families
from deepwright.table import Table

RNG = np.random.default_rng(0)
SENTENCES = [f"this is sentence number {i} of a longer text" for i in range(60)]


def of(values, name="column", **kind):
    return infer(pl.Series(name, values, **kind), name)


@pytest.mark.parametrize(
    ("values", "name", "kind"),
    [
        (["1.5", "2", None, "7e3"] * 9, "x", "number"),
        ([1, 2, 3] * 9, "x", "number"),
        ([0.5, float("nan"), 1.5, 2.5], "x", "number"),
        (["0", "1", None] * 9, "x", "binary"),
        ([1.0, 2.0] * 9, "x", "binary"),
        ([True, False], "x", "binary"),
        (["yes", "no", None], "x", "binary"),
        (["a", "b", "c"] * 9, "x", "category"),
        (["01234", "00501", "10003"] * 9, "zip", "category"),
        ([f"{i:05}" for i in range(40)], "zip", "identifier"),
        (["a", "a"], "x", "constant"),
        ([7, 7, 7], "x", "constant"),
        (["a", None], "x", "category"),
        ([None, None], "x", "empty"),
        ([float("nan")] * 3, "x", "empty"),
        ([], "x", "empty"),
        (["2020-01-01", "2020-02-03", None, "2021-02-03"] * 9, "x", "date"),
        (["31/12/2020", "01/02/2020", "05/06/2020"] * 9, "x", "date"),
        (["20200101", "20200203", "20210203"] * 9, "x", "number"),
        (["20200101", "20200203", "20210203"] * 9, "order_date", "date"),
        (["2019", "2020", "2021"] * 9, "year", "number"),
        ([dt.date(2020, 1, 1), None, dt.date(2020, 1, 2)], "x", "date"),
        (SENTENCES, "x", "text"),
        ([f"今天的天气很好第{i}天我们去公园" for i in range(60)], "x", "text"),
        ([f"7590-VHVE{i}" for i in range(40)], "customer", "identifier"),
        (list(range(1, 41)), "PassengerId", "identifier"),
        ([str(i) for i in range(40)], "anything", "identifier"),
        ([i * i for i in range(40)], "user_id", "identifier"),
        ([i * i for i in range(40)], "area", "number"),
        ([i % 7 for i in range(40)], "user_id", "category"),
        ([i % 7 for i in range(40)], "userid", "category"),
        ([i % 7 for i in range(40)], "paid", "number"),
        ([f"pics/{i}.JPG" for i in range(9)], "x", "image"),
        ([b"\x89PNG", None], "x", "image"),
        (["Action|Comedy", "Drama", "Drama|Action", "Comedy|Drama"] * 9, "genres", "tags"),
        ([["a"], ["b", "c"]], "x", "tags"),
        (["Braund, Mr. Owen", "Heikkinen, Miss. Laina"] * 9 + ["Allen, Mr. William"], "x", "category"),
    ],
)
def test_kinds(values, name, kind):
    found = of(values, name)
    assert found.type == kind, found
    assert found.why


def test_pixels_are_images():
    assert infer(pl.Series("x", np.zeros((2, 4, 4), np.uint8)), "x").type == "image"


def test_why_and_notes_say_what_was_seen():
    assert of([1, 2, 3] * 1000).why == "3 distinct integers among 3,000 rows"
    assert of([f"2020-01-{i % 28 + 1:02}" for i in range(99)] + ["soon"]).why == "99 % parse as dates %Y-%m-%d"
    assert "1 values are no dates" in of([f"2020-01-{i % 28 + 1:02}" for i in range(99)] + ["soon"]).note
    assert "cannot be told apart" in of(["01/02/2020", "03/04/2020", "05/06/2020"] * 9).note
    mixed = of([str(i % 9) for i in range(60)] + ["low", "high"], "score")
    assert mixed.type == "category"
    assert mixed.note.startswith("2 of 62 values are not numbers: 'low', 'high'")
    assert "data: {clean: {score: {convert: number, on_error: missing}}}" in mixed.note
    assert "most values occur once" in of([f"A{i}" for i in range(40)] + ["A1"] * 10).note


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([3, 4, 5, 6, 7, 8] * 20, "category"),
        (["3", "4", "5"] * 20, "category"),
        ([3.0, 4.0, 5.0] * 20, "category"),
        ([3.5, 4.5, 5.5] * 20, "number"),
        (list(range(21)) * 20, "number"),
        ([1, 2, 3, 4, 5, 6], "number"),
        (list(range(40)), "number"),
        ([0, 1] * 9, "binary"),
        (["yes", "no"], "binary"),
        (["a", "b", "c"], "category"),
        (SENTENCES, "category"),
        ([["a"], ["b", "c"]], "tags"),
        (["x", "x"], "constant"),
    ],
)
def test_targets(values, kind):
    assert infer_target(pl.Series("y", values), "y").type == kind


def test_a_target_of_many_texts_is_questioned():
    assert "is this the target?" in infer_target(pl.Series("y", SENTENCES), "y").note


def test_all_columns_of_a_table():
    table = Table(pl.DataFrame({"a": ["1", "2", "3"], "b": ["x", "y", "x"]}))
    assert {name: kind.type for name, kind in infer_all(table).items()} == {"a": "number", "b": "binary"}
    assert Kind("number", "").usable
    assert not Kind("identifier", "").usable


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=12)),
        st.lists(st.none() | st.text("0123456789-/.: |;eE+", max_size=12)),
        st.lists(st.none() | st.floats()),
        st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
        st.lists(st.none() | st.booleans()),
        st.lists(st.none() | st.datetimes()),
    )
)
def test_every_column_has_a_kind(values):
    known = {*families()["features"].types(), "constant", "identifier", "empty"}
    column = pl.Series("x", values, strict=False)
    assert infer(column, "x").type in known
    assert infer_target(column, "x").type in known


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("review", ["质量很好", "太差了，不会再买", "物流很快", "一般般吧"] + [f"第{i}次购物很满意" for i in range(20)], "text"),
        ("评论", ["质量很好", "太差了", "物流快", "一般般吧", "包装破损", "性价比高"], "text"),
        ("user_comment", ["great film", "loved it", "a joy to watch", "poor acting", "so so"], "text"),
        ("place", ["great film", "loved it", "a joy to watch", "poor acting", "so so"], "category"),
        ("context", [f"a{i}" for i in range(10)], "category"),
        ("text", ["yes", "no", "maybe"] * 10, "category"),
        ("textile", ["blue wool", "red silk", "green cotton", "grey linen"], "category"),
    ],
)
def test_names_tell_short_texts(name, values, kind):
    assert infer(pl.Series(name, values), name).type == kind
