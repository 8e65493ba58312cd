"""Which metrics each kind of output has, and the fast scores of training (floor 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwright.errors import UsageError, nearest
from deepwright.facts import TargetKind
from deepwright.metrics import formulas
from deepwright.metrics.formulas import Sample
from deepwright.metrics.rows import Floats, prepare


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        label: What people call it.
        compute: From a sample to (R,), NaN where it is undefined.
        higher: Whether higher is better.
        undefined: When it is undefined.
        about: What it measures, in one line.
    """

    label: str
    compute: Callable[[Sample], Floats]
    higher: bool
    undefined: str
    about: str


_ONE = "it needs rows of both classes"
_NEVER = "the positive class is neither true nor predicted anywhere"
_TAGS = "no tag is true or predicted anywhere"
_SPANS = "no span is there or found"
_UNSOUGHT = "no text was sought, only the likelihood of the true one measured"
_UNLIKELY = "the likelihood of the true text is not known"
_PIXELS = "no pixel has a known class"
_CONSTANT = "all predictions, or all targets, are equal"
_UNKNOWN = "no value is known"
_NO_QUANTILES = "no quantiles are foretold"
_BIG = "the numbers are too large to compute with"

_LOG_LOSS = Metric("Log loss", formulas.log_loss, False, _BIG, "mean −log of the probability given to the true class")
_ACCURACY = Metric("Accuracy", formulas.accuracy, True, _BIG, "share of rows decided correctly")
_BALANCED = Metric("Balanced accuracy", formulas.balanced_accuracy, True, _BIG, "mean recall over the classes")
_CALIBRATION = Metric(
    "Calibration error", formulas.calibration_error, False, _BIG, "mean gap between probability and frequency, 15 bins"
)
_ROC = Metric("ROC AUC", formulas.roc_auc, True, _ONE, "probability that a positive row outranks a negative one")
_PR = Metric("PR AUC", formulas.pr_auc, True, _ONE, "average precision over all thresholds")

