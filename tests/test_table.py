"""Tables: from memory, made tidy, cast, and fingerprinted."""

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwright.errors import DataError
from deepwright.table import MISSING, Note, Table, cast, fingerprint, tidy

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=8)


def to(target, values, on_error="raise", **kind):
    column, note = cast(pl.Series("x", values, **kind), target, where="t: column x", on_error=on_error)
    assert column.name == "x"
    assert len(column) == len(values)
    return column, note


def refused(code, target, values, **kind):
    with pytest.raises(DataError) as caught:
        to(target, values, **kind)
    assert {problem.code for problem in caught.value.problems} == {code}
    assert all(problem.where == "t: column x" for problem in caught.value.problems)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------ from memory


def test_the_same_table_from_anywhere():
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    columns = {"n": [1, 2, None], "f": [0.5, None, -1.0], "s": ["a", None, "c"], "b": [True, False, None]}
    frame = pl.DataFrame(columns)
    rows = [{key: values[i] for key, values in columns.items()} for i in range(3)]
    arrays = {
        "n": pandas.array([1, 2, None], dtype="Int64"),
        "f": np.array([0.5, np.nan, -1.0]),
        "s": columns["s"],
        "b": columns["b"],
    }
    for value in (frame, frame.lazy(), columns, rows, pyarrow.table(columns), pandas.DataFrame(arrays), Table(frame)):
        table = Table.of(value, "mine")
        assert table.frame.equals(frame), type(value)
        assert table.notes == ()
    assert Table.of(Table(frame, "own"), "mine").name == "own"


def test_what_pandas_holds():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "when": pandas.to_datetime(["2020-01-01 10:00", None]),
            "kind": pandas.Categorical(["a", None]),
            "mixed": [1, "x"],
            "bytes": [b"\x00", None],
            3: [1.5, float("inf")],
        },
        index=pandas.Index(["r1", "r2"], name="row"),
    )
    table = Table.of(frame)
    assert table.frame.rows() == [(dt.datetime(2020, 1, 1, 10), "a", "1", b"\x00", 1.5), (None, None, "x", None, float("inf"))]
    assert table.columns == ["when", "kind", "mixed", "bytes", "3"]
    assert [note.what for note in table.notes] == ["index", "mixed"]
    with pytest.raises(DataError, match="E210"):
        Table.of(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


def test_importing_tables_imports_neither_pandas_nor_pyarrow():
    code = (
        "import sys\nfrom deepwright.table import Table\nimport deepwright.kinds, deepwright.sources.csv\n"
        "Table.of({'a': [1]})\nassert not {'pandas', 'pyarrow', 'torch', 'fastexcel', 'sqlalchemy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (3, "E223"),
        ("a.csv", "E223"),
        ([1, 2], "E223"),
        ({"a": 1}, "E223"),
        ({"a": "xy"}, "E223"),
        ({"a": [1], "b": [1, 2]}, "E210"),
        ({"": [1]}, "E210"),
    ],
)
def test_what_is_no_table(value, code):
    with pytest.raises(DataError, match=code):
        Table.of(value)


def test_odd_values_in_memory():
    table = Table.of(
        {"big": [2**70, 1], "date": [dt.date(2020, 1, 1), None], "d": [Decimal("1.5"), None], "np": np.array([1.0, np.nan])}
    )
    assert table.frame["big"].to_list() == [str(2**70), "1"]
    assert table.frame["date"].to_list() == [dt.date(2020, 1, 1), None]
    assert table.frame["np"].to_list() == [1.0, None]
    assert Table.of([{"a": float("nan"), "b": np.float32(2)}]).frame.rows() == [(None, 2.0)]
    assert Table.of(pl.DataFrame({"c": pl.Series(["a"], dtype=pl.Categorical)})).frame.schema == {"c": pl.String}


