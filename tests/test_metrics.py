"""Metrics equal scikit-learn's, intervals cover, and nothing undefined passes for a number."""

import json
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwright.errors import DataError, UsageError
from deepwright.facts import COUNTED, TargetFacts
from deepwright.metrics import (
    METRICS,
    OutputReport,
    default_metric,
    evaluate,
    higher_is_better,
    metric_names,
    naive,
    score,
)

KINDS = tuple(kind for kind in METRICS if kind not in COUNTED)
SEEDS = st.integers(0, 2**32 - 1)
CASES = settings(max_examples=25, deadline=None)


def facts_of(kind, classes=3, rows=100):
    if kind == "number":
        return TargetFacts("y", "number", rows=rows, center=10.0, scale=3.0)
    classes = 2 if kind == "binary" else classes
    counts = tuple(range(classes + 5, 5, -1))
    return TargetFacts("y", kind, tuple(f"c{i}" for i in range(classes)), counts, sum(counts))


def case(kind, seed, size=60, classes=3, levels=7):
    """Outputs with many ties, and targets that they tell something of."""
    rng = np.random.default_rng(seed)
    if kind == "number":
        target = rng.integers(1, 9, size).astype(float)
        return target + rng.integers(-2, 3, size), target
    if kind == "multilabel":
        target = (rng.random((size, classes)) < 0.4).astype(float)
        noisy = rng.integers(0, levels, (size, classes)) + 2 * target
        return (noisy + 0.5) / (levels + 2.5), target
    classes = 2 if kind == "binary" else classes
    target = rng.integers(0, classes, size)
    raw = rng.integers(1, levels, (size, classes)).astype(float)
    raw[np.arange(size), target] += 1
    return raw / raw.sum(1, keepdims=True), target


def sklearn_scores(kind, outputs, target):
    if kind == "number":
        error = np.abs(outputs - target)
        return {
            "rmse": sk.root_mean_squared_error(target, outputs),
            "mae": sk.mean_absolute_error(target, outputs),
            "r2": sk.r2_score(target, outputs),
            "pearson": scipy.stats.pearsonr(outputs, target).statistic,
            "spearman": scipy.stats.spearmanr(outputs, target).statistic,
            "mape": sk.mean_absolute_percentage_error(target, outputs),
            "median_ae": np.median(error),
        }
    if kind == "binary":
        one, decided = outputs[:, 1], (outputs[:, 1] > 0.5).astype(int)
        return {
            "accuracy": sk.accuracy_score(target, decided),
            "balanced_accuracy": sk.balanced_accuracy_score(target, decided),
            "precision": sk.precision_score(target, decided),
            "recall": sk.recall_score(target, decided),
            "f1": sk.f1_score(target, decided),
            "roc_auc": sk.roc_auc_score(target, one),
            "pr_auc": sk.average_precision_score(target, one),
            "log_loss": sk.log_loss(target, outputs),
            "brier": sk.brier_score_loss(target, one),
        }
    if kind == "multilabel":
        decided = outputs > 0.5
        return {
            "f1_micro": sk.f1_score(target, decided, average="micro"),
            "f1_macro": sk.f1_score(target, decided, average="macro"),
            "subset_accuracy": sk.accuracy_score(target, decided),
            "roc_auc": sk.roc_auc_score(target, outputs, average="macro"),
            "pr_auc": sk.average_precision_score(target, outputs, average="macro"),
        }
    decided, labels = outputs.argmax(1), range(outputs.shape[1])
    loss = sk.log_loss(target, outputs, labels=labels)
    if kind == "ordinal":
        return {
            "quadratic_kappa": sk.cohen_kappa_score(target, decided, weights="quadratic"),
            "accuracy": sk.accuracy_score(target, decided),
            "mae": sk.mean_absolute_error(target, decided),
            "log_loss": loss,
        }
    onehot = np.eye(outputs.shape[1])[target]
    return {
        "accuracy": sk.accuracy_score(target, decided),
        "balanced_accuracy": sk.balanced_accuracy_score(target, decided),
        "precision": sk.precision_score(target, decided, average="macro", zero_division=0),
        "recall": sk.recall_score(target, decided, average="macro", zero_division=0),
        "f1": sk.f1_score(target, decided, average="macro"),
        "roc_auc": sk.roc_auc_score(onehot, outputs, average="macro"),
        "pr_auc": sk.average_precision_score(onehot, outputs, average="macro"),
        "log_loss": loss,
    }


@pytest.mark.parametrize("kind", KINDS)
@CASES
@given(seed=SEEDS)
def test_equal_to_scikit_learn(kind, seed):
    outputs, target = case(kind, seed)
    for name, value in sklearn_scores(kind, outputs, target).items():
        assert score(kind, name, outputs, target) == pytest.approx(value, rel=1e-9, abs=1e-12), name


