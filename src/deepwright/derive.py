"""Constructed columns: a small expression language, translated to Polars and never evaluated as Python (floor 2).

An expression is parsed by :mod:`ast`, and only the nodes named here are translated; everything else is refused::

    ratio:  rooms / households                      + - * / // % **, comparisons, and or not, in [..], a if c else b
    gain:   log1p(col("capital-gain"))              a column whose name is no identifier
    who:    cross(sex, race)                        "Male × White"
    ages:   bin(age, 18, 30, 65)                    "< 18", "18 … 30", "30 … 65", "≥ 65"
    month:  month(day)

Values are numbers (float64), texts, dates or truths. A missing operand makes the result missing, and so does what has no finite
value: division by zero, the logarithm of zero, the root of a negative number. A text column is read as numbers or dates where
the expression needs them; ``==`` and ``!=`` between two text columns, and every comparison with a text in quotes, compare texts.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Literal

from deepwright.errors import DataError, DeepwrightError, Problem, RecipeError
from deepwright.expressions import Compiler, Refused
from deepwright.table import Table

LONGEST = 2000
"""The most characters of one expression."""


def derive(table: Table, expressions: Mapping[str, str], *, on_error: Literal["raise", "missing"] = "raise") -> Table:
    """Add the columns that ``expressions`` construct, in order; later ones may use earlier ones.

    Args:
        table: The rows, cleaned.
        expressions: Column names and their expressions.
        on_error: What becomes of a text that is needed as a number or a date and is none.

    Raises:
        RecipeError: All problems of all expressions: syntax (E120), functions (E121), constructs that the language does not have
            (E122), types that do not fit (E123), names already taken (E124), unknown columns (E107).
        DataError: A text that is needed as a number or a date is none.
    """
    frame, notes = table.frame, []
    problems: list[Problem] = []
    spoilt: set[str] = set()
    for name, text in expressions.items():
        where = f"data.derive.{name}"
        if name in table.columns:
            message = f"the column {name} exists already"
            problems.append(Problem("E124", message, where, fix="give the constructed column another name"))
            continue
        try:
            tree = _parse(text, where)
            if spoilt & {used for used, _ in _names(tree)}:
                raise Refused("", "uses a column whose expression is wrong", tree)  # its own problem is listed already
            compiler = Compiler(frame, table.name, on_error)
            frame = frame.with_columns(compiler.final(tree).alias(name))
            notes += [note for note in compiler.notes if note not in notes]
        except Refused as refusal:
            spoilt.add(name)
            if refusal.code:
                problems.append(_problem(refusal, text, where))
        except RecursionError:
            spoilt.add(name)
            problems.append(Problem("E120", "the expression is nested too deeply", where, fix="build it in several columns"))
        except DeepwrightError as error:
            spoilt.add(name)
            problems += error.problems
    if problems:
        raise (RecipeError if any(problem.code.startswith("E1") for problem in problems) else DataError).of(dict.fromkeys(problems))
    return table.with_frame(frame, *notes) if expressions else table


def needed_columns(expressions: Mapping[str, str]) -> set[str]:
    """Return the columns that the expressions read, those that earlier expressions construct left out.

    Raises:
        RecipeError: An expression cannot be parsed (E120).
    """
    needed: set[str] = set()
    built: set[str] = set()
    for name, text in expressions.items():
        needed |= {used for used, _ in _names(_parse(text, f"data.derive.{name}"))} - built
        built.add(name)
    return needed


def made_of(name: str, expressions: Mapping[str, str]) -> tuple[set[str], dict[str, str]]:
    """Return the columns of the table that a column is made of, itself if it is one, and the expressions that make it, in order.

    Raises:
        RecipeError: An expression cannot be parsed (E120).
    """
    wanted, derived = {name}, {}
    for made, text in reversed([*expressions.items()]):
        if made in wanted:
            derived[made] = text
            wanted |= needed_columns({made: text})
    return wanted - set(derived), dict(reversed(derived.items()))


def _parse(text: str, where: str) -> ast.expr:
    if len(text) > LONGEST:
        raise RecipeError(
            "E120", "the expression is too long", where=where, got=f"{len(text):,} characters", expected=f"at most {LONGEST:,}"
        )
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        column = max((error.offset or 1) - 1, 0)
        fix = 'write a column whose name is no identifier as col("its name")'
        raise RecipeError(
            "E120", f"not an expression: {error.msg}", where=where, got=_pointed(text.strip(), column), fix=fix
        ) from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise RecipeError("E120", "not an expression", where=where, got=str(error) or "nested too deeply") from None


def _names(tree: ast.AST) -> list[tuple[str, ast.AST]]:
    """Return the columns that an expression names, each with its node."""
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found: list[tuple[str, ast.AST]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in functions:
            found.append((node.id, node))
        elif _is_col(node) and isinstance(node, ast.Call) and isinstance(node.args[0], ast.Constant):
            found.append((str(node.args[0].value), node))
    return found


def _is_col(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "col" and len(node.args) == 1


def _pointed(text: str, offset: int) -> str:
    return f"{text}\n                {' ' * offset}^" if "\n" not in text else text


def _problem(refusal: Refused, text: str, where: str) -> Problem:
    # ast counts UTF-8 bytes; people count characters.
    offset = len(text.strip().encode()[: getattr(refusal.node, "col_offset", 0)].decode(errors="ignore"))
    return Problem(refusal.code, refusal.message, where, _pointed(text.strip(), offset), refusal.expected, refusal.fix)
