"""The evaluation of one output: every metric with its interval, the naive baseline, and the figures of the pictures (floor 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwright import forecasts, masks, tagging
from deepwright.errors import DataError
from deepwright.facts import COUNTED, ForecastFacts, TargetFacts, TargetKind
from deepwright.metrics import figures, quality
from deepwright.metrics.formulas import Sample
from deepwright.metrics.rows import Floats, Rows, prepare
from deepwright.metrics.scores import METRICS, Metric, compute, default_metric
from deepwright.parts import Spec

_LEAST_ROWS = 20
"""Below it a bootstrap interval would promise more than so few rows can tell."""
_MOST_ROWS = 30_000
"""Above it resamples are drawn from this many rows, and their spread shrunk by the root of the share that they are."""
_WORK = 200_000_000
"""Rows × rounds × ranked columns that the bootstrap may take, a few seconds."""
_LEAST_ROUNDS = 100
_CHUNK = 2_000_000
_BIASED = frozenset({"calibration_error"})
"""Metrics that resampling can only raise; their intervals are shifted back by the bias."""
_WORST = 24
_SOME = 4


class Measure(Spec):
    """One metric."""

    value: float | None
    """The metric; null where it is undefined."""
    low: float | None = None
    """The lower end of the 95 % interval."""
    high: float | None = None
    """The upper end of the 95 % interval."""
    reason: str = ""
    """Why something is null."""


class OutputReport(Spec):
    """How good the predictions of one output are."""

    name: str
    """The output."""
    kind: TargetKind
    """What the output is."""
    classes: tuple[str, ...] = ()
    """The labels, in the order of the probabilities."""
    rows: int
    """The rows that were evaluated."""
    excluded: int = 0
    """The rows left out because their target is missing (or was never seen in training)."""
    main: str
    """The metric to look at first."""
    metrics: dict[str, Measure]
    """Every metric of the kind."""
    baseline: dict[str, float | None]
    """The same metrics of the naive prediction, which ignores all inputs."""
    baseline_text: str = ""
    """What the naive prediction is, such as ``always "<=50K"``."""
    rounds: int = 0
    """The bootstrap rounds behind the intervals; 0: none."""
    seed: int = 0
    """The seed of the bootstrap."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Rows by true class (line) and decided class (column); empty above 50 classes."""
    confusions: tuple[figures.Confusion, ...] = ()
    """The 20 commonest mistakes, most frequent first."""
    per_class: tuple[figures.ClassRow, ...] = ()
    """How each class or tag fares."""
    roc: tuple[figures.Curve, ...] = ()
    """ROC curves, of the up to 8 most frequent classes."""
    pr: tuple[figures.Curve, ...] = ()
    """Precision-recall curves, of the up to 8 most frequent classes."""
    calibration: tuple[figures.CalibrationBin, ...] = ()
    """The bins of the reliability diagram."""
    residuals: figures.Residuals | None = None
    """How the errors of a number are distributed."""
    sample: figures.Points | None = None
    """Some rows of a number, actual and predicted."""
    steps: figures.Steps | None = None
    """How the errors of a forecast grow with the distance."""
    channels: tuple[figures.ChannelRow, ...] = ()
    """How each column of a forecast fares."""
    windows: tuple[figures.Window, ...] = ()
    """Some forecasts beside what came, for the pictures."""
    spread: quality.Spread | None = None
    """How good each text is on its own."""
    lengths: tuple[quality.Group, ...] = ()
    """How texts fare by how long the true ones are, in characters; answers, and texts that were not sought, in tokens."""
    reach: tuple[float, ...] = ()
    """Of matches: the share whose right partner is among the first 1, 2, 3, … places, up to 100."""
    worst: tuple[int, ...] = ()
    """The positions, in the arrays that were given, of the 24 largest errors or most confident mistakes, worst first."""
    middle: tuple[int, ...] = ()
    """Of masks and pictures: the positions of 4 that are neither good nor bad."""
    best: tuple[int, ...] = ()
    """Of masks and pictures: the positions of the 4 best, best first."""

    @property
    def headline(self) -> Measure:
        """The measure of the main metric."""
        return self.metrics[self.main]


def naive(facts: TargetFacts, size: int) -> tuple[Floats, str] | None:
    """Return what one would predict knowing the training targets only, and how to say it; None if their counts are unknown.

    Args:
        facts: What is known of the output.
        size: The number of rows B.

    Returns:
        A number's centre (B,), or the classes' shares of the training rows (B, classes); binary: (B, 2).
    """
    if facts.kind == "number":
        return np.full(size, facts.center), f"always {facts.center:,.6g}"
    if facts.kind in COUNTED or not facts.rows or len(facts.counts) != len(facts.classes) or not sum(facts.counts):
        return None
    shares = np.asarray(facts.counts, dtype=np.float64) / (facts.rows if facts.kind == "multilabel" else sum(facts.counts))
    outputs = np.tile(np.clip(shares, 0, 1), (size, 1))
    if facts.kind == "multilabel":
        usual = [label for label, share in zip(facts.classes, shares, strict=True) if share > 0.5]
        return outputs, "always " + (" + ".join(f'"{label}"' for label in usual) or "no tag")
    return outputs, f'always "{facts.classes[int(shares.argmax())]}"'