@CASES
@given(seed=SEEDS, size=st.integers(3, 40))
def test_a_weighting_equals_repeated_rows(seed, size):
    from deepwright.metrics.formulas import Sample
    from deepwright.metrics.rows import prepare
    from deepwright.metrics.scores import compute

    rng = np.random.default_rng(seed)
    for kind in KINDS:
        outputs, target = case(kind, seed, size)
        counts = rng.integers(0, 3, size)
        counts[0] = 1
        repeated = prepare(kind, np.repeat(outputs, counts, axis=0), np.repeat(target, counts, axis=0))
        rows = prepare(kind, outputs, target)
        for name, metric in METRICS[kind].items():
            weighted = compute(metric, Sample(rows, counts[:, None].astype(float)))[0]
            plain = compute(metric, Sample(repeated))[0]
            assert weighted == pytest.approx(plain, rel=1e-9, abs=1e-12, nan_ok=True), (kind, name)


def test_calibration_error_by_hand():
    outputs = np.array([0.9] * 10 + [0.1] * 10)
    target = np.array([1] * 7 + [0] * 3 + [0] * 10)
    assert score("binary", "calibration_error", outputs, target) == pytest.approx((10 * 0.2 + 10 * 0.1) / 20)


@pytest.mark.parametrize("kind", KINDS)
def test_report_is_complete_and_json(kind):
    outputs, target = case(kind, 1, size=300)
    report = evaluate(facts_of(kind), outputs.astype(np.float32), target, rounds=100)
    assert report.main == default_metric(kind) == metric_names(kind)[0]
    assert set(report.metrics) == set(report.baseline) == set(metric_names(kind))
    for name, measure in report.metrics.items():
        assert measure.value is not None, name
        assert measure.low <= measure.value <= measure.high, name
    assert report.rows == 300
    assert len(report.worst) == len(set(report.worst)) <= 24
    again = OutputReport.model_validate(json.loads(report.model_dump_json()))
    assert again == report


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_report(kind):
    outputs, target = case(kind, 2)
    first, second = (evaluate(facts_of(kind), outputs, target, rounds=50, seed=7) for _ in range(2))
    assert first == second


def test_interval_covers_about_95_percent():
    covered = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        target = rng.integers(0, 2, 200)
        right = rng.random(200) < 0.8
        measure = evaluate(facts_of("binary"), np.where(right, target, 1 - target) * 0.8 + 0.1, target, rounds=200).metrics[
            "accuracy"
        ]
        covered += measure.low <= 0.8 <= measure.high
    assert 68 <= covered <= 80


