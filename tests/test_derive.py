"""Constructed columns: what expressions mean, and what is refused."""

from __future__ import annotations

import ast
import datetime
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwright.derive import derive, needed_columns
from deepwright.errors import DataError, RecipeError
from deepwright.table import Table

TEXTS = {
    "a": ["1", "2", None, "0"],
    "b": ["2", "0", "1", "0"],
    "capital-gain": ["10", "0", "5", "7"],
    "sex": ["M", "F", "M", None],
    "day": ["2024-01-31", "2024-02-29", None, "2023-12-31"],
}
TYPED = {
    **TEXTS,
    "a": [1, 2, None, 0],
    "b": [2.0, 0.0, 1.0, 0.0],
    "capital-gain": [10, 0, 5, 7],
    "day": [datetime.date(2024, 1, 31), datetime.datetime(2024, 2, 29), None, datetime.datetime(2023, 12, 31)],
}
EXPRESSIONS = [
    ("a + b * 2 - 1", [4, 1, None, -1]),
    ("a / b", [0.5, None, None, None]),
    ("-a // 2", [-1, -1, None, 0]),
    ("-a % 3", [2, 1, None, 0]),
    ("(a + 1) ** 2", [4, 9, None, 1]),
    ("log(a)", [0, math.log(2), None, None]),
    ("log1p(col('capital-gain'))", [math.log(11), 0, math.log(6), math.log(8)]),
    ("sqrt(a - 1)", [0, 1, None, None]),
    ("exp(1000 * a)", [None, None, None, 1]),
    ("abs(-a)", [1, 2, None, 0]),
    ("round(a / 3, 1)", [0.3, 0.7, None, 0]),
    ("round(100 * a + 44, -2)", [100, 200, None, 0]),
    ("min(a, b, 1)", [1, 0, None, 0]),
    ("max(a, b)", [2, 2, None, 0]),
    ("clip(a, 0.5, 1.5)", [1, 1.5, None, 0.5]),
    ("cross(sex, a)", ["M × 1", "F × 2", None, None]),
    ("bin(b, 1, 2)", ["≥ 2", "< 1", "1 … 2", "< 1"]),
    ("bin(b, [1])", ["≥ 1", "< 1", "≥ 1", "< 1"]),
    ("year(day)", [2024, 2024, None, 2023]),
    ("month(day)", [1, 2, None, 12]),
    ("weekday(day)", [3, 4, None, 7]),
    ("hour(day) + minute(day)", [0, 0, None, 0]),
    ("elapsed('2024-01-01', day)", [30, 59, None, -1]),
    ("elapsed(day, day)", [0, 0, None, 0]),
    ("day > '2024-02-01'", [False, True, None, False]),
    ("length(sex)", [1, 1, 1, None]),
    ("lower(sex)", ["m", "f", "m", None]),
    ("is_missing(sex) or a > 1", [False, True, None, True]),
    ("sex == 'M' and not a > 1", [True, False, None, None]),
    ("0 < a <= 1", [True, False, None, False]),
    ("a < b", [True, False, None, False]),
    ("sex in ['M', 'X']", [True, False, True, None]),
    ("a not in [1, 2]", [False, False, None, True]),
    ("a == '1'", [True, False, None, False]),
    ("if_(a > 1, 'big', 'small')", ["small", "big", None, "small"]),
    ("1 if is_missing(a) else a", [1, 2, 1, 0]),
    ("if_(b > 0, b * 1, None)", [2, None, 1, None]),
    ("number(text(a)) + (a > 1)", [1, 3, None, 0]),
    ("text(a)", ["1", "2", None, "0"]),
    ("month(date(day)) + 0.5", [1.5, 2.5, None, 12.5]),
]


@pytest.mark.parametrize("columns", [TEXTS, TYPED], ids=["texts", "typed"])
@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS, ids=[e for e, _ in EXPRESSIONS])
def test_meaning_does_not_depend_on_the_source(columns, expression, expected):
    result = derive(Table(pl.DataFrame(columns, strict=False)), {"new": expression})
    assert result.columns == [*columns, "new"]
    got = result.frame["new"].to_list()
    if isinstance(next(value for value in expected if value is not None), (int, float)):
        assert [value is None for value in got] == [value is None for value in expected]
        assert [v for v in got if v is not None] == pytest.approx([v for v in expected if v is not None])
    else:
        assert got == expected


def test_later_expressions_use_earlier_ones():
    expressions = {"s": "a + b", "t": "s * 2"}
    assert derive(Table(pl.DataFrame(TYPED, strict=False)), expressions).frame["t"].to_list() == [6, 4, None, 0]
    assert needed_columns(expressions) == {"a", "b"}


def test_needed_columns():
    assert needed_columns({"x": "log(col('capital-gain')) + min(a, b)", "y": "if_(x > 1, x, c)"}) == {"capital-gain", "a", "b", "c"}


def test_an_empty_table_and_a_column_without_values():
    empty = Table(pl.DataFrame({"a": pl.Series([], dtype=pl.String)}))
    assert derive(empty, {"x": "a + 1"}).frame["x"].dtype == pl.Float64
    lost = Table(pl.DataFrame({"a": pl.Series([None, None], dtype=pl.String)}))
    frame = derive(lost, {"x": "a / 2", "m": "month(a)", "c": "cross(a, a)"}).frame
    assert [frame[name].null_count() for name in "xmc"] == [2, 2, 2]


