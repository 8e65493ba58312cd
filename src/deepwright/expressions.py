"""The language of constructed columns: one expression, translated node by node to Polars, never evaluated (floor 2).

:mod:`deepwright.derive` describes it. The nodes of :mod:`ast` that are named here are translated; everything else is refused.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import polars as pl

from deepwright.errors import DataError, nearest
from deepwright.table import Note, cast

Kind = Literal["number", "text", "date", "truth", "none"]


@dataclass(frozen=True)
class Value:
    """A translated expression.

    Args:
        expr: The Polars expression over the working frame.
        kind: What it yields; ``none`` is the literal ``None``, which fits everywhere.
        column: The column, if the expression is one and nothing else.
        literal: The constant, if the expression is one.
    """

    expr: pl.Expr
    kind: Kind
    column: str | None = None
    literal: float | str | None = None


class Refused(Exception):  # noqa: N818  it never leaves the package
    """An expression that the language does not have, with the node to point at."""

    def __init__(self, code: str, message: str, node: ast.AST, expected: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.node, self.expected, self.fix = code, message, node, expected, fix


_ARITHMETIC: dict[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: (a / b).floor(),
    ast.Mod: lambda a, b: a - (a / b).floor() * b,
    ast.Pow: lambda a, b: a.pow(b),
}

_COMPARISONS: dict[type[ast.cmpop], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}

_NUMBER: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "log": lambda x: x.log(),
    "log1p": lambda x: x.log1p(),
    "exp": lambda x: x.exp(),
    "sqrt": lambda x: x.sqrt(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "abs": lambda x: x.abs(),
}

_DATE: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "year": lambda x: x.dt.year(),
    "month": lambda x: x.dt.month(),
    "day": lambda x: x.dt.day(),
    "weekday": lambda x: x.dt.weekday(),
    "hour": lambda x: x.dt.hour(),
    "minute": lambda x: x.dt.minute(),
}

_TEXT: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "length": lambda x: x.str.len_chars().cast(pl.Float64),
    "lower": lambda x: x.str.to_lowercase(),
    "upper": lambda x: x.str.to_uppercase(),
}

FUNCTIONS: dict[str, str] = {
    "col": 'col("name"): the column of that name',
    "log": "log(x): natural logarithm",
    "log1p": "log1p(x): log(1 + x)",
    "exp": "exp(x)",
    "sqrt": "sqrt(x)",
    "sin": "sin(x), x in radians",
    "cos": "cos(x), x in radians",
    "abs": "abs(x)",
    "round": "round(x) or round(x, digits)",
    "min": "min(a, b, …): the least",
    "max": "max(a, b, …): the greatest",
    "clip": "clip(x, low, high)",
    "cross": 'cross(a, b, …): the texts joined by " × "',
    "bin": "bin(x, edge, edge, …): the interval of x as a text",
    "year": "year(date)",
    "month": "month(date): 1 … 12",
    "day": "day(date): 1 … 31",
    "weekday": "weekday(date): Monday 1 … Sunday 7",
    "hour": "hour(date): 0 … 23",
    "minute": "minute(date): 0 … 59",
    "elapsed": "elapsed(a, b): days from date a to date b, with fractions",
    "length": "length(text): characters",
    "lower": "lower(text)",
    "upper": "upper(text)",
    "is_missing": "is_missing(x): whether there is no value",
    "if_": "if_(condition, a, b): a where the condition holds, else b",
    "number": "number(x): as a number",
    "text": "text(x): as a text",
    "date": "date(x): as a date",
}
"""Every function and how it is used; the reference page is made of it."""


class Compiler:
    """Translates expressions over one frame.

    An operand that is used more than once becomes a column of the working frame first, so that nested expressions do not grow
    exponentially; a text column that is needed as numbers or dates is cast once.

    Args:
        frame: The rows.
        where: What messages call the table.
        on_error: What becomes of a text that is needed as a number or a date and is none.
    """

    def __init__(self, frame: pl.DataFrame, where: str, on_error: Literal["raise", "missing"]) -> None:
        self.frame, self.where, self.on_error = frame, where, on_error
        self.schema = dict(frame.schema)
        self.notes: list[Note] = []
        # Python normalises identifiers (NFKC), so that a name must be looked up in that form too.
        self.known = {unicodedata.normalize("NFKC", name): name for name in frame.columns} | {n: n for n in frame.columns}

    def compile(self, node: ast.expr) -> Value:
        """Translate ``node``.

        Raises:
            Refused: The language does not have it.
        """
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name(id=name):
                return self._column(name, node)
            case ast.Call():
                return self._call(node)
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Value(self._truth(operand).not_(), "truth")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self._number(operand)
                return Value(-value.expr, "number", literal=-value.literal if isinstance(value.literal, float) else None)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._number(operand)
            case ast.BoolOp(op=op, values=parts):
                truths = [self._truth(part) for part in parts]
                return Value((pl.all_horizontal if isinstance(op, ast.And) else pl.any_horizontal)(truths), "truth")
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp(test=test, body=body, orelse=other):
                return self._choice(test, body, other, node)
            case _:
                raise Refused("E122", f"the language has no {_described(node)}", node, "operators, comparisons and functions")

    def final(self, node: ast.expr) -> pl.Series:
        """Translate ``node`` and return its values: Float64, String, Datetime("us") or Boolean."""
        value = self.compile(node)
        dtypes: dict[str, pl.DataType] = {"number": pl.Float64(), "date": pl.Datetime("us"), "truth": pl.Boolean()}
        return self.frame.with_columns(value.expr.cast(dtypes.get(value.kind, pl.String())).alias("\0final"))["\0final"]

    def _kept(self, expr: pl.Expr) -> pl.Expr:
        name = f"\0{self.frame.width}"
        self.frame = self.frame.with_columns(expr.alias(name))
        return pl.col(name)

    def _finite(self, expr: pl.Expr) -> Value:
        """Return numbers with what is not finite made missing."""
        kept = self._kept(expr)
        return Value(pl.when(kept.is_finite()).then(kept), "number")

    def _constant(self, node: ast.Constant) -> Value:
        match node.value:
            case bool():
                return Value(pl.lit(node.value), "truth")
            case int() | float():
                try:
                    number = float(node.value)
                except OverflowError:
                    raise Refused("E123", "the number is too large", node) from None
                return Value(pl.lit(number, pl.Float64), "number", literal=number)
            case str():
                return Value(pl.lit(node.value), "text", literal=node.value)
            case None:
                return Value(pl.lit(None), "none")
            case other:
                expected = "numbers, texts in quotes, True, False, None"
                raise Refused("E122", f"the language has no {type(other).__name__} values", node, expected)

    def _column(self, name: str, node: ast.AST) -> Value:
        if name not in self.known:
            known = list(self.schema)
            parts = [column for column in known if not column.isidentifier() and name in column]
            expected = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
            fix = f'write col("{parts[0]}")' if parts else ""
            raise Refused("E107", f"no column {name!r}{nearest(name, known)}", node, expected, fix)
        column = self.known[name]
        dtype, expr = self.schema[column], pl.col(column)
        if dtype == pl.Boolean:
            return Value(expr, "truth", column)
        if dtype.is_numeric():
            number = expr.cast(pl.Float64)
            return Value(pl.when(number.is_finite()).then(number), "number", column)
        if dtype == pl.Date or isinstance(dtype, pl.Datetime):
            return Value(expr.cast(pl.Datetime("us")), "date", column)
        if dtype in (pl.String, pl.Null) or isinstance(dtype, pl.Categorical | pl.Enum):
            return Value(expr.cast(pl.String), "text", column)
        raise Refused("E123", f"the column {column} holds {dtype}", node, "numbers, texts, dates or truths")

    def _read(self, value: Value, kind: Literal["number", "date"], node: ast.AST) -> Value:
        """Read a text column, or a date in quotes, as numbers or dates."""
        if value.column is not None and value.kind == "text":
            alias = f"\0{kind}:{value.column}"
            if alias not in self.frame.columns:
                where = f"{self.where}: column {value.column}"
                column, note = cast(self.frame[value.column].cast(pl.String), kind, where=where, on_error=self.on_error)
                self.frame = self.frame.with_columns(column.alias(alias))
                self.notes += [note] if note else []
            return Value(pl.col(alias), kind)
        if kind == "date" and isinstance(value.literal, str):
            try:
                column, _ = cast(pl.Series([value.literal]), "date", where=self.where, on_error="raise")
            except DataError:
                raise Refused("E123", f"{value.literal!r} is not a date", node, 'such as "2024-01-31"') from None
            return Value(pl.lit(column.item(), pl.Datetime("us")), "date")
        if value.kind == "none":
            return Value(value.expr.cast(pl.Datetime("us")), "date")
        raise Refused("E123", f"expected a {kind}, got a {value.kind}", node, fix="number(x), text(x) and date(x) convert")

    def _as_number(self, value: Value, node: ast.AST) -> Value:
        if value.kind in ("truth", "none"):
            return Value(value.expr.cast(pl.Float64), "number")
        return value if value.kind == "number" else self._read(value, "number", node)

    def _as_date(self, value: Value, node: ast.AST) -> Value:
        return value if value.kind == "date" else self._read(value, "date", node)

    def _number(self, node: ast.expr) -> Value:
        return self._as_number(self.compile(node), node)

    def _operand(self, node: ast.expr) -> pl.Expr:
        """Return a number that may be used more than once."""
        value = self._number(node)
        return value.expr if value.column is not None or value.literal is not None else self._kept(value.expr)

    def _date(self, node: ast.expr) -> pl.Expr:
        return self._as_date(self.compile(node), node).expr

    def _truth(self, node: ast.expr) -> pl.Expr:
        value = self.compile(node)
        if value.kind not in ("truth", "none"):
            raise Refused("E123", f"expected a condition, got a {value.kind}", node, "a comparison such as age > 30")
        return value.expr.cast(pl.Boolean)

    def _text(self, node: ast.expr) -> pl.Expr:
        return self._as_text(self.compile(node))

    def _as_text(self, value: Value) -> pl.Expr:
        """Return a text; whole numbers lose their ``.0``, so that 3 reads the same from every source."""
        if value.kind != "number":
            return value.expr.cast(pl.String)
        number = self._kept(value.expr)
        whole = number.cast(pl.Int64, strict=False)
        return pl.when(whole.cast(pl.Float64) == number).then(whole.cast(pl.String)).otherwise(number.cast(pl.String))

    def _arithmetic(self, node: ast.BinOp) -> Value:
        if type(node.op) not in _ARITHMETIC:
            raise Refused("E122", f"the language has no {_described(node.op)}", node, "+ - * / // % **")
        a, b = self.compile(node.left), self.compile(node.right)
        for value, side in ((a, node.left), (b, node.right)):
            if value.kind == "date" or isinstance(value.literal, str):
                fix = "elapsed(a, b) is for dates, cross(a, b) for texts"
                raise Refused("E123", f"expected a number, got a {value.kind}", side, "numbers on both sides", fix)
        numbers = [self._as_number(a, node.left).expr, self._as_number(b, node.right).expr]
        if isinstance(node.op, ast.Mod):
            numbers = [self._kept(number) for number in numbers]
        return self._finite(_ARITHMETIC[type(node.op)](*numbers))

    def _compare(self, node: ast.Compare) -> Value:
        nodes = [node.left, *node.comparators]
        # the right side of `in` is a list, which is no value of its own
        membership = isinstance(node.ops[-1], ast.In | ast.NotIn)
        terms = [(self.compile(term), term) for term in (nodes[:-1] if membership else nodes)]
        if len(nodes) > 2:  # a < b < c uses b twice
            terms = [(a if a.column or a.literal is not None else Value(self._kept(a.expr), a.kind), term) for a, term in terms]
        ordered = node.ops[:-1] if membership else node.ops
        results = [self._comparison(*a, op, *b) for a, op, b in zip(terms, ordered, terms[1:], strict=False)]
        if membership:
            results.append(self._membership(*terms[-1], node.ops[-1], nodes[-1]))
        return Value(pl.all_horizontal(results), "truth")

    def _membership(self, value: Value, node: ast.expr, op: ast.cmpop, choices: ast.expr) -> pl.Expr:
        if not isinstance(choices, ast.List | ast.Tuple | ast.Set) or not choices.elts:
            raise Refused("E122", "in needs a list", choices, 'such as x in ["a", "b"]')
        if value.column is None:
            value = Value(self._kept(value.expr), value.kind)
        hits = [self._comparison(value, node, ast.Eq(), self.compile(choice), choice) for choice in choices.elts]
        return pl.any_horizontal(hits).not_() if isinstance(op, ast.NotIn) else pl.any_horizontal(hits)

    def _comparison(self, a: Value, left: ast.expr, op: ast.cmpop, b: Value, right: ast.expr) -> pl.Expr:
        if type(op) not in _COMPARISONS:
            raise Refused("E122", f"the language has no {_described(op)}", left, "< <= == != >= > in; is_missing(x) for None")
        compare, kinds = _COMPARISONS[type(op)], {a.kind, b.kind}
        if "none" in kinds:
            raise Refused("E123", "nothing compares with None", left, "is_missing(x)")
        quoted = isinstance(a.literal, str) or isinstance(b.literal, str)
        columns = a.column is not None and b.column is not None
        if "date" in kinds:
            return compare(self._as_date(a, left).expr, self._as_date(b, right).expr)
        if kinds == {"truth"} or (kinds == {"text"} and not (columns and isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE))):
            return compare(a.expr, b.expr)
        if quoted and (a.column is not None or b.column is not None):
            return compare(self._as_text(a), self._as_text(b))  # whatever dtype the source gave the column
        if quoted:
            other = b.kind if isinstance(a.literal, str) else a.kind
            fix = "leave out the quotes, or text(x)"
            raise Refused("E123", f"a {other} is compared with a text", left, "two numbers, two texts or two dates", fix)
        return compare(self._as_number(a, left).expr, self._as_number(b, right).expr)

    def _choice(self, test: ast.expr, body: ast.expr, other: ast.expr, node: ast.AST) -> Value:
        condition = self._kept(self._truth(test))
        a, b = self.compile(body), self.compile(other)
        kinds = {a.kind, b.kind} - {"none"}
        if len(kinds) > 1 and "number" not in kinds:
            raise Refused("E123", f"one branch is a {a.kind}, the other a {b.kind}", node, "two values of one type")
        if len(kinds) > 1:
            a, b, kinds = self._as_number(a, body), self._as_number(b, other), {"number"}
        expr = pl.when(condition).then(a.expr).when(condition.not_()).then(b.expr)
        return Value(expr, next(iter(kinds), "none"))

    def _call(self, node: ast.Call) -> Value:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            called = repr(name) if name else _described(node.func)
            raise Refused("E121", f"no function {called}{nearest(name, FUNCTIONS)}", node, ", ".join(sorted(FUNCTIONS)))
        args = node.args
        least, most = _ARGUMENTS.get(name, (1, 1))
        if node.keywords or any(isinstance(arg, ast.Starred) for arg in args) or not least <= len(args) <= most:
            raise Refused("E121", f"{name} is used wrongly", node, FUNCTIONS[name])
        if name in _NUMBER:
            return self._finite(_NUMBER[name](self._number(args[0]).expr))
        if name in _DATE:
            return Value(_DATE[name](self._date(args[0])).cast(pl.Float64), "number")
        if name in _TEXT:
            return Value(_TEXT[name](self._text(args[0])), "number" if name == "length" else "text")
        return self._special(name, node, args)

    def _special(self, name: str, node: ast.Call, args: list[ast.expr]) -> Value:
        """Translate the functions that are no plain function of one value."""
        match name:
            case "col":
                if not isinstance(args[0], ast.Constant) or not isinstance(args[0].value, str):
                    raise Refused("E121", "col needs a name in quotes", node, FUNCTIONS["col"])
                return self._column(args[0].value, node)
            case "round":
                return self._round(node, args)
            case "min" | "max":
                terms = [self._operand(arg) for arg in args]
                best = pl.min_horizontal(terms) if name == "min" else pl.max_horizontal(terms)
                return Value(pl.when(pl.all_horizontal([term.is_not_null() for term in terms])).then(best), "number")
            case "clip":
                x, low, high = (self._operand(arg) for arg in args)
                return Value(pl.when(x < low).then(low).when(x > high).then(high).otherwise(x), "number")
            case "cross":
                return Value(pl.concat_str([self._text(arg) for arg in args], separator=" × "), "text")
            case "bin":
                return self._bin(node, args)
            case "elapsed":
                days = (self._date(args[1]) - self._date(args[0])).dt.total_microseconds().cast(pl.Float64) / 86_400e6
                return Value(days, "number")
            case "is_missing":
                return Value(self.compile(args[0]).expr.is_null(), "truth")
            case "if_":
                return self._choice(args[0], args[1], args[2], node)
            case "text":
                return Value(self._text(args[0]), "text")
            case "date":
                return Value(self._date(args[0]), "date")
            case _:
                return self._to_number(args[0])

    def _to_number(self, node: ast.expr) -> Value:
        value = self.compile(node)
        if value.kind == "text" and value.column is None:
            return self._finite(value.expr.cast(pl.Float64, strict=False))
        return Value(self._as_number(value, node).expr, "number")

    def _round(self, node: ast.Call, args: list[ast.expr]) -> Value:
        x = self._number(args[0]).expr
        digits = int(self._literals(args[1:], node, "round")[0]) if len(args) > 1 else 0
        power = 10.0 ** min(-digits, 300)
        return Value((x / power).round(0) * power if digits < 0 else x.round(min(digits, 15)), "number")

    def _bin(self, node: ast.Call, args: list[ast.expr]) -> Value:
        listed = args[1].elts if len(args) == 2 and isinstance(args[1], ast.List | ast.Tuple) else args[1:]
        edges = self._literals(listed, node, "bin")
        if any(b <= a for a, b in pairwise(edges)):
            raise Refused("E121", "the edges of bin must rise", node, FUNCTIONS["bin"])
        x = self._operand(args[0])
        labels = [f"< {edges[0]:g}", *(f"{a:g} … {b:g}" for a, b in pairwise(edges))]
        chain = pl.when(x.is_null()).then(pl.lit(None, pl.String)).when(x < edges[0]).then(pl.lit(labels[0]))
        for edge, label in zip(edges[1:], labels[1:], strict=True):
            chain = chain.when(x < edge).then(pl.lit(label))
        return Value(chain.otherwise(pl.lit(f"≥ {edges[-1]:g}")), "text")

    def _literals(self, args: list[ast.expr], node: ast.AST, name: str) -> list[float]:
        """Return arguments that must be numbers written out."""
        values = [self.compile(arg).literal for arg in args]
        numbers = [value for value in values if isinstance(value, float)]
        if not numbers or len(numbers) < len(values):
            raise Refused("E121", f"{name} needs numbers written out", node, FUNCTIONS[name])
        return numbers


_MANY = 100
_ARGUMENTS: dict[str, tuple[int, int]] = {
    "round": (1, 2),
    "min": (2, _MANY),
    "max": (2, _MANY),
    "clip": (3, 3),
    "cross": (2, _MANY),
    "bin": (2, _MANY),
    "elapsed": (2, 2),
    "if_": (3, 3),
}
"""The least and the most arguments of a function; one where it is not listed."""


def _described(node: ast.AST) -> str:
    """Return what people call a node."""
    names: dict[type[ast.AST], str] = {
        ast.Attribute: "attribute access (a dot)",
        ast.Subscript: "indexing (square brackets)",
        ast.Lambda: "lambda",
        ast.List: "lists here",
        ast.Tuple: "tuples here",
        ast.Dict: "dictionaries",
        ast.ListComp: "comprehensions",
        ast.GeneratorExp: "comprehensions",
        ast.JoinedStr: "f-strings",
        ast.NamedExpr: "assignment",
        ast.BitXor: "^ (a power is **)",
        ast.BitAnd: "& (write and)",
        ast.BitOr: "| (write or)",
        ast.Is: "is",
        ast.IsNot: "is not",
    }
    return names.get(type(node), type(node).__name__)
