"""Binary values: yes or no."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.encoding import Label, Labels, decode_classes, label_counts
from deepwright.errors import DataError
from deepwright.facts import CategoryFacts, Facts, TargetFacts
from deepwright.families import Feature, State

_POSITIVE = {"1", "1.0", "yes", "y", "true", "t", "on", "positive", "pos", "present", "success", "win", "churn", "churned"} | {
    *("spam", "fraud", "default", "malignant", "sick", "died", "survived", "fail", "failure", "abnormal", "anomaly", "attack")
}
_NEGATIVE = {"0", "0.0", "-1", "no", "n", "false", "f", "off", "negative", "neg", "absent", "none"} | {
    *("ham", "healthy", "benign", "normal", "stayed", "retained", "alive", "ok")
}
_YAML = {True: ("yes", "true", "on", "y"), False: ("no", "false", "off", "n")}
"""YAML reads these words as a truth value, and ``positive: yes`` shall mean the text."""


class BinaryState(Labels):
    """What a binary column taught: ``values`` are (negative, positive), or the only value."""

    missing: int
    """Training rows without a value."""


class Binary(Feature):
    """One of two values. As an output: the probability of the positive one.

    Which value is positive: the one that ``positive`` names; else a word such as yes, true, 1, positive, churn or spam; else
    the one opposite a word such as no, false, 0 or negative; else the last in natural order (``>50K`` after ``<=50K``). As an
    input, a missing value is id 0, a value that training did not see id 1.
    """

    state: ClassVar[type[State]] = BinaryState

    positive: Label | bool | None = None
    """The value whose probability is predicted; by default chosen as above."""

    def fit(self, column: pl.Series) -> BinaryState:
        """Learn the two values.

        Raises:
            DataError: There is no value (E260), there are more than two (E261), or ``positive`` is none of them (E262).
        """
        counts = label_counts(column)
        if len(counts) > 2:
            shown = ", ".join(f"{label!r} ({rows:,} rows)" for label, rows in list(counts.items())[:10])
            raise DataError(
                "E261",
                "a binary column holds more than two values",
                where=f"column {column.name}",
                got=f"{len(counts):,} values: {shown}",
                expected="two values and missing ones",
                fix=f"{column.name}: category, or merge spellings:  data: {{clean: {{{column.name}: {{case: lower}}}}}}",
            )
        positive = self._positive(column, counts)
        values = tuple(sorted(counts, key=lambda label: label == positive))
        return BinaryState(values=values, counts=tuple(counts[value] for value in values), missing=column.null_count())

    def _positive(self, column: pl.Series, counts: dict[str, int]) -> str:
        if self.positive is not None:
            words = _YAML[self.positive] if isinstance(self.positive, bool) else (self.positive,)
            named = [label for label in counts if label in words or (isinstance(self.positive, bool) and label.lower() in words)]
            if len(named) != 1:
                known = ", ".join(repr(label) for label in counts)
                raise DataError(
                    "E262",
                    f"positive: {self.positive} is not a value of the training rows",
                    where=f"column {column.name}",
                    got=f"the values {known}",
                    fix=f"{column.name}: {{type: binary, positive: {list(counts)[-1]!r}}}",
                )
            return named[0]
        says_yes = [label for label in counts if label.casefold() in _POSITIVE]
        says_other = [label for label in counts if label.casefold() not in _NEGATIVE]
        for candidates in (says_yes, says_other):
            if len(candidates) == 1:
                return candidates[0]
        return list(counts)[-1]

    def encode(self, column: pl.Series, state: BinaryState) -> dict[str, NDArray[np.generic]]:
        """Return ``categories`` (B, 1)."""
        return {"categories": (state.positions(column) + 2)[:, None]}  # MISSING is -2, UNKNOWN -1

    def facts(self, name: str, state: BinaryState) -> Facts:
        """Return the one column's facts."""
        most = max(range(len(state.counts)), key=lambda i: state.counts[i])
        baseline = most + 2 if state.counts[most] >= state.missing else 0
        return Facts(name, categories=(CategoryFacts(name, 2 + len(state.values), baseline),))

    def target(self, column: pl.Series, state: BinaryState) -> NDArray[np.int32]:
        """Return (B,) 0 for negative, 1 for positive, -1 if missing or unseen."""
        return state.targets(column)

    def target_facts(self, name: str, state: BinaryState) -> TargetFacts:
        """Return the classes (negative, positive)."""
        return TargetFacts(name, "binary", state.values, state.counts, sum(state.counts))

    def decode(self, name: str, outputs: NDArray[np.float32], state: BinaryState) -> pl.DataFrame:
        """Return the more probable value, and the probability of both.

        Args:
            name: The output's name.
            outputs: (B, 2) probabilities.
            state: The learnt state.
        """
        return decode_classes(name, outputs, state.values)

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return columns with known words, without, and with one value."""
        return {
            "words": ["no", "yes", "no", None, "no"],
            "signs": ["<=50K", ">50K", "<=50K", "<=50K"],
            "truth": ["true", "false", "true"],
            "constant": ["a", None, "a"],
        }