def test_a_table_keeps_its_name_notes_and_base():
    table = Table(pl.DataFrame({"a": [1, 2]}), "t", (Note("x", "one"),), "folder")
    other = table.with_frame(table.frame.head(1), Note("y", "two"))
    assert (other.name, other.base, len(other), [note.what for note in other.notes]) == ("t", "folder", 1, ["x", "y"])


# ------------------------------------------------------------------------------------------------------------------ tidy


def test_tidy_counts_what_it_changes():
    table = Table(pl.DataFrame({"a": [" x", "?", "\t- ", "", None], "b": ["?", "?", "y", "y", "y"], "n": [1, 2, 3, 4, 5]}))
    neat = tidy(table)
    assert neat.frame.rows() == [("x", None, 1), (None, None, 2), (None, "y", 3), (None, "y", 4), (None, "y", 5)]
    assert {note.text: note.count for note in neat.notes} == {
        "blanks removed around 2 values": 2,
        '"?" read as missing, 3 times': 3,
        '"-" read as missing, 1 times': 1,
        "empty read as missing, 1 times": 1,
    }
    again = tidy(neat)
    assert again.frame.equals(neat.frame)
    assert again.notes == neat.notes


def test_tidy_as_declared():
    table = Table(pl.DataFrame({"a": [" x", "?", "none", ""]}))
    assert tidy(table, strip=False).frame["a"].to_list() == [" x", None, "none", None]
    assert tidy(table, missing=["none"]).frame["a"].to_list() == ["x", "?", None, None]
    assert tidy(table, missing=[]).frame["a"].to_list() == ["x", "?", "none", None]
    assert "?" in MISSING
    typed = Table(pl.DataFrame({"n": [1.0], "raw": [b" "]}))
    assert tidy(typed) is typed


@given(st.lists(st.none() | texts, max_size=8))
def test_tidy_twice_is_tidy_once(values):
    table = tidy(Table(pl.DataFrame({"a": pl.Series(values, dtype=pl.String)})))
    assert tidy(table).frame.equals(table.frame)
    assert not any(value in MISSING for value in table.frame["a"].to_list() if value is not None)


# ------------------------------------------------------------------------------------------------------------------ cast


@given(st.lists(st.none() | finite, min_size=1))
def test_numbers_survive_as_text(values):
    column, note = to("number", [None if value is None else repr(value) for value in values], dtype=pl.String)
    assert column.dtype == pl.Float64
    assert column.to_list() == values
    assert note is None


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None], {"dtype": pl.Int8}, [1.0, None]),
        ([True, False, None], {}, [1.0, 0.0, None]),
        ([1.5, float("nan")], {}, [1.5, None]),
        ([Decimal("1.25")], {}, [1.25]),
        ([" 3 ", "+4", "-.5", "5.", "1e3", "nan"], {}, [3.0, 4.0, -0.5, 5.0, 1000.0, None]),
        ([None, None], {}, [None, None]),
    ],
)
def test_to_number(values, kind, expected):
    column, _ = to("number", values, **kind)
    assert column.dtype == pl.Float64
    assert column.to_list() == expected


def test_what_is_no_number_is_listed():
    message = refused("E220", "number", ["1", "two", None, *["x"] * 12])
    assert "13 of 15 values are not numbers" in message
    assert "row 2: 'two'" in message
    assert "3 more" in message
    assert "on_error: missing" in message
    column, note = to("number", ["1", "two", None], on_error="missing")
    assert column.to_list() == [1.0, None, None]
    assert note.count == 1


@pytest.mark.parametrize(
    ("values", "fix"),
    [(["5%", "7 %"], "strip: '%'"), (["$1", "$2"], "strip: '$'"), (["1,234", "5"], "thousands"), (["1,5", "2,5"], "decimal: ','")],
)
def test_the_fix_fits_the_values(values, fix):
    assert fix in refused("E220", "number", values)