METRICS: dict[TargetKind, dict[str, Metric]] = {
    "number": {
        "rmse": Metric("RMSE", formulas.rmse, False, _BIG, "root of the mean squared error, in the target's unit"),
        "mae": Metric("MAE", formulas.mae, False, _BIG, "mean absolute error, in the target's unit"),
        "r2": Metric("R²", formulas.r2, True, "all targets are equal", "share of the target's variance that is explained"),
        "pearson": Metric("Pearson", formulas.pearson, True, _CONSTANT, "correlation of prediction and target"),
        "spearman": Metric("Spearman", formulas.spearman, True, _CONSTANT, "correlation of their ranks"),
        "mape": Metric("MAPE", formulas.mape, False, "a target is 0, or " + _BIG, "mean absolute error as a share of the target"),
        "median_ae": Metric("Median error", formulas.median_ae, False, _BIG, "median absolute error, in the target's unit"),
    },
    "binary": {
        "roc_auc": _ROC,
        "accuracy": _ACCURACY,
        "balanced_accuracy": _BALANCED,
        "precision": Metric(
            "Precision", formulas.precision, True, "the positive class is never predicted", "share of alarms that are right"
        ),
        "recall": Metric(
            "Recall", formulas.recall, True, "no row is of the positive class", "share of positive rows that are found"
        ),
        "f1": Metric("F1", formulas.f1, True, _NEVER, "harmonic mean of precision and recall"),
        "pr_auc": _PR,
        "log_loss": _LOG_LOSS,
        "brier": Metric("Brier score", formulas.brier, False, _BIG, "mean squared error of the probability"),
        "calibration_error": _CALIBRATION,
    },
    "multiclass": {
        "accuracy": _ACCURACY,
        "balanced_accuracy": _BALANCED,
        "precision": Metric("Precision (macro)", formulas.precision_macro, True, _BIG, "mean precision over the classes"),
        "recall": Metric("Recall (macro)", formulas.recall_macro, True, _BIG, "mean recall over the classes, never-true ones as 0"),
        "f1": Metric("F1 (macro)", formulas.f1_macro, True, _BIG, "mean F1 over the classes"),
        "roc_auc": Metric("ROC AUC (macro)", formulas.roc_auc, True, _ONE, "mean over the classes of each against the rest"),
        "pr_auc": Metric("PR AUC (macro)", formulas.pr_auc, True, _ONE, "mean average precision of each class against the rest"),
        "log_loss": _LOG_LOSS,
        "calibration_error": _CALIBRATION,
    },
    "multilabel": {
        "f1_micro": Metric("F1 (micro)", formulas.f1_micro, True, _TAGS, "F1 over all tags of all rows together"),
        "f1_macro": Metric("F1 (macro)", formulas.f1_macro, True, _TAGS, "mean F1 over the tags"),
        "subset_accuracy": Metric("Subset accuracy", formulas.accuracy, True, _BIG, "share of rows with exactly the right tags"),
        "roc_auc": Metric(
            "ROC AUC (macro)", formulas.roc_auc, True, _ONE, "mean over the tags that some rows carry and others do not"
        ),
        "pr_auc": Metric("PR AUC (macro)", formulas.pr_auc, True, _ONE, "mean average precision over the tags"),
    },
    "labels": {
        "f1": Metric("F1", formulas.span_f1, True, _SPANS, "of spans: type and both ends right, counted strictly"),
        "precision": Metric(
            "Precision", formulas.span_precision, True, "nothing is found", "share of the spans found that are right"
        ),
        "recall": Metric("Recall", formulas.span_recall, True, "there is no span", "share of the spans that are found"),
        "token_accuracy": Metric("Token accuracy", formulas.token_accuracy, True, _BIG, "share of tokens labelled rightly"),
        "row_accuracy": Metric("Row accuracy", formulas.whole_rows, True, _BIG, "share of rows whose labels are all right"),
    },
    "text": {
        "bleu": Metric("BLEU", formulas.bleu, True, _UNSOUGHT, "precision of runs of 1 to 4 words and signs, in percent"),
        "chrf": Metric("chrF", formulas.chrf, True, _UNSOUGHT, "F-score of runs of 1 to 6 characters, in percent"),
        "character_error_rate": Metric("CER", formulas.character_errors, False, _UNSOUGHT, "characters to edit, of those there"),
        "perplexity": Metric("Perplexity", formulas.perplexity, False, _UNLIKELY, "of the true text: e to the loss of a token"),
        "word_error_rate": Metric("WER", formulas.word_errors, False, _UNSOUGHT, "words and signs to edit, of those there"),
        "exact": Metric("Exact", formulas.exact_texts, True, _UNSOUGHT, "share of texts that are right as a whole"),
        "rouge_1": Metric("ROUGE-1", formulas.rouge_1, True, _UNSOUGHT, "mean F1 of words"),
        "rouge_2": Metric("ROUGE-2", formulas.rouge_2, True, _UNSOUGHT, "mean F1 of pairs of words"),
        "rouge_l": Metric("ROUGE-L", formulas.rouge_l, True, _UNSOUGHT, "mean F1 of the longest common subsequence of words"),
        "bits": Metric("Bits a token", formulas.bits, False, _UNLIKELY, "of the true text: its bits by the model, a token"),
    },
    "match": {
        "mrr": Metric("MRR", formulas.reciprocal_rank, True, _BIG, "mean of 1 / the place of the right partner among all rows'"),
        "recall_at_1": Metric("Recall @1", formulas.found_first, True, _BIG, "share of rows whose right partner is first"),
        "recall_at_5": Metric("Recall @5", formulas.found_in_5, True, _BIG, "share of rows whose right partner is among 5"),
        "recall_at_10": Metric("Recall @10", formulas.found_in_10, True, _BIG, "share of rows whose right partner is among 10"),
    },
    "answer": {
        "f1": Metric("F1", formulas.answer_f1, True, _BIG, "mean F1 of the words of answer and reference, as SQuAD computes it"),
        "exact_match": Metric(
            "Exact match", formulas.answer_exact, True, _BIG, "share of answers that are a reference, as in SQuAD"
        ),
    },
    "forecast": {
        "mse": Metric("MSE", formulas.forecast_mse, False, _UNKNOWN, "mean squared error, in standard deviations of training rows"),
        "mae": Metric(
            "MAE", formulas.forecast_mae, False, _UNKNOWN, "mean absolute error, in standard deviations of training rows"
        ),
        "mase": Metric("MASE", formulas.mase, False, _UNKNOWN, "mean absolute error over that of the seasonal naive in training"),
        "skill": Metric(
            "Skill", formulas.forecast_skill, True, _UNKNOWN, "share of the seasonal naive's squared error that is saved"
        ),
        "pinball": Metric("Pinball loss", formulas.forecast_pinball, False, _NO_QUANTILES, "of the quantiles, standardised"),
        "coverage": Metric(
            "Coverage", formulas.forecast_coverage, True, _NO_QUANTILES, "share of values between the outermost quantiles"
        ),
    },
    "mask": {
        "mean_iou": Metric(
            "Mean IoU", formulas.mean_iou, True, _PIXELS, "mean over the classes of intersection over union, all pixels"
        ),
        "mean_dice": Metric("Mean Dice", formulas.mean_dice, True, _PIXELS, "mean F1 of the classes, over all pixels"),
        "pixel_accuracy": Metric("Pixel accuracy", formulas.token_accuracy, True, _PIXELS, "share of pixels decided rightly"),
        "picture_iou": Metric("IoU of a picture", formulas.row_iou, True, _BIG, "mean over the pictures of their own mean IoU"),
    },
    "image": {
        "psnr": Metric("PSNR", formulas.psnr, True, _BIG, "peak signal to noise, in decibels, the mean over the pictures"),
        "ssim": Metric("SSIM", formulas.ssim, True, _BIG, "structural similarity, 1 for equal pictures"),
        "mae": Metric("MAE", formulas.picture_mae, False, _BIG, "mean absolute error, of 255"),
        "rmse": Metric("RMSE", formulas.picture_rmse, False, _BIG, "root of the mean squared error, of 255"),
    },
    "ordinal": {
        "quadratic_kappa": Metric(
            "Quadratic κ", formulas.quadratic_kappa, True, "only one class occurs", "agreement beyond chance, squared"
        ),
        "accuracy": _ACCURACY,
        "mae": Metric("MAE", formulas.mae, False, _BIG, "mean distance in steps between ordered classes"),
        "log_loss": _LOG_LOSS,
    },
}
"""The metrics of each kind of output; the first is its default."""


