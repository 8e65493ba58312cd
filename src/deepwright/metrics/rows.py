"""Predictions beside what was true, checked, with missing targets left out (floor 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwright.errors import DataError
from deepwright.facts import COUNTED, TargetKind
from deepwright.metrics.ranking import Ranking

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15
"""Equal bins of the predicted probability for the calibration error and its picture (Guo et al., arXiv 1706.04599)."""


class Groups:
    """Sums over groups of rows.

    Args:
        index: The group of each row, int (B,).
        size: The number of groups.
    """

    def __init__(self, index: NDArray[Any], size: int) -> None:
        self.size = size
        self._order = np.argsort(index, kind="stable")
        self._present, self._starts = np.unique(index[self._order], return_index=True)

    def sum(self, values: Floats) -> Floats:
        """Return the sums of ``values`` (B, R) in each group, (size, R)."""
        result = np.zeros((self.size, values.shape[1]))
        result[self._present] = np.add.reduceat(values[self._order], self._starts, axis=0)
        return result


@dataclass(frozen=True)
class Rows:
    """The rows whose target is known, and what metrics share about them.

    Args:
        kind: What the output is.
        outputs: number: values (B,); binary: the probability of the second class (B,); counted kinds: what their metrics add up,
            (B, S); others: probabilities (B, classes).
        target: number: float (B,); multilabel: bool (B, classes); counted kinds: 0; others: class index int (B,).
        kept: The position of each row in the arrays that were given, int (B,).
        eps: The least probability that the log loss believes: the resolution of the given floats.
    """

    kind: TargetKind
    outputs: Floats
    target: NDArray[Any]
    kept: Ints
    eps: float

    def __len__(self) -> int:
        return int(self.kept.size)

    def take(self, chosen: Ints) -> Rows:
        """Return some of the rows."""
        return Rows(self.kind, self.outputs[chosen], self.target[chosen], self.kept[chosen], self.eps)

    @property
    def classes(self) -> int:
        """The number of classes or tags; 0 for a number."""
        return 0 if self.kind == "number" or self.kind in COUNTED else 2 if self.kind == "binary" else int(self.outputs.shape[1])

    @cached_property
    def predicted(self) -> NDArray[Any]:
        """The decision: values (B,), class index (B,), or tags bool (B, classes). A probability of exactly ½ says no."""
        if self.kind == "number":
            return self.outputs
        if self.kind == "binary":
            return (self.outputs > 0.5).astype(np.int64)
        if self.kind == "multilabel":
            return np.asarray(self.outputs > 0.5)
        return np.asarray(self.outputs.argmax(1))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each row (multilabel: its whole set of tags) was decided correctly, (B,)."""
        same = np.asarray(self.predicted == self.target)
        return np.asarray(same.all(1)) if self.kind == "multilabel" else same

    @cached_property
    def probability(self) -> Floats:
        """The probability given to the true class, (B,); for binary, multiclass and ordinal."""
        if self.kind == "binary":
            return np.where(self.target == 1, self.outputs, 1 - self.outputs)
        return np.asarray(self.outputs[np.arange(len(self)), self.target])

    @cached_property
    def error(self) -> Floats:
        """Predicted minus actual, (B,): in the unit of the number, or in steps between ordered classes."""
        return np.asarray(self.predicted - self.target, dtype=np.float64)

    @cached_property
    def confidence(self) -> tuple[Floats, Floats]:
        """What calibration compares, two (B,): a probability, and whether what it spoke of came true.

        Binary: the probability of the second class. Otherwise the probability of the class decided for.
        """
        if self.kind == "binary":
            return self.outputs, self.target.astype(np.float64)
        return self.outputs.max(1), self.correct.astype(np.float64)

    @cached_property
    def bins(self) -> Ints:
        """The calibration bin of each row, 0 … BINS - 1, (B,)."""
        return np.clip((self.confidence[0] * BINS).astype(np.int64), 0, BINS - 1)

    @cached_property
    def by_target(self) -> Groups:
        """Rows grouped by their true class."""
        return Groups(self.target, self.classes)

    @cached_property
    def by_predicted(self) -> Groups:
        """Rows grouped by the class decided for."""
        return Groups(self.predicted, self.classes)

    @cached_property
    def rankings(self) -> tuple[Ranking, ...]:
        """How the probabilities rank the rows of each class against the rest: one for binary, else one a class or tag."""
        if self.kind == "binary":
            return (Ranking(self.outputs, self.target == 1),)
        if self.kind == "multilabel":
            return tuple(Ranking(self.outputs[:, k], self.target[:, k]) for k in range(self.classes))
        return tuple(Ranking(self.outputs[:, k], self.target == k) for k in range(self.classes))


def prepare(kind: TargetKind, outputs: NDArray[Any], target: NDArray[Any]) -> Rows:
    """Check outputs against their targets and leave out the rows without a target.

    Args:
        kind: What the output is.
        outputs: Values (B,) in the target's own units, or probabilities (B, classes); for binary (B,) or (B, 2); for counted kinds
            what :meth:`deepwright.families.Feature.counts` returned.
        target: Values (B,), NaN if missing; class indices (B,), -1 if missing; tags (B, classes), NaN rows if missing; for counted
            kinds 0, or -1 if missing.

    Raises:
        DataError: The shapes or class indices do not fit each other (E280).
    """
    outputs, target = np.asarray(outputs), np.asarray(target)
    tiny = float(np.finfo(outputs.dtype).eps) if outputs.dtype.kind == "f" else float(np.finfo(np.float64).eps)
    values = outputs.astype(np.float64)
    if kind in ("number", "binary") and values.ndim == 2 and values.shape[1] == (1 if kind == "number" else 2):
        values = values[:, -1]
    _check(kind, values, target, outputs.shape)
    if kind == "number":
        wanted: NDArray[Any] = target.astype(np.float64)
        known = ~np.isnan(wanted)
    elif kind == "multilabel":
        known = ~np.isnan(target.astype(np.float64)).any(1)
        wanted = np.equal(target, 1)
    else:
        known = target >= 0
        wanted = target.astype(np.int64)
    return Rows(kind, values[known], wanted[known], np.flatnonzero(known), tiny)


def _check(kind: TargetKind, values: Floats, target: NDArray[Any], given: tuple[int, ...]) -> None:
    flat = kind in ("number", "binary")
    expected = "outputs (B,)" if flat else "outputs (B, classes)"
    expected += " and targets (B, classes)" if kind == "multilabel" else " and targets (B,)"
    fits = values.ndim == (1 if flat else 2) and len(values) == len(target)
    fits = fits and (target.shape == values.shape if kind == "multilabel" else target.ndim == 1)
    if not fits:
        raise DataError(
            "E280",
            f"the predictions of a {kind} output do not fit its targets",
            got=f"outputs {given}, targets {target.shape}",
            expected=expected,
        )
    classes = 2 if kind == "binary" else 1 if kind in COUNTED else values.shape[-1]
    if kind not in ("number", "multilabel") and target.size and (target.dtype.kind not in "iu" or target.max() >= classes):
        raise DataError(
            "E280",
            f"the targets of a {kind} output are not class indices",
            got=f"{target.dtype} values up to {target.max()}",
            expected=f"integers from 0 to {classes - 1}, and -1 for a missing target",
        )
