"""What the pictures of an evaluation show, as small typed values (floor 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepwright import forecasts
from deepwright.facts import ForecastFacts
from deepwright.metrics.rows import BINS, Floats, Ints, Rows
from deepwright.parts import Spec
from deepwright.textscores import columns

CURVE_POINTS = 200
"""The most points of a curve."""
MATRIX_CLASSES = 50
"""The most classes of a confusion matrix."""
_CURVES = 8
_PAIRS = 20
_SAMPLE = 1000
_HISTOGRAM_BINS = 40


class Curve(Spec):
    """A line."""

    name: str
    """The class or tag."""
    area: float
    """The area under the whole curve."""
    x: tuple[float, ...]
    """False positive rate (ROC) or recall (precision-recall), at most 200 points."""
    y: tuple[float, ...]
    """True positive rate (ROC) or precision (precision-recall)."""


class CalibrationBin(Spec):
    """The rows whose probability falls into one of 15 equal bins."""

    predicted: float
    """Their mean probability."""
    observed: float
    """The share of them that came true."""
    rows: int
    """How many they are."""


class ClassRow(Spec):
    """How one class or tag fares."""

    label: str
    """The class."""
    rows: int
    """Rows of this class."""
    predicted: int
    """Rows decided to be of this class."""
    precision: float | None
    """The share of those decided for that are right; null if there are none."""
    recall: float | None
    """The share of its rows that are found; null if there are none."""
    f1: float | None
    """The harmonic mean of both; null if neither is defined."""
    roc_auc: float | None
    """The class against the rest; null if one side has no row."""
    iou: float | None = None
    """Masks only: intersection over union; null if the class is neither there nor found. Rows are then pixels, and F1 is Dice."""


class Confusion(Spec):
    """One kind of mistake."""

    actual: str
    """The true class."""
    predicted: str
    """The class decided for."""
    rows: int
    """How often."""


class Residuals(Spec):
    """How predicted minus actual is distributed, in the target's unit."""

    edges: tuple[float, ...]
    """The edges of up to 40 equal bins between the 0.5 % and the 99.5 % quantile."""
    counts: tuple[int, ...]
    """The rows in each bin."""
    outside: int
    """The rows beyond the bins."""
    quantiles: dict[str, float]
    """``least``, ``5 %``, ``25 %``, ``median``, ``75 %``, ``95 %``, ``greatest``."""


class Points(Spec):
    """Up to 1000 rows drawn at random."""

    actual: tuple[float, ...]
    """The targets."""
    predicted: tuple[float, ...]
    """The predictions."""


class Steps(Spec):
    """Mean squared errors by the rows between a forecast and what it is about."""

    model: tuple[float | None, ...]
    """Of the model, from the first row on, in squared standard deviations of the training rows; null where nothing is known."""
    naive: tuple[float | None, ...]
    """Of repeating the last season."""


class ChannelRow(Spec):
    """How one column of a forecast fares."""

    name: str
    """The column."""
    values: int
    """Values that were foretold and are known."""
    mse: float | None
    """The mean squared error, in squared standard deviations of the training rows."""
    mae: float | None
    """The mean absolute error, in standard deviations of the training rows."""
    rmse_in_units: float | None
    """The root of the mean squared error, in the column's own unit."""
    mae_in_units: float | None
    """The mean absolute error, in the column's own unit."""


class Window(Spec):
    """One column of one forecast, in its own unit."""

    name: str
    """The column."""
    origin: int
    """Which of the forecasts it is, from 0."""
    before: tuple[float | None, ...]
    """The rows before it."""
    actual: tuple[float | None, ...]
    """What came."""
    predicted: tuple[float, ...]
    """What was foretold."""
    low: tuple[float, ...] = ()
    """The lowest quantile, if there are any."""
    high: tuple[float, ...] = ()
    """The highest one."""


def forecast_figures(rows: Rows, facts: ForecastFacts) -> dict[str, Any]:
    """Return how errors grow with the distance, and how each column fares."""
    sums = rows.outputs[:, forecasts.FIXED :].sum(0)
    horizon, channels = facts.horizon, len(facts.channels)
    count, model, naive = sums[: 3 * horizon].reshape(3, horizon)
    known, squares, sizes = sums[3 * horizon :].reshape(3, channels)

    def ratio(above: float, below: float, unit: float = 1.0) -> float | None:
        return float(above / below * unit) if below else None

    steps = Steps(
        model=tuple(ratio(each, n) for each, n in zip(model, count, strict=True)),
        naive=tuple(ratio(each, n) for each, n in zip(naive, count, strict=True)),
    )
    table = []
    for name, n, square, size, scale in zip(facts.channels, known, squares, sizes, facts.scales, strict=True):
        mse = ratio(square, n)
        root = None if mse is None else mse**0.5 * scale
        row = {"mse": mse, "mae": ratio(size, n), "rmse_in_units": root, "mae_in_units": ratio(size, n, scale)}
        table.append(ChannelRow(name=name, values=int(n), **row))
    return {"steps": steps, "channels": tuple(table)}


