"""How much each column tells of the output, and which columns to keep (floor 2).

Two measures, both on binned values, so that number and category columns compare:

* ``mutual_information``, of each column alone. The plug-in estimate from counts, with the Miller-Madow correction of each entropy
  by (occupied cells - 1) / 2n (Miller 1955, Note on the bias of information estimates; Paninski 2003, Neural Computation 15).
* ``importance``, of each column beside the others: permutation importance (Breiman 2001, Machine Learning 45) in a ridge
  regression on one-hot bins, an additive model that NumPy solves in a second. It sees no interactions, and columns that carry
  the same information share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError
from deepwright.facts import TargetKind
from deepwright.frames import as_text
from deepwright.parts import Spec
from deepwright.recipe import Select
from deepwright.table import Table, cast

Codes = NDArray[np.int64]

SCORED = ("number", "binary", "category", "ordinal", "date")
"""The column types that can be scored; columns of other types are always kept."""

_RARE = 5
_LARGEST = 20_000


class SelectionReport(Spec):
    """What was chosen and why."""

    by: str
    """The measure."""
    scores: dict[str, float]
    """The score of each column, best first: nats, or the share of explained variance that is lost without the column."""
    kept: list[str]
    """The columns that stay, in the order of the table."""
    dropped: list[str]
    """The columns that go, in the order of the table."""
    unscored: list[str] = []
    """Columns of types that cannot be scored, such as text and image; they stay."""


def select_columns(
    table: Table, types: Mapping[str, str], target: pl.Series, kind: TargetKind, select: Select, seed: int = 0
) -> SelectionReport:
    """Score the columns of ``types`` against the target and choose among them.

    Args:
        table: The training rows, cleaned.
        types: The input columns and their feature types.
        target: The output's values, one a row; rows without one are left out.
        kind: What the output is.
        select: The recipe's declaration.
        seed: The seed of the sample and the permutations of ``importance``.

    Raises:
        DataError: Fewer than 10 rows have a target (E231), or a column is not of its type (E220, E222).
    """
    known = target.is_not_null()
    rows = known.arg_true().to_numpy()
    if len(rows) < 10:
        raise DataError(
            "E231",
            "too few rows to select columns by",
            where=table.name,
            got=f"{len(rows)} rows with a target",
            expected="at least 10",
        )
    names = [name for name in types if types[name] in SCORED]
    bins = 20 if select.by == "mutual_information" else 10
    codes = {name: binned(table.frame[name].gather(rows), types[name], bins=bins, where=table.name) for name in names}
    targets = target_codes(target.gather(rows), kind)
    if select.by == "mutual_information":
        found = {name: float(np.mean([mutual_information(code, t) for t in targets])) for name, code in codes.items()}
    else:
        found = _importance(codes, _responses(target.gather(rows), kind), seed)
    scores = dict(sorted(found.items(), key=lambda item: -item[1]))
    good = [name for name, score in scores.items() if score >= select.threshold][: select.keep]
    unscored = [name for name in types if name not in scores]
    kept = [name for name in types if name in good or name in unscored]
    return SelectionReport(
        by=select.by, scores=scores, kept=kept, dropped=[name for name in types if name not in kept], unscored=unscored
    )


def binned(column: pl.Series, type_: str, *, bins: int = 20, where: str = "") -> Codes:
    """Return a bin for each value (rows,): 0 missing, 1… quantile bins of a number or date, or the values of a category.

    Values of a category that fewer than 5 rows hold share one bin: counted apart, identifiers would seem to tell everything.

    Args:
        column: The values.
        type_: The feature type: ``number`` and ``date`` go to quantile bins, anything else is a category.
        bins: The most quantile bins.
        where: What messages call the table.
    """
    if type_ in ("number", "date"):
        dtype: Literal["number", "date"] = "number" if type_ == "number" else "date"
        values, _ = cast(column, dtype, where=f"{where}: column {column.name}", on_error="missing")
        numbers = values.cast(pl.Float64) if type_ == "number" else values.to_physical().cast(pl.Float64)
        return _quantile_codes(numbers.to_numpy(), bins)
    codes, counts = value_codes(column)
    # places 2… by frequency, so that they do not depend on the order in which the process met the values
    places = np.where(counts < _RARE, 1, np.argsort(np.argsort(-counts, kind="stable")) + 2)
    compact: Codes = np.where(codes < 0, 0, places[codes]) if len(counts) else np.zeros(len(column), np.int64)
    return compact


def value_codes(column: pl.Series) -> tuple[Codes, Codes]:
    """Number the values of a column by first appearance.

    Two columns that carry the same information, value for value, have equal codes.

    Returns:
        The code of each row (rows,), -1 where the value is missing, and the rows of each code (distinct values,).
    """
    if column.dtype == pl.String:
        # a dictionary of the values is faster than sorting a million texts
        column = column.cast(pl.Categorical).to_physical()
    elif isinstance(column.dtype, pl.List):
        # Tags have no order; a series has.
        ordered = (column.list.sort() if column.dtype.inner == pl.String else column).alias("value")
        return value_codes(ordered.to_frame().select(as_text("value", ordered.dtype)).to_series())
    known = column.is_not_null().to_numpy()
    _, first, inverse, counts = np.unique(
        column.drop_nulls().to_numpy(), return_index=True, return_inverse=True, return_counts=True
    )
    codes = np.full(len(column), -1, np.int64)
    codes[known] = np.argsort(np.argsort(first, kind="stable"), kind="stable")[inverse]
    return codes, counts[np.argsort(first, kind="stable")].astype(np.int64)


def _quantile_codes(values: NDArray[np.float64], bins: int) -> Codes:
    known = np.isfinite(values)
    codes = np.zeros(len(values), np.int64)
    if known.any():
        edges, times = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1]), return_counts=True)
        # a point mass fills several quantiles: it is a bin of its own, apart from what lies above it
        edges = np.union1d(edges, np.nextafter(edges[times > 1], np.inf))
        distinct = np.unique(values[known][:100_000])
        if len(distinct) <= bins:
            # few values: each its own bin, whatever its share
            edges = distinct[1:]
        codes[known] = np.searchsorted(edges, values[known], side="right") + 1
    return codes


def mutual_information(a: Codes, b: Codes) -> float:
    """Return the mutual information of two columns of bins in nats, Miller-Madow corrected, never below 0."""
    n = len(a)
    if not n:
        return 0.0
    width = int(b.max()) + 1
    joint = np.unique(a * width + b, return_counts=True)[1]
    pa, pb = np.unique(a, return_counts=True)[1], np.unique(b, return_counts=True)[1]
    correction = (len(pa) + len(pb) - len(joint) - 1) / (2 * n)
    return max(_entropy(pa) + _entropy(pb) - _entropy(joint) + correction, 0.0)


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def target_codes(target: pl.Series, kind: TargetKind) -> list[Codes]:
    """Return the target as bins, one array; for tags one array for each of the 20 most frequent tags."""
    if kind == "multilabel":
        return [column.astype(np.int64) for column in _responses(target, kind).T]
    return [binned(target, "number" if kind == "number" else "category", bins=10)]


def _responses(target: pl.Series, kind: TargetKind) -> NDArray[np.float64]:
    """Return what the quick model predicts (rows, responses): the number, or one column a class or tag (the 20 most frequent)."""
    if kind == "number":
        return cast(target, "number", where=target.name, on_error="missing")[0].fill_null(strategy="mean").to_numpy()[:, None]
    if kind == "multilabel":
        tags = cast(target, "tags", where=target.name, on_error="raise")[0]
        frequent = tags.explode(empty_as_null=True, keep_nulls=True).drop_nulls().value_counts(sort=True).head(20).to_series()
        return np.stack([tags.list.contains(tag).to_numpy().astype(np.float64) for tag in frequent], axis=1)
    texts = target.cast(pl.String)
    classes = texts.value_counts(sort=True).head(20).to_series()
    return np.stack([(texts == label).to_numpy().astype(np.float64) for label in classes], axis=1)


def _importance(codes: Mapping[str, Codes], responses: NDArray[np.float64], seed: int, *, repeats: int = 5) -> dict[str, float]:
    """Return the loss of explained variance on held-out rows when each column is permuted, in one-hot ridge regression."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = rng.permutation(len(responses))[:_LARGEST]
    names = list(codes)
    if not names:
        return {}
    compact = [np.unique(np.minimum(codes[name][rows], 63), return_inverse=True)[1] for name in names]
    sizes = np.array([int(code.max()) + 1 for code in compact])
    starts = np.cumsum(sizes) - sizes
    index = np.stack(compact, axis=1) + starts
    fit = len(rows) * 2 // 3
    spread = responses[rows].std(axis=0)
    y = (responses[rows] - responses[rows][:fit].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    weights = _ridge(index[:fit], y[:fit], int(sizes.sum()))
    held, truth = index[fit:], y[fit:]
    effects: list[NDArray[np.float64]] = [weights[held[:, j]] for j in range(len(names))]
    predicted: NDArray[np.float64] = np.add.reduce(effects)
    variance = max(float(((truth - truth.mean(axis=0)) ** 2).sum()), 1e-12)
    base = float(((truth - predicted) ** 2).sum())
    scores: dict[str, float] = {}
    for name, effect in zip(names, effects, strict=True):
        without = predicted - effect
        losses = [float(((truth - without - effect[rng.permutation(len(effect))]) ** 2).sum()) for _ in range(repeats)]
        scores[name] = (float(np.mean(losses)) - base) / variance
    return scores


def _ridge(index: Codes, y: NDArray[np.float64], width: int, *, penalty: float = 1.0) -> NDArray[np.float64]:
    """Solve ridge regression on one-hot columns given by their indices (rows, columns); returns (width, responses)."""
    gram: NDArray[np.float64] = np.eye(width) * penalty
    moment: NDArray[np.float64] = np.zeros((width, y.shape[1]))
    for start in range(0, len(index), 4096):
        part = index[start : start + 4096]
        hot = np.zeros((len(part), width))
        hot[np.arange(len(part))[:, None], part] = 1.0
        gram += hot.T @ hot
        moment += hot.T @ y[start : start + 4096]
    solution: NDArray[np.float64] = np.asarray(np.linalg.solve(gram, moment), np.float64)
    return solution