def test_many_rows_shrink_the_interval_as_the_root():
    rng = np.random.default_rng(0)
    widths = []
    for size in (20_000, 80_000):
        target = rng.normal(size=size)
        measure = evaluate(facts_of("number"), target + rng.normal(size=size), target, rounds=300).metrics["rmse"]
        assert measure.low < measure.value < measure.high
        widths.append(measure.high - measure.low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_targets_are_left_out(kind):
    outputs, target = case(kind, 3)
    holes = target.astype(float) if kind in ("number", "multilabel") else target.copy()
    holes[::3] = np.nan if kind in ("number", "multilabel") else -1
    report = evaluate(facts_of(kind), outputs, holes, rounds=20)
    kept = np.arange(len(target)) % 3 != 0
    assert report.rows == kept.sum()
    assert report.excluded == (~kept).sum()
    assert all(kept[i] for i in report.worst)
    for name, measure in report.metrics.items():
        assert measure.value == pytest.approx(score(kind, name, outputs[kept], target[kept]))


@pytest.mark.parametrize("kind", KINDS)
def test_no_target_at_all(kind):
    outputs, target = case(kind, 4)
    holes = np.full_like(target, np.nan) if kind in ("number", "multilabel") else np.full_like(target, -1)
    for cut in (slice(None), slice(0)):
        report = evaluate(facts_of(kind), outputs[cut], holes[cut])
        assert report.rows == 0
        assert all(m.value is None and m.reason for m in report.metrics.values())
        assert np.isnan(score(kind, default_metric(kind), outputs[cut], holes[cut]))


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_is_undefined_not_a_number(only):
    outputs = np.linspace(0.1, 0.4, 50)
    report = evaluate(facts_of("binary"), outputs, np.full(50, only), rounds=20)
    assert report.metrics["roc_auc"].value is None
    assert "both classes" in report.metrics["roc_auc"].reason
    assert report.metrics["pr_auc"].value is None
    assert report.metrics["precision"].value is None  # nothing is ever predicted to be positive
    assert (report.metrics["recall"].value is None) == (only == 0)
    assert report.metrics["accuracy"].value == 1 - only
    assert report.roc == ()


def test_constant_and_zero_and_huge_numbers():
    target = np.full(40, 0.1)
    report = evaluate(facts_of("number"), np.full(40, 0.3), target, rounds=20)
    assert report.metrics["r2"].value is None
    assert report.metrics["mape"].value == pytest.approx(2)
    target[3] = 0
    assert evaluate(facts_of("number"), np.full(40, 0.3), target, rounds=20).metrics["mape"].value is None
    report = evaluate(facts_of("number"), np.full(40, 1e200), np.linspace(-1e200, 1e200, 40), rounds=20)
    assert report.metrics["rmse"].value is None
    assert "too large" in report.metrics["rmse"].reason
    report.model_dump_json()


def test_few_rows_have_no_interval():
    report = evaluate(facts_of("number"), np.arange(5.0), np.arange(5.0) + 1)
    assert report.metrics["mae"].value == pytest.approx(1)
    assert report.metrics["mae"].low is None
    assert "20 rows" in report.metrics["mae"].reason


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_sets_do_not_crash(kind, size):
    outputs, target = case(kind, 5, size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(facts_of(kind), outputs, target)


def test_wrong_shapes_and_values():
    with pytest.raises(DataError, match="E280"):
        evaluate(facts_of("number"), np.zeros((5, 2)), np.zeros(5))
    with pytest.raises(DataError, match="E280"):
        evaluate(facts_of("multiclass"), np.zeros((5, 3)), np.zeros(4, dtype=int))
    with pytest.raises(DataError, match="class indices"):
        score("multiclass", "accuracy", np.zeros((5, 3)), np.full(5, 3))
    with pytest.raises(DataError, match="class indices"):
        score("binary", "accuracy", np.zeros(5), np.zeros(5))
    with pytest.raises(DataError, match="4, one a class"):
        evaluate(facts_of("multiclass", 4), np.full((5, 3), 1 / 3), np.zeros(5, dtype=int))
    outputs = np.zeros(30)
    outputs[4] = np.nan
    with pytest.raises(DataError, match="rows 4"):
        evaluate(facts_of("number"), outputs, np.zeros(30))
    assert np.isnan(score("number", "rmse", outputs, np.zeros(30)))


def test_names():
    assert higher_is_better("roc_auc")
    assert not higher_is_better("loss")
    assert not higher_is_better("mae")
    with pytest.raises(UsageError, match="did you mean 'roc_auc'"):
        score("binary", "rocauc", np.zeros(3), np.zeros(3, dtype=int))
    with pytest.raises(UsageError, match="E702"):
        higher_is_better("beauty")
    directions = {}
    for metrics in METRICS.values():
        for name, metric in metrics.items():
            assert directions.setdefault(name, metric.higher) == metric.higher


def test_naive_predictions():
    outputs, text = naive(facts_of("number"), 4)
    assert outputs.tolist() == [10.0] * 4
    assert text == "always 10"
    outputs, text = naive(TargetFacts("y", "binary", ("<=50K", ">50K"), (30, 10), 40), 2)
    assert outputs.tolist() == [[0.75, 0.25]] * 2
    assert text == 'always "<=50K"'
    assert naive(TargetFacts("y", "multilabel", ("a", "b"), (30, 10), 40), 1)[1] == 'always "a"'
    assert naive(TargetFacts("y", "binary", ("a", "b")), 2) is None
    target = np.array([0, 0, 0, 1] * 20)
    report = evaluate(TargetFacts("y", "binary", ("a", "b"), (30, 10), 40), np.linspace(0, 1, 80), target, rounds=10)
    assert report.baseline["accuracy"] == 0.75
    assert report.baseline["roc_auc"] == 0.5
    assert report.baseline["precision"] is None


def test_figures_of_classes():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 5000)
    outputs = np.clip(0.5 + 0.25 * (2 * target - 1) + rng.normal(0, 0.3, 5000), 0, 1)
    report = evaluate(TargetFacts("y", "binary", ("no", "yes"), (1, 1), 2), outputs, target, rounds=10)
    assert np.sum(report.confusion) == 5000
    assert report.confusion[1][0] == np.sum((target == 1) & (outputs <= 0.5))
    assert {(c.actual, c.predicted) for c in report.confusions} == {("no", "yes"), ("yes", "no")}
    (curve,) = report.roc
    assert curve.name == "yes"
    assert len(curve.x) <= 200
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(curve.area, abs=0.002)
    assert len(report.pr[0].x) <= 200
    assert sum(b.rows for b in report.calibration) == 5000
    worst = np.array(report.worst)
    mistaken = np.abs(outputs - target)
    assert np.all(np.diff(mistaken[worst]) <= 0)
    assert mistaken[worst[0]] == mistaken.max()


def test_figures_of_numbers():
    rng = np.random.default_rng(0)
    target = rng.normal(size=3000)
    outputs = target + rng.normal(size=3000)
    report = evaluate(facts_of("number"), outputs, target, rounds=10)
    assert sum(report.residuals.counts) + report.residuals.outside == 3000
    assert len(report.residuals.edges) == len(report.residuals.counts) + 1
    assert len(report.sample.actual) == 1000
    assert report.worst[0] == int(np.abs(outputs - target).argmax())


def test_many_classes_have_no_matrix_but_mistakes():
    outputs, target = case("multiclass", 0, size=400, classes=60)
    report = evaluate(facts_of("multiclass", 60), outputs, target, rounds=10)
    assert report.confusion == ()
    assert len(report.confusions) == 20
    assert len(report.per_class) == 60
    assert len(report.roc) == 8