def _thin(x: Floats, y: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Keep at most ``CURVE_POINTS`` points, evenly along the line's length, its ends included."""
    if x.size > CURVE_POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        at = np.searchsorted(length, np.linspace(0, length[-1], CURVE_POINTS - 1))
        keep = np.unique(np.concatenate([[0], np.minimum(at, x.size - 1), [x.size - 1]]))[:CURVE_POINTS]
        x, y = x[keep], y[keep]
    return tuple(np.round(x, 5).tolist()), tuple(np.round(y, 5).tolist())


def _scores(rows: Rows, k: int) -> tuple[Floats, Floats]:
    if rows.kind == "binary":
        return rows.outputs, (rows.target == 1).astype(np.float64)
    positive = rows.target[:, k] if rows.kind == "multilabel" else rows.target == k
    return rows.outputs[:, k], positive.astype(np.float64)


def curves(rows: Rows, labels: Sequence[str]) -> tuple[tuple[Curve, ...], tuple[Curve, ...]]:
    """Return the ROC and the precision-recall curves: one for binary, else of the up to 8 most frequent classes or tags."""
    roc, pr = [], []
    frequent = [1] if rows.kind == "binary" else np.argsort(-_true_counts(rows), kind="stable")[:_CURVES].tolist()
    ones = np.ones((len(rows), 1))
    for k in sorted(frequent):
        ranking = rows.rankings[0 if rows.kind == "binary" else k]
        if not ranking.possible:
            continue
        areas = ranking.areas(ones)
        score, positive = _scores(rows, k)
        order = np.argsort(-score, kind="stable")
        last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
        hits = np.cumsum(positive[order])[last]
        recall, alarms = hits / hits[-1], last + 1.0
        false = (alarms - hits) / (alarms[-1] - hits[-1])
        x, y = _thin(np.append(0.0, false), np.append(0.0, recall))
        roc.append(Curve(name=labels[k], area=float(areas[0][0]), x=x, y=y))
        x, y = _thin(np.append(0.0, recall), np.append(hits[0] / alarms[0], hits / alarms))
        pr.append(Curve(name=labels[k], area=float(areas[1][0]), x=x, y=y))
    return tuple(roc), tuple(pr)


def _true_counts(rows: Rows) -> Ints:
    return rows.target.sum(0) if rows.kind == "multilabel" else np.bincount(rows.target, minlength=rows.classes)


def class_rows(rows: Rows, labels: Sequence[str]) -> tuple[ClassRow, ...]:
    """Return how each class or tag fares, in the order of the classes."""
    true = _true_counts(rows)
    if rows.kind == "multilabel":
        decided, hits = rows.predicted.sum(0), (rows.predicted & rows.target).sum(0)
    else:
        decided = np.bincount(rows.predicted, minlength=rows.classes)
        hits = np.bincount(rows.target[rows.correct], minlength=rows.classes)
    ones = np.ones((len(rows), 1))
    areas = [ranking.areas(ones)[0][0] for ranking in rows.rankings] * (2 if rows.kind == "binary" else 1)

    def ratio(above: float, below: float) -> float | None:
        return float(above / below) if below else None

    return tuple(
        ClassRow(
            label=labels[k],
            rows=int(true[k]),
            predicted=int(decided[k]),
            precision=ratio(hits[k], decided[k]),
            recall=ratio(hits[k], true[k]),
            f1=ratio(2 * hits[k], decided[k] + true[k]),
            roc_auc=None if np.isnan(areas[k]) else float(areas[k]),
        )
        for k in range(rows.classes)
    )


def span_rows(rows: Rows, types: Sequence[str]) -> tuple[ClassRow, ...]:
    """Return how each type of span, or class of pixels, fares."""
    sums = rows.outputs[:, 3:].sum(0).reshape(-1, 3)

    def ratio(above: float, below: float) -> float | None:
        return float(above / below) if below else None

    return tuple(
        ClassRow(
            label=kind,
            rows=int(there),
            predicted=int(found),
            precision=ratio(right, found),
            recall=ratio(right, there),
            f1=ratio(2 * right, found + there),
            roc_auc=None,
            iou=ratio(right, found + there - right) if rows.kind == "mask" else None,
        )
        for kind, (right, found, there) in zip(types, sums, strict=True)
    )


def confusion(rows: Rows, labels: Sequence[str]) -> tuple[tuple[tuple[int, ...], ...], tuple[Confusion, ...]]:
    """Return the matrix of true (row) and decided (column) classes, empty above 50 classes, and the 20 commonest mistakes."""
    cell, counts = np.unique(rows.target * rows.classes + rows.predicted, return_counts=True)
    actual, predicted = cell // rows.classes, cell % rows.classes
    matrix: tuple[tuple[int, ...], ...] = ()
    if rows.classes <= MATRIX_CLASSES:
        full = np.zeros((rows.classes, rows.classes), dtype=np.int64)
        full[actual, predicted] = counts
        matrix = tuple(tuple(line) for line in full.tolist())
    order = [i for i in np.argsort(-counts, kind="stable") if actual[i] != predicted[i]][:_PAIRS]
    pairs = tuple(Confusion(actual=labels[actual[i]], predicted=labels[predicted[i]], rows=int(counts[i])) for i in order)
    return matrix, pairs


def calibration(rows: Rows) -> tuple[CalibrationBin, ...]:
    """Return the bins of the reliability diagram that hold rows, by rising probability."""
    confidence, truth = rows.confidence
    counts = np.bincount(rows.bins, minlength=BINS)
    sums = np.bincount(rows.bins, confidence, minlength=BINS), np.bincount(rows.bins, truth, minlength=BINS)
    return tuple(
        CalibrationBin(predicted=float(sums[0][b] / counts[b]), observed=float(sums[1][b] / counts[b]), rows=int(counts[b]))
        for b in np.flatnonzero(counts)
    )


def residuals(rows: Rows) -> Residuals:
    """Return how the errors of a number are distributed."""
    low, high = np.quantile(rows.error, [0.005, 0.995])
    inside = rows.error[(rows.error >= low) & (rows.error <= high)]
    bins = _HISTOGRAM_BINS if high - low > 1e-9 * max(abs(low), abs(high)) else 1
    counts, edges = np.histogram(inside, bins=min(bins, max(1, len(rows) // 2)))
    names = {"least": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "greatest": 1.0}
    quantiles = dict(zip(names, np.quantile(rows.error, list(names.values())).tolist(), strict=True))
    return Residuals(
        edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), outside=len(rows) - int(counts.sum()), quantiles=quantiles
    )


def points(rows: Rows, seed: int) -> Points:
    """Return up to 1000 rows, drawn without replacement."""
    size = min(_SAMPLE, len(rows))
    chosen = np.sort(np.random.default_rng(seed).choice(len(rows), size, replace=False))
    return Points(actual=tuple(rows.target[chosen].tolist()), predicted=tuple(rows.outputs[chosen].tolist()))


def worst(rows: Rows, size: int) -> tuple[int, ...]:
    """Return the positions, among the rows that were given, of the largest errors or the most confident mistakes, worst first."""
    if rows.kind == "number":
        badness, wrong = np.abs(rows.error), rows.error != 0
    elif rows.kind == "forecast":
        badness = rows.outputs[:, 1] / rows.outputs[:, 0]
        wrong = badness > 0
    elif rows.kind in ("mask", "image"):
        # The mean IoU of a picture's own classes, or its PSNR.
        badness = -rows.outputs[:, 2 if rows.kind == "mask" else 0]
        wrong = np.ones(len(rows), bool)
    elif rows.kind == "labels":
        badness = rows.outputs[:, 1] - rows.outputs[:, 0]
        wrong = badness > 0
    elif rows.kind == "answer":
        badness = 1 - rows.outputs[:, 1]
        wrong = rows.outputs[:, 0] == 0
    elif rows.kind == "text":
        lost, tokens = rows.outputs[:, columns("likelihood")].T
        edits, wanted = rows.outputs[:, columns("characters")].T
        badness = edits / np.maximum(wanted, 1) if rows.outputs[:, columns("searched")].any() else lost / np.maximum(tokens, 1)
        wrong = badness > 0
    elif rows.kind == "match":
        badness, wrong = 1 - rows.outputs[:, 0], rows.outputs[:, 1] < 1
    elif rows.kind == "multilabel":
        right = np.where(rows.target, rows.outputs, 1 - rows.outputs)
        badness, wrong = -np.log(np.clip(right, rows.eps, 1)).sum(1), ~rows.correct
    else:
        badness, wrong = 1 - rows.probability, ~rows.correct
        if rows.kind == "ordinal":
            badness = badness + np.abs(rows.error)
    order = np.argsort(-badness, kind="stable")
    chosen = rows.kept[order[wrong[order]][:size]]
    return tuple(chosen.tolist())