def evaluate(
    facts: TargetFacts,
    outputs: NDArray[Any],
    target: NDArray[Any],
    *,
    rounds: int = 1000,
    seed: int = 0,
    sizes: NDArray[Any] | None = None,
) -> OutputReport:
    """Measure the predictions of one output.

    Intervals are 95 % percentile bootstrap intervals over rows (Efron 1979). To stay within seconds, many classes take fewer
    rounds (at least 100), and more than 30,000 rows are resampled from 30,000 of them, with the spread around the value shrunk
    by the root of that share (all these metrics converge with the root of the rows). The calibration error, which resampling can
    only raise, is corrected for that bias.

    Args:
        facts: What is known of the output from training.
        outputs: Values (B,) in the target's own units, or probabilities (B, classes); for binary (B,) or (B, 2).
        target: Values (B,) in the target's own units, NaN if missing; class indices (B,), -1 if missing; tags (B, classes) of
            0 and 1, NaN rows if missing. Rows without a target are left out and counted.
        rounds: Bootstrap rounds at most; 0: no intervals.
        seed: The seed of the bootstrap.
        sizes: How long each true answer is (B,), for the picture of answers by their length.

    Raises:
        DataError: Shapes do not fit (E280), or a prediction is NaN or infinite (E281).
    """
    rows = prepare(facts.kind, outputs, target)
    _check(facts, rows)
    known = METRICS[facts.kind]
    main = default_metric(facts.kind)
    excluded = len(np.asarray(target)) - len(rows)
    if not len(rows):
        nothing = {name: Measure(value=None, reason="no row has a known target") for name in known}
        return OutputReport(
            name=facts.name, kind=facts.kind, classes=facts.classes, rows=0, excluded=excluded, main=main,
            metrics=nothing, baseline={},
        )  # fmt: skip
    ranked = rows.classes if rows.classes > 2 else 1
    rounds = min(rounds, max(_LEAST_ROUNDS, _WORK // (min(len(rows), _MOST_ROWS) * ranked)))
    if len(rows) < _LEAST_ROWS or facts.kind == "forecast":
        rounds = 0
    measures = _measures(rows, known, rounds, seed)
    main = next((name for name, measure in measures.items() if measure.value is not None), main)
    guess = _constant(facts, rows) if facts.kind == "mask" else naive(facts, len(rows))
    base: dict[str, float | None] = {}
    if facts.forecast is not None:
        again = Sample(replace(rows, outputs=forecasts.as_naive(rows.outputs)))
        base = {name: _number(compute(metric, again)[0]) for name, metric in known.items()}
    elif guess is not None:
        plain = Sample(prepare(facts.kind, guess[0], _as_given(rows)))
        base = {name: _number(compute(metric, plain)[0]) for name, metric in known.items()}
    return OutputReport(
        name=facts.name,
        kind=facts.kind,
        classes=facts.classes,
        rows=len(rows),
        excluded=excluded,
        main=main,
        metrics=measures,
        baseline=base,
        baseline_text=_as_before(facts.forecast) if facts.forecast is not None else guess[1] if guess is not None else "",
        rounds=rounds,
        seed=seed,
        worst=figures.worst(rows, _WORST),
        **_pictures(rows, facts, seed, sizes),
    )


def _as_before(facts: ForecastFacts) -> str:
    return "as the last row" if facts.season == 1 else f"as {facts.season} rows before"


def _check(facts: TargetFacts, rows: Rows) -> None:
    if facts.kind != "number" and facts.kind not in COUNTED and len(facts.classes) != rows.classes:
        raise DataError(
            "E280",
            f"the predictions of {facts.name} do not fit its classes",
            got=f"{rows.classes} probabilities a row",
            expected=f"{len(facts.classes)}, one a class",
        )
    bad = ~np.isfinite(rows.outputs).reshape(len(rows), -1).all(1) if len(rows) else np.zeros(0, dtype=bool)
    if bad.any():
        raise DataError(
            "E281",
            f"{int(bad.sum())} predictions of {facts.name} are NaN or infinite",
            where="rows " + ", ".join(map(str, rows.kept[bad][:10].tolist())),
            expected="finite numbers",
            fix="train again with a lower training.optimizer.lr, or set training.clip: 1.0",
        )


def _as_given(rows: Rows) -> NDArray[Any]:
    return rows.target.astype(np.float64) if rows.kind == "multilabel" else rows.target


def _pictures(rows: Rows, facts: TargetFacts, seed: int, sizes: NDArray[Any] | None) -> dict[str, Any]:
    if rows.kind == "text":
        return quality.text_figures(rows)
    if rows.kind == "answer":
        return {} if sizes is None else {"lengths": quality.by_length(rows, sizes[rows.kept], list(METRICS["answer"]))}
    if facts.forecast is not None:
        return figures.forecast_figures(rows, facts.forecast)
    if rows.kind == "labels":
        return {"per_class": figures.span_rows(rows, tagging.types(facts.classes))}
    if rows.kind == "match":
        return {"reach": quality.reach(rows)}
    if rows.kind == "mask":
        return {"per_class": figures.span_rows(rows, facts.classes), **_spread(rows)}
    if rows.kind == "image":
        return _spread(rows)
    if rows.kind == "number":
        return {"residuals": figures.residuals(rows), "sample": figures.points(rows, seed)}
    roc, pr = figures.curves(rows, facts.classes)
    found: dict[str, Any] = {"per_class": figures.class_rows(rows, facts.classes), "roc": roc, "pr": pr}
    if rows.kind != "multilabel":
        found["confusion"], found["confusions"] = figures.confusion(rows, facts.classes)
        found["calibration"] = figures.calibration(rows)
    return found


def _constant(facts: TargetFacts, rows: Rows) -> tuple[Floats, str]:
    """Return what the pixels of one class alone, the commonest of the training masks, would count for, and how to say it."""
    usual = int(np.argmax(facts.counts))
    return masks.always(rows.outputs, usual), f'always "{facts.classes[usual]}"'


def _spread(rows: Rows) -> dict[str, Any]:
    """Return the positions of rows in the middle, and of the best."""
    order = figures.worst(rows, len(rows))
    middle = max(0, len(order) // 2 - _SOME // 2)
    return {"middle": order[middle : middle + _SOME], "best": order[::-1][:_SOME]}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _measures(rows: Rows, known: dict[str, Metric], rounds: int, seed: int) -> dict[str, Measure]:
    """Compute every metric and its interval."""
    values = {name: _number(compute(metric, Sample(rows))[0]) for name, metric in known.items()}
    drawn = _draw(rows, known, rounds, seed) if rounds else {}
    few = f"no interval from fewer than {_LEAST_ROWS} rows" if len(rows) < _LEAST_ROWS else ""
    if rows.kind == "forecast":  # resampling would take windows that share most of their rows for as many witnesses
        few = ""
    found = {}
    for name, metric in known.items():
        value = values[name]
        if value is None:
            found[name] = Measure(value=None, reason=metric.undefined)
        elif not rounds:
            found[name] = Measure(value=value, reason=few)
        elif drawn[name].size < rounds / 2:
            found[name] = Measure(value=value, reason="no interval: most resamples leave it undefined")
        else:
            low, high = np.quantile(drawn[name], [0.025, 0.975])
            if name in _BIASED:
                bias = drawn[name].mean() - value
                low, high = max(0.0, low - bias), max(0.0, high - bias)
            found[name] = Measure(value=value, low=float(low), high=float(high))
    return found


def _draw(rows: Rows, known: dict[str, Metric], rounds: int, seed: int) -> dict[str, Floats]:
    """Return the defined values of each metric over bootstrap resamples."""
    generator = np.random.default_rng(seed)
    part, shrink = rows, 1.0
    if len(rows) > _MOST_ROWS:
        part = rows.take(np.sort(generator.choice(len(rows), _MOST_ROWS, replace=False)))
        shrink = float(np.sqrt(_MOST_ROWS / len(rows)))
    drawn: dict[str, list[Floats]] = {name: [] for name in known}
    for weights in _resamples(generator, len(part), rounds):
        sample = Sample(part, weights)
        for name, metric in known.items():
            drawn[name].append(compute(metric, sample))
    joined = {name: np.concatenate(values) for name, values in drawn.items()}
    kept = {name: values[~np.isnan(values)] for name, values in joined.items()}
    if part is rows:
        return kept
    centres = {name: (compute(metric, Sample(part))[0], compute(metric, Sample(rows))[0]) for name, metric in known.items()}
    return {name: centres[name][1] + shrink * (values - centres[name][0]) for name, values in kept.items()}


def _resamples(generator: np.random.Generator, size: int, rounds: int) -> Iterator[Floats]:
    """Yield how often each row is drawn, (B, R), in chunks of rounds small enough for memory."""
    step = max(1, min(rounds, _CHUNK // size))
    for start in range(0, rounds, step):
        width = min(step, rounds - start)
        index = generator.integers(0, size, size=(width, size)) * width + np.arange(width)[:, None]
        yield np.bincount(index.ravel(), minlength=size * width).reshape(size, width).astype(np.float64)