@pytest.mark.parametrize(
    ("expression", "code", "part"),
    [
        ("capital-gain * 2", "E107", 'col("capital-gain")'),
        ("sx == 1", "E107", "did you mean 'sex'"),
        ("a +", "E120", "a +"),
        ("class + 1", "E120", "col("),
        ("(" * 300, "E120", "parentheses"),
        ("+".join("1" * 900), "E120", "nested too deeply"),
        ("a" * 5000, "E120", "too long"),
        ("lg(a)", "E121", "did you mean 'log'"),
        ("log(a, b)", "E121", "log(x)"),
        ("log(x=a)", "E121", "log(x)"),
        ("min(*a)", "E121", "min"),
        ("bin(a, 3, 1)", "E121", "rise"),
        ("bin(a, b)", "E121", "written out"),
        ("col(a)", "E121", "in quotes"),
        ("__import__('os').system('x')", "E121", "attribute"),
        ("(lambda: 1)()", "E121", "lambda"),
        ("a.b", "E122", "attribute"),
        ("a[0]", "E122", "indexing"),
        ("[x for x in a]", "E122", "comprehensions"),
        ("f'{a}'", "E122", "f-strings"),
        ("a ^ b", "E122", "**"),
        ("b'x'", "E122", "bytes"),
        ("a is None", "E122", "is_missing"),
        ("a + 'x'", "E123", "cross(a, b)"),
        ("date(day) + 1", "E123", "elapsed"),
        ("a + 1 == 'x'", "E123", "compared with a text"),
        ("not a", "E123", "condition"),
        ("if_(sex == 'M', a > 1, date(day))", "E123", "branch"),
        ("elapsed('x', day)", "E123", "not a date"),
        ("a == None", "E123", "is_missing"),
        ("1" * 1000, "E123", "too large"),
    ],
)
def test_what_is_refused(expression, code, part):
    with pytest.raises(RecipeError) as caught:
        derive(Table(pl.DataFrame(TEXTS)), {"new": expression})
    assert caught.value.code == code
    assert part in str(caught.value)
    assert "data.derive.new" in str(caught.value)


def test_the_caret_points_at_the_mistake():
    with pytest.raises(RecipeError) as caught:
        derive(Table(pl.DataFrame({"年": [1]})), {"new": "年 + foo(1)"})
    line, caret = caught.value.problems[0].got.split("\n")
    assert line.index("foo") == caret.index("^") - 16  # the width of the label before it


def test_all_problems_at_once_without_those_that_follow():
    expressions = {"x": "nope + 1", "y": "x * 2", "z": "foo(a)", "a": "1"}
    with pytest.raises(RecipeError) as caught:
        derive(Table(pl.DataFrame(TEXTS)), expressions)
    assert [(p.code, p.where) for p in caught.value.problems] == [
        ("E107", "data.derive.x"),
        ("E121", "data.derive.z"),
        ("E124", "data.derive.a"),
    ]


def test_texts_that_are_no_numbers():
    data = Table(pl.DataFrame({"a": ["1", "x"]}), "t.csv")
    with pytest.raises(DataError, match="column a") as caught:
        derive(data, {"p": "a + 1", "q": "a + 2"})
    assert len(caught.value.problems) == 1
    result = derive(data, {"p": "a + 1"}, on_error="missing")
    assert result.frame["p"].to_list() == [2, None]
    assert result.notes


def test_nested_choices_do_not_grow_exponentially():
    expression = "a"
    for _ in range(25):
        expression = f"clip(if_({expression} > 1, 2, a), 0, 9)"
    assert derive(Table(pl.DataFrame(TYPED, strict=False)), {"x": expression}).frame["x"].to_list()[:2] == [1, 2]


numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
operators = st.sampled_from(["+", "-", "*", "/", "//", "%"])


@st.composite
def formulas(draw, depth=3):
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["x", "y"]) | numbers.map(repr))
    return f"({draw(formulas(depth=depth - 1))} {draw(operators)} {draw(formulas(depth=depth - 1))})"


@given(formulas(), numbers, numbers)
def test_arithmetic_agrees_with_python(formula, x, y):
    try:
        expected = eval(compile(ast.parse(formula, mode="eval"), "", "eval"), {"x": x, "y": y})
    except (ZeroDivisionError, OverflowError):
        expected = None
    (got,) = derive(Table(pl.DataFrame({"x": [x], "y": [y]})), {"z": formula}).frame["z"].to_list()
    if expected is None:
        assert got is None
    elif "%" not in formula and "//" not in formula:
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-9)
    else:
        assert got is None or math.isfinite(got)  # at a boundary one rounding decides the whole step


def test_the_only_output_may_be_constructed(people):
    import deepwright as dw

    recipe = {"data": {"derive": {"old": "age > 50"}, "drop": ["rich", "pay"]}, "outputs": {"old": "binary"}, "tabular": "mlp"}
    model = dw.train(people.frame, recipe=recipe, settings=["training.epochs=1"], out="model")
    assert model.metrics["old"]
