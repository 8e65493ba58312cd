"""What a table may be for, by sure signs in its names and values, and the command that trains for it (floor 2).

A sign that ordinary tables have, too, is none: advice that is wrong is worse than none.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import polars as pl

from deepwright.errors import DataError
from deepwright.parts import Spec
from deepwright.recipe import Data
from deepwright.reference import flow
from deepwright.spans import as_answers
from deepwright.table import Table
from deepwright.timeline import arranged, season_of, words

_FEW_ROWS = 30
"""Fewer rows than these are too few to tell steps of time, or to foretell from."""
_HORIZON = 24
"""Rows that are foretold where the step has no season."""
_ID = r"s?([ _-]?(id|no|nr|name))?"
_USER = re.compile(rf"(user|customer|member|client|reviewer|visitor){_ID}", re.IGNORECASE)
_ITEM = re.compile(rf"(item|product|movie|film|book|song|track|artist|game|article|restaurant){_ID}", re.IGNORECASE)
_RATING = re.compile(r"ratings?|stars?|score", re.IGNORECASE)
_TWIN = re.compile(r"(.*?)[ _-]?(1|2|a|b|one|two)", re.IGNORECASE)
_TWINS = ({"first", "second"}, {"left", "right"}, {"premise", "hypothesis"})
_ENDS = ({"1", "2"}, {"a", "b"}, {"one", "two"})
_LABEL = re.compile(r"(gold[ _-]?)?label|(is[ _-]?)?(duplicate|paraphrase|match)|score|similarity|entailment", re.IGNORECASE)
_LABELS = ("number", "binary", "category", "ordinal")
_MOST_TEXTS = 100
"""Columns of texts that are looked at for twins."""
_SAMPLE = 200
"""Rows that are looked at for answers in their passages, and the share of them where there must be one."""
_MOSTLY = 0.9


class Advice(Spec):
    """What a table may be for."""

    task: str
    """``forecasting``, ``recommendation``, ``pairs`` or ``questions``, the page of the docs that tells more."""
    why: str
    """The signs, in a line."""
    command: str
    """The command that trains for it."""


def advised(table: Table, types: Mapping[str, str], place: str, target: str | None = None) -> tuple[Advice, ...]:
    """Return what a table may be for.

    Args:
        table: Tidy rows.
        types: The inferred type of each column.
        place: The path of the data, for the command.
        target: The column that is to be predicted, if it is known already.
    """
    found = (look(table, types, target) for look in (_forecasting, _recommendation, _pairs, _questions))
    return tuple(
        Advice(task=task, why=why, command=" ".join(["deepwright train", shlex.quote(place), *map(shlex.quote, arguments)]))
        for task, why, arguments in filter(None, found)
    )


Found = tuple[str, str, list[str]] | None
"""A task, its signs, and what follows ``deepwright train DATA``."""


def _forecasting(table: Table, types: Mapping[str, str], target: str | None) -> Found:
    """Times at regular steps, a row each, beside numbers."""
    numbers = [name for name, kind in types.items() if kind == "number"]
    if len(table) < _FEW_ROWS or not numbers or target not in (None, *numbers):
        return None
    for name in (name for name, kind in types.items() if kind == "date" and table.frame[name].n_unique() == len(table)):
        try:
            step = arranged(table.with_frame(table.frame.select(name)), Data(time=name)).step
        except DataError:
            continue
        if step:
            season = season_of(step)
            horizon = min(season if season > 1 else _HORIZON, len(table) // 10)
            told = [] if target is None else ["--target", target]
            what = _named(numbers if target is None else [target])
            why = f"{name} goes on by {words(step)} a row: what comes next of {what} can be foretold"
            return "forecasting", why, ["--time", name, "--horizon", str(horizon), *told]
    return None


def _recommendation(table: Table, types: Mapping[str, str], target: str | None) -> Found:
    """A column that is named like users, one that is named like items, both recurring, and one that is named like ratings."""
    users, items = (
        [name for name, kind in types.items() if kind == "category" and sign.fullmatch(name)] for sign in (_USER, _ITEM)
    )
    ratings = [
        name for name, kind in types.items() if kind in _LABELS and _RATING.fullmatch(name) and _is_number(table.frame[name])
    ]
    if not len(users) == len(items) == len(ratings) == 1 or target not in (None, *ratings):
        return None
    (user,), (item,), (rating,) = users, items, ratings
    if any(2 * table.frame[name].n_unique() > len(table) for name in (user, item)):
        return None
    days = [name for name, kind in types.items() if kind == "date"]
    outputs = {rating: {"type": "number", "clip": True}}
    settings = [_set("outputs", outputs), _set("tabular", "factorization_machine")]
    settings += [_set("data.split", {"by": "last", "group": user, "column": days[0]})] if days else []
    return (
        "recommendation",
        f"{user} rates {item}: the ratings of other items are predicted",
        ["--target", rating, *_flags(settings)],
    )


def _pairs(table: Table, types: Mapping[str, str], target: str | None) -> Found:
    """Two texts that are named as a pair, and what the pair is labelled with."""
    texts = [name for name, kind in types.items() if kind == "text"]
    twins = [pair for pair in combinations(texts[:_MOST_TEXTS], 2) if _are_twins(*pair)]
    others = [name for name, kind in types.items() if kind in _LABELS]
    labels = [name for name in others if _LABEL.fullmatch(name)] or others
    label = labels[0] if target is None and len(labels) == 1 else target
    if len(twins) != 1 or label not in others:
        return None
    first, second = twins[0]
    inputs = {first: {"type": "text", "encoder": {"type": "bag", "width": 64}}, second: {"type": "text", "same_as": first}}
    fusion: Any = {"type": "compare", "ordered": True} if "premise" in first.lower() + second.lower() else "compare"
    settings = [_set("data.columns", "declared"), _set("inputs", inputs), _set("fusion", fusion)]
    why = f"{first} and {second} are two texts, and {label} tells how they go together: one encoder reads both"
    return "pairs", why, ["--target", label, *_flags(settings)]


def _are_twins(one: str, other: str) -> bool:
    """Return whether two names are those of a pair: ``text1`` and ``text2``, ``premise`` and ``hypothesis``."""
    if {one.lower(), other.lower()} in _TWINS:
        return True
    found = [_TWIN.fullmatch(name) for name in (one, other)]
    if not found[0] or not found[1] or not found[0][1]:
        return False
    return found[0][1] == found[1][1] and {found[0][2].lower(), found[1][2].lower()} in _ENDS


def _questions(table: Table, types: Mapping[str, str], target: str | None) -> Found:
    """A question, a passage, and an answer that stands in it."""
    del types
    columns = {name.lower(): name for name, dtype in table.frame.schema.items() if dtype == pl.String}
    question = columns.get("question") or columns.get("query")
    passage = columns.get("passage") or columns.get("context") or columns.get("document")
    answer = next((name for name in table.columns if name.lower() in ("answer", "answers")), None)
    if question is None or passage is None or answer is None or target not in (None, answer):
        return None
    some = table.frame.select(passage, answer).drop_nulls().head(_SAMPLE)
    answers = as_answers(some[answer])
    if answers is None:
        return None
    texts = answers.list.first().struct.field("text")
    there = some.select(pl.col(passage).str.contains(pl.lit(texts), literal=True)).to_series()
    if not len(there) or there.sum() < _MOSTLY * len(there):
        return None
    inputs = {
        passage: {"type": "text", "letters": True, "encoder": "lstm"},
        question: {"type": "text", "same_as": passage},
    }
    outputs = {answer: {"type": "answer", "of": passage, "asks": question}}
    split = {"by": "group", "column": passage}
    settings = [_set("data.columns", "declared"), _set("data.split", split), _set("inputs", inputs), _set("outputs", outputs)]
    return (
        "questions",
        f"the {answer} to {question} stands in {passage}: it is found there",
        ["--target", answer, *_flags(settings)],
    )


def _is_number(column: pl.Series) -> bool:
    """Return whether all values are numbers, whatever type the file gave them."""
    return column.cast(pl.Float64, strict=False).null_count() == column.null_count()


def _named(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _set(key: str, value: Any) -> str:
    return f"{key}={flow(value)}"


def _flags(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]