@pytest.mark.parametrize("value", ["1e400", "-inf", "Infinity", float("inf")])
def test_numbers_out_of_range(value):
    assert "row 2" in refused("E221", "number", [type(value)(1), value])
    column, note = to("number", [type(value)(1), value], on_error="missing")
    assert column.to_list() == [1.0, None]
    assert note.count == 1


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1.0, 2.5, float("nan"), None, 1e20], {}, ["1", "2.5", None, None, "1e+20"]),
        ([3, None], {}, ["3", None]),
        ([True, False], {}, ["true", "false"]),
        (["a", None], {}, ["a", None]),
        ([dt.date(2020, 1, 2)], {}, ["2020-01-02"]),
        ([None], {}, [None]),
    ],
)
def test_to_text(values, kind, expected):
    column, note = to("text", values, **kind)
    assert column.dtype == pl.String
    assert column.to_list() == expected
    assert note is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2020-01-31", None], dt.datetime(2020, 1, 31)),
        (["2020-01-31 10:20:30"], dt.datetime(2020, 1, 31, 10, 20, 30)),
        (["2020-01-31T10:20:30.5"], dt.datetime(2020, 1, 31, 10, 20, 30, 500000)),
        (["2020-01-31T10:20:30Z"], dt.datetime(2020, 1, 31, 10, 20, 30)),
        (["2020-01-31T10:20:30+02:00"], dt.datetime(2020, 1, 31, 8, 20, 30)),
        (["31/01/2020", "01/02/2020"], dt.datetime(2020, 1, 31)),
        (["1/31/2020", "2/1/2020"], dt.datetime(2020, 1, 31)),
        (["31.01.2020 10:20"], dt.datetime(2020, 1, 31, 10, 20)),
        (["31/01/20"], dt.datetime(2020, 1, 31)),
        (["Jan 31, 2020"], dt.datetime(2020, 1, 31)),
        (["31-Jan-2020"], dt.datetime(2020, 1, 31)),
        (["31 January 2020"], dt.datetime(2020, 1, 31)),
        (["1/31/2020 1:05 PM"], dt.datetime(2020, 1, 31, 13, 5)),
        (["2020年1月31日"], dt.datetime(2020, 1, 31)),
        (["20200131"], dt.datetime(2020, 1, 31)),
        (["2020-01"], dt.datetime(2020, 1, 1)),
        (["2020"], dt.datetime(2020, 1, 1)),
        ([20200131], dt.datetime(2020, 1, 31)),
        ([2020, 2021], dt.datetime(2020, 1, 1)),
        ([dt.date(2020, 1, 31)], dt.datetime(2020, 1, 31)),
        ([dt.datetime(2020, 1, 31, 1)], dt.datetime(2020, 1, 31, 1)),
        ([dt.datetime(2020, 1, 31, 1, tzinfo=dt.timezone(dt.timedelta(0)))], dt.datetime(2020, 1, 31, 1)),
        (["03/03/2020"], dt.datetime(2020, 3, 3)),
    ],
)
def test_to_date(values, expected):
    column, _ = to("date", values)
    assert column.dtype == pl.Datetime("us")
    assert column[0] == expected


@settings(deadline=None, max_examples=40)
@given(st.lists(st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1)), min_size=1, max_size=20))
def test_iso_dates_survive(values):
    column, _ = to("date", [value.isoformat(sep=" ", timespec="microseconds") for value in values])
    assert column.to_list() == values


def test_dates_that_are_refused():
    assert "alike" in refused("E222", "date", ["01/02/2020", "03/04/2020"])
    assert "row 3: 'soon'" in refused("E222", "date", ["2020-01-01", "2020-01-02", "soon", "2020-01-03"])
    assert "no" in refused("E222", "date", ["x", "y"])
    refused("E220", "date", [1.5])
    column, note = to("date", ["2020-01-01", "2020-01-02", "soon"], on_error="missing")
    assert column.null_count() == note.count == 1
    assert to("date", ["x", None], on_error="missing")[0].null_count() == 2
    assert to("date", [None], dtype=pl.String)[0].to_list() == [None]


