"""Answers that stand in a passage."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.answers import judged, placed, texts_of
from deepwright.encoding import no_values
from deepwright.facts import Dtype, TargetFacts
from deepwright.families import Feature, State
from deepwright.spans import Places


class AnswerState(State):
    """What a column of answers taught."""

    rows: int
    """The training rows with an answer."""
    longest: int
    """The tokens of the longest one."""


class Answer(Feature):
    """The answer to a question, an output: a span of a passage.

    The column holds the answer's text, whose first place in the passage counts, a list of texts any of which will do, or a list of
    texts with their starts, as SQuAD has. Rows without an answer are left out.
    """

    dtype: ClassVar[Dtype] = "answer"
    state: ClassVar[type[State]] = AnswerState

    @property
    def in_text(self) -> bool:
        """It is."""
        return True

    def placed(self, column: pl.Series, texts: pl.Series, places: Places, where: str) -> tuple[pl.Series, dict[int, str]]:
        """Return answers with the first and the last token of each, and what is wrong with which rows."""
        del where
        return placed(column, texts, places)

    def fit(self, column: pl.Series) -> AnswerState:
        """Learn how long answers are.

        Raises:
            DataError: There is no answer (E260).
        """
        known = column.drop_nulls()
        if known.is_empty():
            raise no_values(column, "answer")
        spans = _spans(known)
        return AnswerState(rows=len(known), longest=int((spans[:, 1] - spans[:, 0]).max()) + 1)

    def target(self, column: pl.Series, state: AnswerState) -> NDArray[np.int32]:
        """Return (B, 2) the first and the last token of the first answer, -1 if there is none."""
        del state
        return _spans(column).astype(np.int32)

    def target_facts(self, name: str, state: AnswerState) -> TargetFacts:
        """Return how many rows have an answer, and how long the longest is."""
        return TargetFacts(name, "answer", rows=state.rows, longest=state.longest)

    def judged(self, outputs: NDArray[Any], column: pl.Series, texts: pl.Series, places: Places) -> NDArray[np.float64]:
        """Return whether each answer is right, and its F1 of words, (B, 2); NaN where none is known."""
        found, _ = texts_of(outputs, texts, places)
        wanted = column.to_list()
        pairs = [
            judged(text, [each["text"] for each in answers]) if answers else (np.nan, np.nan)
            for text, answers in zip(found, wanted, strict=True)
        ]
        return np.array(pairs, np.float64).reshape(-1, 2)

    def decode(self, name: str, outputs: NDArray[Any], state: AnswerState) -> pl.DataFrame:
        """Return the first and the last token as ``NAME:start`` and ``NAME:end``."""
        del state
        return pl.DataFrame({f"{name}:{side}": outputs[:, index].astype(np.int64) for index, side in enumerate(("start", "end"))})

    def located(self, frame: pl.DataFrame, name: str, texts: pl.Series, places: Places) -> pl.DataFrame:
        """Return the text as ``NAME``, and its first character and the one behind its last; missing where there is none."""
        found, ends = texts_of(frame.to_numpy().reshape(-1, 2), texts, places)
        there = pl.Series(ends[:, 0] >= 0)
        columns = {
            name: pl.Series(found, dtype=pl.String),
            f"{name}:start": pl.Series(ends[:, 0]),
            f"{name}:end": pl.Series(ends[:, 1]),
        }
        return pl.select(pl.when(there).then(values).alias(key) for key, values in columns.items())

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return answers as they are placed among tokens."""
        return {
            "one": [[{"first": 2, "last": 3, "text": "New York"}], None, [{"first": 0, "last": 0, "text": "Rome"}]],
            "several": [[{"first": 1, "last": 1, "text": "a"}, {"first": 4, "last": 6, "text": "b c"}]] * 3,
        }


def _spans(column: pl.Series) -> NDArray[np.int64]:
    """Return the tokens of the first answer of each row, (B, 2), -1 for none."""
    first = column.list.first().struct.unnest()
    return np.stack([first[side].fill_null(-1).to_numpy().astype(np.int64) for side in ("first", "last")], 1)