def metric_names(kind: TargetKind) -> tuple[str, ...]:
    """Return the names of the metrics of an output of this kind, the default first."""
    return tuple(METRICS[kind])


def default_metric(kind: TargetKind) -> str:
    """Return the metric that chooses the best epoch unless the recipe says otherwise."""
    return metric_names(kind)[0]


def find_metric(kind: TargetKind, name: str) -> Metric:
    """Return a metric by its name.

    Raises:
        UsageError: An output of this kind has no such metric (E702); the nearest name is suggested.
    """
    known = METRICS[kind]
    if name not in known:
        raise UsageError("E702", f"a {kind} output has no metric {name!r}{nearest(name, known)}", expected=", ".join(known))
    return known[name]


def higher_is_better(name: str) -> bool:
    """Return whether higher values of the metric ``name`` are better; ``"loss"`` is known too.

    Raises:
        UsageError: There is no such metric (E702).
    """
    if name == "loss":
        return False
    known = {key: metric.higher for metrics in METRICS.values() for key, metric in metrics.items()}
    if name not in known:
        raise UsageError("E702", f"there is no metric {name!r}{nearest(name, known)}", expected=", ".join(known))
    return known[name]


def compute(metric: Metric, sample: Sample) -> Floats:
    """Return the metric of each weighting, (R,); NaN where it is undefined."""
    with np.errstate(all="ignore"):
        values = np.asarray(metric.compute(sample), dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def score(kind: TargetKind, name: str, outputs: NDArray[Any], target: NDArray[Any]) -> float:
    """Return one metric, fast: what training does after every epoch.

    Args:
        kind: What the output is.
        name: One of :func:`metric_names`.
        outputs: Values (B,) in the target's own units, or probabilities (B, classes); for binary (B,) or (B, 2).
        target: Values (B,), NaN if missing; class indices (B,), -1 if missing; tags (B, classes), NaN rows if missing.

    Returns:
        The metric; NaN where it is undefined (no row, one class only) or an output is not finite.

    Raises:
        DataError: The shapes do not fit (E280).
        UsageError: There is no such metric (E702).
    """
    metric = find_metric(kind, name)
    rows = prepare(kind, outputs, target)
    if not len(rows) or not np.isfinite(rows.outputs).all():
        return float("nan")
    return float(compute(metric, Sample(rows))[0])