def test_one_late_row_tells_day_from_month():
    values = ["01/02/2020"] * 5000 + ["13/02/2020"]
    assert to("date", values)[0][0] == dt.datetime(2020, 2, 1)
    assert to("date", ["01/02/2020"] * 5000 + ["02/13/2020"])[0][0] == dt.datetime(2020, 1, 2)


def test_images_pass():
    for values in ([b"x", None], ["a.png", None], np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3, 3, 3), np.uint8)):
        column = pl.Series("x", values)
        assert cast(column, "image", where="t")[0].equals(column)
    refused("E220", "image", [1, 2])
    refused("E220", "image", np.zeros((2, 3, 3), np.float32))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a|b", "b", None, ""], [["a", "b"], ["b"], None, []]),
        (["a; b", "c"], [["a", "b"], ["c"]]),
        (["a, b , ,a", "c"], [["a", "b"], ["c"]]),
        ([["a"], None], [["a"], None]),
        ([[1, 2]], [["1", "2"]]),
        ([1, 2], [["1"], ["2"]]),
    ],
)
def test_to_tags(values, expected):
    column, _ = to("tags", values)
    assert column.dtype == pl.List(pl.String)
    assert column.to_list() == expected


@pytest.mark.parametrize("dtype", ["number", "text", "date", "image", "tags"])
def test_every_cast_takes_empty_and_null_columns(dtype):
    for column in (pl.Series("x", [None, None]), pl.Series("x", [], dtype=pl.String), pl.Series("x", [None], dtype=pl.String)):
        result, note = cast(column, dtype, where="t")
        assert result.null_count() == len(column)
        assert note is None


# ------------------------------------------------------------------------------------------------------------ fingerprint

FRAME = {
    "i": [1, None, 3],
    "f": [0.5, float("nan"), None],
    "s": ["a", None, "ü"],
    "b": [True, None, False],
    "l": [["x"], [], None],
    "d": [dt.date(2020, 1, 1), None, None],
    "r": [b"\x00", b"", None],
}
KNOWN = "e298fe31dea5a400beb08c83ac995eafaa595084b1767f551a9af46dc123eb8f"


def test_the_fingerprint_is_known():
    """The value is part of the format of bundles: a change of it makes every earlier bundle's data look different."""
    assert fingerprint(Table(pl.DataFrame(FRAME))) == KNOWN


def test_the_fingerprint_tells_tables_apart():
    frame = pl.DataFrame(FRAME)
    prints = {fingerprint(Table(frame))}
    for other in (
        frame.rename({"i": "j"}),
        frame.reverse(),
        frame.head(2),
        frame.select(reversed(frame.columns)),
        frame.with_columns(pl.col("i").cast(pl.Int32)),
        frame.with_columns(pl.Series("s", ["aü", None, ""])),
        frame.with_columns(pl.Series("s", ["a", "", "ü"])),
        frame.with_columns(pl.Series("l", [[], ["x"], None])),
        frame.with_columns(pl.Series("r", [b"", b"\x00", None])),
        frame.with_columns(pl.Series("p", np.zeros((3, 2, 2), np.uint8))),
        frame.with_columns(pl.Series("p", np.eye(6, dtype=np.uint8).reshape(3, 3, 4))),
    ):
        prints.add(fingerprint(Table(other)))
    assert len(prints) == 12
    same = pl.concat([frame.head(1), frame.tail(2)], rechunk=False)
    assert fingerprint(Table(same, "another name", (Note("x", "y"),))) == fingerprint(Table(frame))


@given(st.lists(st.tuples(finite, st.none() | texts), min_size=1, max_size=8))
def test_the_fingerprint_does_not_depend_on_memory(rows):
    frame = pl.DataFrame(rows, schema={"f": pl.Float64, "s": pl.String}, orient="row")
    again = pl.concat([frame.slice(i, 1) for i in range(len(rows))], rechunk=False)
    assert fingerprint(Table(frame)) == fingerprint(Table(again))
    assert fingerprint(Table(pl.concat([frame, frame]).slice(len(rows)))) == fingerprint(Table(frame))
