"""The profile: summaries, and every finding with the line that mends it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import yaml

from deepwright.clean import apply_values, fit_clean
from deepwright.errors import CODES, DataError
from deepwright.findings import percent, recipe_line
from deepwright.profiling import Profile, profile, spark, unseen_labels
from deepwright.recipe import Recipe
from deepwright.table import Table, tidy

N = 400


def make(seed=0, **extra):
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, N)
    columns = {
        "age": age.astype(str),
        "fare": rng.lognormal(3, 1, N).round(2).astype(str),
        "sex": rng.choice(["Male", "Female"], N),
        "y": np.where(age + rng.normal(0, 20, N) > 50, "yes", "no"),
    }
    return tidy(Table(pl.DataFrame({**columns, **extra}, strict=False), "t.csv"))


def found(table, code, **options):
    result = profile(table, target=options.pop("target", "y"), **options)
    assert Profile.model_validate_json(result.model_dump_json()) == result
    hits = [finding for finding in result.findings if finding.code == code]
    for finding in hits:
        if finding.fix:  # every line to write is a valid recipe
            Recipe.parse(yaml.safe_load(finding.fix))
    return hits


def test_a_table_without_faults_has_no_findings():
    assert [f for f in profile(make(), target="y").findings if f.severity != "info"] == []


def test_columns_are_summarised():
    zeros = ["0"] * 300 + [str(i) for i in range(100)]
    days = [f"2024-{i % 12 + 1:02d}-01" for i in range(N)]
    words = [f"this is a longer text about number {i} and more" for i in range(N)]
    result = profile(make(gain=zeros, day=days, text=words, gap=["1.5", None] * 200), target="y")
    assert (result.name, result.rows, result.sampled, result.target) == ("t.csv", N, None, "y")
    gain = result.column("gain")
    assert (gain.type, gain.distinct, gain.missing) == ("number", 100, 0)
    assert (gain.numbers.min, gain.numbers.median, gain.numbers.max) == (0, 0, 99)
    assert gain.numbers.point == 0
    assert gain.numbers.point_share == gain.numbers.zeros == 301 / 400
    assert (len(gain.numbers.edges), len(gain.numbers.counts), sum(gain.numbers.counts)) == (21, 20, N)
    assert any("point mass at 0 (75 %)" in note for note in gain.notes)
    sex = result.column("sex")
    assert sum(top.count for top in sex.top) == N
    assert sex.top[0].count >= sex.top[1].count
    assert sex.top[0].share == sex.top[0].count / N
    day = result.column("day")
    assert (day.type, day.first, day.last) == ("date", "2024-01-01", "2024-12-01")
    assert result.column("text").length == pytest.approx(46, abs=1)
    assert (result.column("gap").missing, result.column("gap").missing_share) == (200, 0.5)


def test_numbers_that_are_hard_to_bin():
    frame = pl.DataFrame({"c": [3.0, 3.0, None], "w": [-1e308, 1e308, 0.0], "i": [1.0, float("inf"), 2.0]})
    result = profile(Table(frame))
    assert result.column("w").numbers.counts == (3,)
    assert Profile.model_validate_json(result.model_dump_json()) == result


def test_empty_tables():
    assert profile(Table(pl.DataFrame({"a": pl.Series([], dtype=pl.String)}))).rows == 0
    assert profile(Table(pl.DataFrame())).columns == ()


def test_pictures_and_lists():
    frame = pl.DataFrame({"i": [b"1", b"2"] * 50, "t": [["a", "b"], ["b"]] * 50, "y": ["u", "v"] * 50})
    result = profile(Table(frame), target="y")
    assert [column.type for column in result.columns] == ["image", "tags", "binary"]
    assert [(top.value, top.count) for top in result.column("t").top] == [("b", 100), ("a", 50)]


def test_unknown_target():
    with pytest.raises(DataError, match="did you mean 'sex'"):
        profile(make(), target="sexx")


def test_missing_values():
    holes = [None] * 300 + ["1", "2"] * 50
    (finding,) = found(make(h=holes), "missing")
    assert (finding.severity, finding.columns) == ("warn", ("h",))
    (finding,) = found(make(h=[None] * 399 + ["1"]), "missing")
    assert finding.fix == "data: {drop: [h]}"
    gone = make().frame.with_columns(y=pl.when(pl.int_range(pl.len()) > 9).then("y"))
    (finding,) = found(Table(gone), "target_missing")
    assert "10 rows" in finding.text


def test_duplicates():
    table = make()
    (finding,) = found(Table(pl.concat([table.frame, table.frame.head(3)])), "duplicates")
    assert finding.text == "3 duplicate rows"
    assert finding.fix == "data: {clean: {duplicates: drop}}"


def test_constants_and_identifiers():
    table = make(c=["x"] * N, code=[f"k{i}" for i in range(N)], e=pl.Series([None] * N, dtype=pl.String))
    assert [f.columns for f in found(table, "constant")] == [("c",), ("e",)]
    assert [f.columns for f in found(table, "identifier")] == [("code",)]
    assert found(make(), "constant", target="y") == []
    (finding,) = found(table, "constant", target="c")[:1]
    assert finding.severity == "error"


def test_same_information():
    levels = np.arange(N) % 7
    kilometres = np.random.default_rng(0).normal(size=N)
    table = make(
        level=levels.astype(str),
        name=np.array(list("abcdefg"))[levels],
        km=kilometres.round(6).astype(str),
        mile=(kilometres * 0.621).astype(str),
    )
    groups = [finding.columns for finding in found(table, "same_information")]
    assert groups == [("level", "name"), ("km", "mile")]
    assert "says the same as level" in profile(table).column("name").notes


@pytest.mark.parametrize("kind", ["binary", "multiclass", "number"])
def test_leakage(kind):
    rng = np.random.default_rng(3)
    base = rng.normal(size=4 * N)
    target = {
        "binary": np.where(base > 1, "p", "n"),
        "multiclass": np.digitize(base, [-0.5, 0.5]).astype(str),
        "number": base.astype(str),
    }
    leak = np.where(base > 1, "paid", "open") if kind == "binary" else (base * 3 + 1).astype(str)
    hint, code = (base + rng.normal(size=4 * N)).astype(str), [f"k{i}" for i in range(4 * N)]
    table = tidy(Table(pl.DataFrame({"t": target[kind], "leak": leak, "hint": hint, "code": code})))
    (finding,) = found(table, "leakage", target="t")
    assert finding.columns == ("leak",)
    assert finding.fix == "data: {drop: [leak]}"


def test_a_majority_class_is_no_leakage():
    rare = ["p" if i % 100 == 0 else "n" for i in range(N)]
    assert found(make(t=rare), "leakage", target="t") == []


def test_outliers():
    (finding,) = found(make(x=[str(i % 50) for i in range(N - 1)] + ["100000"]), "outliers")
    assert "100,000" in finding.text
    assert finding.fix == "data: {clean: {x: {outliers: clip}}}"


def test_classes():
    labels = ["a"] * 330 + ["b"] * 66 + ["rare"] * 4
    (finding,) = found(make(t=labels), "class_shortage", target="t")
    assert "'rare' 4 rows" in finding.text
    (finding,) = found(make(t=labels), "imbalance", target="t")
    assert finding.fix == "training: {balance: weights}"


def test_mixed_types_and_dates_as_text():
    mixed = [str(i) if i % 10 else "n.v." for i in range(N)]
    (finding,) = found(make(m=mixed), "mixed_types")
    assert finding.fix == "data: {clean: {m: {convert: number, on_error: missing}}}"
    dates = [f"2024-01-{i % 28 + 1:02d}" if i % 10 else "soon" for i in range(N)]
    (finding,) = found(make(d=dates), "date_as_text")
    assert finding.columns == ("d",)


def test_inconsistent_categories_and_the_line_that_mends_them():
    spelt = ["Male", "MALE", "male", "Fe  male", "Fe male", "A+", "A-"] * 57 + ["Male"]
    table = make(s=spelt)
    (finding,) = found(table, "inconsistent_categories")
    assert '"Male" = ' in finding.text
    assert "A+" not in finding.text
    clean = Recipe.parse(yaml.safe_load(finding.fix)).data.clean
    assert apply_values(table, clean, fit_clean(table, clean, {})).frame["s"].n_unique() == 4


def test_markers_of_missing_values():
    (finding,) = found(make(s=["a", "b", "unknown", "c"] * 100), "missing_marker")
    assert finding.fix == "data: {clean: {s: {replace: {unknown: null}}}}"
    (finding,) = found(make(n=[str(i % 60) if i % 40 else "-999" for i in range(N)]), "missing_marker")
    assert finding.fix == 'data: {clean: {n: {replace: {"-999": null}}}}'


def test_against_test_rows():
    table = make()
    test = Table(make(seed=1).frame.with_columns(y=pl.col("y") + ".", more=pl.lit("x")).drop("fare"), "test.csv")
    assert [(f.severity, f.columns) for f in found(table, "test_columns", test=test)] == [("warn", ("fare",)), ("info", ("more",))]
    (finding,) = found(table, "unseen_labels", test=test)
    assert finding.severity == "error"
    assert finding.fix == 'data: {clean: {y: {strip: "."}}}'
    same = Table(table.frame.head(30), "test.csv")
    (finding,) = found(table, "overlap", test=same)
    assert "30 exactly of 30 test rows" in finding.text
    strange = Table(table.frame.with_columns(sex=pl.col("sex").str.to_uppercase()), "test.csv")
    (finding,) = found(table, "unseen_values", test=strange)
    assert finding.fix == "data: {clean: {sex: {case: lower}}}"


def test_unseen_labels_of_adult():
    train = pl.Series(["<=50K", ">50K"] * 10)
    test = pl.Series(["<=50K."] * 12435 + [">50K."] * 3846)
    problem = unseen_labels(train, test, "income", "adult-test.csv")
    assert problem.code in CODES
    assert str(problem).splitlines()[0] == "E214  adult-test.csv: column income holds 2 values that training never saw"
    assert problem.got == '"<=50K." (12,435 rows), ">50K." (3,846 rows)'
    assert problem.expected == 'nearest known values: "<=50K", ">50K"'
    assert problem.fix == 'if they mean the same, add to the recipe   data: {clean: {income: {strip: "."}}}'
    assert unseen_labels(train, train, "income", "x") is None


@pytest.mark.parametrize(
    ("known", "unseen", "fix"),
    [
        (["yes", "no"], ["YES"], "case: lower"),
        (["yes", "no"], ["ｙｅｓ"], "normalize: true"),
        (["yes", "no"], ['"Yes"', '"No"'], 'strip: "\\"", case: lower'),
        (["setosa", "virginica"], ["virginca"], "replace: {virginca: virginica}"),
        (["a", "b"], ["zebra"], ""),
        (["x", "x."], ["X."], "case: lower"),
    ],
)
def test_the_line_that_makes_labels_known(known, unseen, fix):
    problem = unseen_labels(pl.Series(known), pl.Series(unseen), "y", "t.csv")
    assert fix in problem.fix
    assert bool(fix) == bool(problem.fix)


def test_sampling_keeps_counts_exact():
    table = make(copy=[str(i % 9) for i in range(N)], twin=[chr(97 + i % 9) for i in range(N)])
    result = profile(table, target="y", sample=100)
    assert result.sampled == 100
    assert sum(top.count for top in result.column("sex").top) == N
    assert [f.columns for f in result.findings if f.code == "same_information"] == [("copy", "twin")]


def test_spark_and_texts():
    assert spark([0, 1, 2, 4, 8]) == "▁▂▃▅█"  # 0, 0.9, 1.75, 3.5, 7 of 7
    assert spark([]) == ""
    assert spark([0, 0]) == "▁▁"
    assert [percent(v) for v in (0, 0.0001, 0.056, 0.917, 1)] == ["0 %", "< 0.1 %", "5.6 %", "92 %", "100 %"]
    line = recipe_line({"data": {"clean": {"a b": {"replace": {"no": None, "1": "Ünicode: x"}}}}})
    assert yaml.safe_load(line) == {"data": {"clean": {"a b": {"replace": {"no": None, "1": "Ünicode: x"}}}}}
