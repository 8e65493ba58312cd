"""The formulas of all metrics over weighted rows: each takes a sample of R weightings and returns (R,) (floor 2).

NaN says that a metric is undefined: no rows of a class, no spread, a division by zero.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwright.forecasts import EACH, FIXED
from deepwright.metrics.rows import BINS, Floats, Groups, Rows
from deepwright.textscores import BLEU_ORDER, CHRF_ORDER, columns


class Sample:
    """Rows under R weightings at once.

    Args:
        rows: The rows, at least one.
        weights: (B, R), how often each row counts; all once by default.
    """

    def __init__(self, rows: Rows, weights: Floats | None = None) -> None:
        self.rows = rows
        self.weights = np.ones((len(rows), 1)) if weights is None else weights
        self.total = np.asarray(self.weights.sum(0))

    def sum(self, values: NDArray[Any]) -> Floats:
        """Return the weighted sums of ``values`` (B,) or (B, M): (R,) or (M, R)."""
        return np.asarray(values.T.astype(np.float64) @ self.weights)

    def mean(self, values: NDArray[Any]) -> Floats:
        """Return the weighted means of ``values`` (B,) or (B, M): (R,) or (M, R)."""
        return np.asarray(self.sum(values) / self.total)

    @cached_property
    def table(self) -> tuple[Floats, Floats, Floats]:
        """Hits, decided for, and true, of each class or tag: three (classes, R)."""
        rows, weights = self.rows, self.weights
        if rows.kind == "multilabel":
            return self.sum(rows.predicted & rows.target), self.sum(rows.predicted), self.sum(rows.target)
        hits = rows.by_target.sum(weights * rows.correct[:, None])
        return hits, rows.by_predicted.sum(weights), rows.by_target.sum(weights)

    @cached_property
    def areas(self) -> Floats:
        """Areas under the ROC and the precision-recall curve of each class against the rest, (2, classes, R)."""
        areas = [ranking.areas(self.weights) for ranking in self.rows.rankings]
        return np.stack([np.stack([roc for roc, _ in areas]), np.stack([pr for _, pr in areas])])


class Alone(Sample):
    """Each row as a sample of its own, R = B, for metrics that are made of sums over rows.

    Args:
        rows: The rows, at least one.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self.total = np.ones(len(rows))

    def sum(self, values: NDArray[Any]) -> Floats:
        """Return the values of each row, (B,) or (M, B)."""
        return values.T.astype(np.float64)


def _ratio(above: Floats, below: Floats) -> Floats:
    empty: Floats = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    return np.divide(above, below, out=empty, where=below > 0)


def _mean_defined(values: Floats) -> Floats:
    """Return the mean over the first axis of what is not NaN, (R,); NaN if nothing is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(0), known.sum(0).astype(np.float64))


def rmse(s: Sample) -> Floats:
    """Return √ mean (ŷ − y)²."""
    return np.sqrt(s.mean(s.rows.error**2))


def mae(s: Sample) -> Floats:
    """Return mean |ŷ − y|."""
    return s.mean(np.abs(s.rows.error))


def r2(s: Sample) -> Floats:
    """Return 1 − Σ (ŷ − y)² / Σ (y − ȳ)²."""
    centred = s.rows.target - s.rows.target.mean()
    spread = s.mean(centred**2) - s.mean(centred) ** 2
    # a resample of one value only has no spread but rounding
    spread[spread <= 1e-12 * np.mean(centred**2)] = 0
    if np.ptp(s.rows.target) == 0:
        spread[:] = 0
    return 1 - _ratio(s.mean(s.rows.error**2), spread)


def pearson(s: Sample) -> Floats:
    """Return the correlation of prediction and target."""
    return _correlation(s, s.rows.predicted[:, None], s.rows.target[:, None])


def spearman(s: Sample) -> Floats:
    """Return the correlation of their ranks, equal values sharing the mean of theirs."""
    return _correlation(s, _ranks(s, s.rows.predicted), _ranks(s, s.rows.target))


def _ranks(s: Sample, values: NDArray[Any]) -> Floats:
    """Return the ranks of values (B,) under each weighting, (B, R): the weight below, and half of that of the equals."""
    distinct, place = np.unique(values, return_inverse=True)
    equals = Groups(place, len(distinct)).sum(s.weights)
    return np.asarray((np.cumsum(equals, axis=0) - equals / 2)[place])


def _correlation(s: Sample, one: Floats, other: Floats) -> Floats:
    """Return the correlation of two (B, R) or (B, 1); undefined where either does not vary."""
    one, other = (each - (each * s.weights).sum(0) / s.total for each in (one, other))
    spread = np.sqrt((one**2 * s.weights).sum(0) * (other**2 * s.weights).sum(0))
    return _ratio((one * other * s.weights).sum(0), np.where(spread > 1e-12, spread, 0.0))


def mape(s: Sample) -> Floats:
    """Return mean |ŷ − y| / |y|; undefined if a target is 0."""
    actual = np.abs(s.rows.target)
    return s.mean(np.abs(s.rows.error) / actual) if actual.min() > 0 else np.full_like(s.total, np.nan)


def median_ae(s: Sample) -> Floats:
    """Return median |ŷ − y|; the mean of the middle two for an even number."""
    size = np.abs(s.rows.error)
    order = np.argsort(size)
    reached = np.cumsum(s.weights[order], axis=0)
    low, high = (reached >= s.total / 2).argmax(0), (reached > s.total / 2).argmax(0)
    return np.asarray((size[order][low] + size[order][high]) / 2)


def accuracy(s: Sample) -> Floats:
    """Return the share of rows decided correctly."""
    return s.mean(s.rows.correct)


def span_f1(s: Sample) -> Floats:
    """Return 2 right / (found + there) over all spans."""
    right, found, there = _spans(s)
    return _ratio(2 * right, found + there)


def span_precision(s: Sample) -> Floats:
    """Return right / found."""
    right, found, _ = _spans(s)
    return _ratio(right, found)


def span_recall(s: Sample) -> Floats:
    """Return right / there."""
    right, _, there = _spans(s)
    return _ratio(right, there)


def _spans(s: Sample) -> tuple[Floats, Floats, Floats]:
    """Return how many spans were found rightly, were found, and are there; see :func:`deepwright.tagging.counts`."""
    sums = s.sum(s.rows.outputs[:, 3:]).reshape(-1, 3, len(s.total)).sum(0)
    return sums[0], sums[1], sums[2]


def token_accuracy(s: Sample) -> Floats:
    """Return the share of tokens labelled rightly."""
    right, tokens, _ = s.sum(s.rows.outputs[:, :3])
    return _ratio(right, tokens)


def whole_rows(s: Sample) -> Floats:
    """Return the share of rows whose labels are all right."""
    return s.mean(s.rows.outputs[:, 2])


def bleu(s: Sample) -> Floats:
    """Return BLEU in percent: a geometric mean of the precision of runs, less where texts are too short (Papineni et al. 2002).

    An order without a match counts half of the one before it, 1/2 first, as sacreBLEU's default smoothing does (exp).
    """
    sums = _text_sums(s, "bleu")
    matches, totals, wanted = sums[:BLEU_ORDER], sums[BLEU_ORDER:-1], sums[-1]
    precisions, halves = [], np.ones_like(wanted)
    for match, total in zip(matches, totals, strict=True):
        halves = np.where((match == 0) & (total > 0), 2 * halves, halves)
        precisions.append(np.where(match > 0, _ratio(match, total), 1 / (halves * np.maximum(total, 1))))
    some = (totals > 0).all(0) & (matches[0] > 0)
    brevity = np.exp(np.minimum(0.0, 1 - wanted / np.maximum(totals[0], 1)))
    return _sought(s, np.where(some, 100 * brevity * np.exp(np.mean(np.log(precisions), 0)), 0.0))


def chrf(s: Sample) -> Floats:
    """Return chrF2 in percent: the F-score, recall counting twice, of runs of 1 to 6 characters, averaged (Popović 2015)."""
    shared, found, wanted = _text_sums(s, "chrf").reshape(CHRF_ORDER, 3, -1).transpose(1, 0, 2)
    known = (found > 0) & (wanted > 0)
    precision, recall = (np.where(known, shared / np.maximum(all_of, 1), 0.0).sum(0) for all_of in (found, wanted))
    orders = np.maximum(known.sum(0), 1)
    precision, recall = precision / orders, recall / orders
    return _sought(s, 100 * np.nan_to_num(_ratio(5 * precision * recall, 4 * precision + recall)))


def rouge_1(s: Sample) -> Floats:
    """Return the mean F1 of words."""
    return _rouge(s, 0)


def rouge_2(s: Sample) -> Floats:
    """Return the mean F1 of pairs of words."""
    return _rouge(s, 1)


def rouge_l(s: Sample) -> Floats:
    """Return the mean F1 of the longest common subsequence of words."""
    return _rouge(s, 2)


def _rouge(s: Sample, which: int) -> Floats:
    return _sought(s, s.mean(s.rows.outputs[:, columns("rouge")][:, which]))


def character_errors(s: Sample) -> Floats:
    """Return the characters to edit / those that should be there."""
    edits, wanted = _text_sums(s, "characters")
    return _sought(s, _ratio(edits, wanted))


def word_errors(s: Sample) -> Floats:
    """Return the words and signs to edit / those that should be there."""
    edits, wanted = _text_sums(s, "words")
    return _sought(s, _ratio(edits, wanted))


def exact_texts(s: Sample) -> Floats:
    """Return the share of rows whose whole text is right."""
    return _sought(s, s.mean(s.rows.outputs[:, columns("exact")][:, 0]))


def perplexity(s: Sample) -> Floats:
    """Return exp(-log p / tokens), the end of a text being one."""
    lost, tokens = _text_sums(s, "likelihood")
    return np.exp(_ratio(lost, tokens))


def bits(s: Sample) -> Floats:
    """Return -log2 p / tokens."""
    return np.log2(perplexity(s))


def _text_sums(s: Sample, name: str) -> Floats:
    """Return the sums of the columns of :func:`deepwright.textscores.counts` that have a name."""
    return s.sum(s.rows.outputs[:, columns(name)])


def _sought(s: Sample, values: Floats) -> Floats:
    """Return values where texts were sought, NaN where only their likelihood is known."""
    return np.where(_text_sums(s, "searched")[0] > 0, values, np.nan)


def reciprocal_rank(s: Sample) -> Floats:
    """Return the mean of 1 / the place of the right partner; see :func:`deepwright.retrieval.place_counts`."""
    return s.mean(s.rows.outputs[:, 0])


def found_first(s: Sample) -> Floats:
    """Return the share of rows whose right partner is the first."""
    return s.mean(s.rows.outputs[:, 1])


def found_in_5(s: Sample) -> Floats:
    """Return the share of rows whose right partner is among the first five."""
    return s.mean(s.rows.outputs[:, 2])


def found_in_10(s: Sample) -> Floats:
    """Return the share of rows whose right partner is among the first ten."""
    return s.mean(s.rows.outputs[:, 3])


def answer_exact(s: Sample) -> Floats:
    """Return the share of answers that are right; see :func:`deepwright.answers.judged`."""
    return s.mean(s.rows.outputs[:, 0])


def answer_f1(s: Sample) -> Floats:
    """Return the mean F1 of the words of answers."""
    return s.mean(s.rows.outputs[:, 1])


def _each(s: Sample, index: int, count: int = 0) -> Floats:
    """Return a count of :func:`deepwright.forecasts.counts` over another one."""
    return _ratio(s.sum(s.rows.outputs[:, index]), s.sum(s.rows.outputs[:, count]))


def forecast_mse(s: Sample) -> Floats:
    """Return mean (ŷ − y)² of standardised values."""
    return _each(s, 1)


def forecast_mae(s: Sample) -> Floats:
    """Return mean |ŷ − y| of standardised values."""
    return _each(s, 2)


def mase(s: Sample) -> Floats:
    """Return mean |ŷ − y| / mean |y_t − y_{t−m}| over the training rows (Hyndman & Koehler 2006)."""
    return _each(s, 3)


def forecast_skill(s: Sample) -> Floats:
    """Return 1 − Σ (ŷ − y)² / Σ (seasonal naive − y)², where both are known."""
    return 1 - _ratio(_each(s, 1), _each(s, EACH + 1, EACH))


def forecast_pinball(s: Sample) -> Floats:
    """Return the mean pinball loss of standardised values over the quantiles."""
    return _each(s, FIXED - 2, FIXED - 3)


def forecast_coverage(s: Sample) -> Floats:
    """Return the share of values between the outermost quantiles."""
    return _each(s, FIXED - 1, FIXED - 3)


def _classes(s: Sample) -> tuple[Floats, Floats, Floats]:
    """Return the pixels of each class found rightly, found and there, three (K, R); see :func:`deepwright.masks.counts`."""
    sums = s.sum(s.rows.outputs[:, 3:]).reshape(-1, 3, len(s.total))
    return sums[:, 0], sums[:, 1], sums[:, 2]


def mean_iou(s: Sample) -> Floats:
    """Return the mean of intersection / union over the classes that are there or found anywhere (Jaccard 1912)."""
    right, found, there = _classes(s)
    return _mean_defined(_ratio(right, found + there - right))


def mean_dice(s: Sample) -> Floats:
    """Return the mean of 2 right / (found + there) over the classes that are there or found anywhere (Dice 1945)."""
    right, found, there = _classes(s)
    return _mean_defined(_ratio(2 * right, found + there))


def row_iou(s: Sample) -> Floats:
    """Return the mean over the rows of the mean IoU of a row's own classes."""
    return s.mean(s.rows.outputs[:, 2])


def psnr(s: Sample) -> Floats:
    """Return the mean of 10 log10(255² / mean squared error) over the pictures; see :func:`deepwright.likeness.counts`."""
    return s.mean(s.rows.outputs[:, 0])


def ssim(s: Sample) -> Floats:
    """Return the mean structural similarity."""
    return s.mean(s.rows.outputs[:, 1])


def picture_mae(s: Sample) -> Floats:
    """Return mean |ŷ − y| over all pixels."""
    return s.mean(s.rows.outputs[:, 2])


def picture_rmse(s: Sample) -> Floats:
    """Return √ mean (ŷ − y)² over all pixels."""
    return np.sqrt(s.mean(s.rows.outputs[:, 3]))


def balanced_accuracy(s: Sample) -> Floats:
    """Return the mean recall of the classes that occur."""
    hits, _, true = s.table
    return _mean_defined(_ratio(hits, true))


def precision(s: Sample) -> Floats:
    """Return hits / alarms, of the second class."""
    hits, decided, _ = s.table
    return _ratio(hits[1], decided[1])


def recall(s: Sample) -> Floats:
    """Return hits / rows, of the second class."""
    hits, _, true = s.table
    return _ratio(hits[1], true[1])


def f1(s: Sample) -> Floats:
    """Return 2 hits / (alarms + rows), of the second class."""
    hits, decided, true = s.table
    return _ratio(2 * hits[1], decided[1] + true[1])


def _macro(s: Sample, ratio: Floats) -> Floats:
    """Average over the classes that are true or decided for somewhere; 0/0 counts 0, as scikit-learn does by default."""
    _, decided, true = s.table
    return _mean_defined(np.where(decided + true > 0, np.nan_to_num(ratio), np.nan))


def precision_macro(s: Sample) -> Floats:
    """Return the mean precision of the classes."""
    return _macro(s, _ratio(s.table[0], s.table[1]))


def recall_macro(s: Sample) -> Floats:
    """Return the mean recall of the classes."""
    return _macro(s, _ratio(s.table[0], s.table[2]))


def f1_macro(s: Sample) -> Floats:
    """Return the mean F1 of the classes or tags that are true or decided for somewhere."""
    hits, decided, true = s.table
    return _mean_defined(_ratio(2 * hits, decided + true))


def f1_micro(s: Sample) -> Floats:
    """Return F1 over all tags of all rows together."""
    hits, decided, true = s.table
    return _ratio(2 * hits.sum(0), (decided + true).sum(0))


def roc_auc(s: Sample) -> Floats:
    """Return the mean area under the ROC curves, each class against the rest."""
    return _mean_defined(s.areas[0])


def pr_auc(s: Sample) -> Floats:
    """Return the mean average precision, each class against the rest."""
    return _mean_defined(s.areas[1])


def log_loss(s: Sample) -> Floats:
    """Return mean −log p(true class), p no nearer to 0 than its floats resolve."""
    return s.mean(-np.log(np.clip(s.rows.probability, s.rows.eps, 1 - s.rows.eps)))


def brier(s: Sample) -> Floats:
    """Return mean (1 − p(true class))² (Brier 1950)."""
    return s.mean((1 - s.rows.probability) ** 2)


def calibration_error(s: Sample) -> Floats:
    """Return Σ over bins of |mean probability − frequency| × share of rows (Guo et al., arXiv 1706.04599)."""
    confidence, truth = s.rows.confidence
    gaps = np.zeros((len(s.rows), BINS))
    gaps[np.arange(len(s.rows)), s.rows.bins] = confidence - truth
    return np.asarray(np.abs(s.sum(gaps)).sum(0) / s.total)


def quadratic_kappa(s: Sample) -> Floats:
    """Return 1 − observed / chance squared distance of classes (Cohen 1968)."""
    true, decided = s.rows.target.astype(np.float64), s.rows.predicted.astype(np.float64)
    seen = s.mean((true - decided) ** 2)
    chance = s.mean(true**2) + s.mean(decided**2) - 2 * s.mean(true) * s.mean(decided)
    return 1 - _ratio(seen, np.where(chance > 1e-12, chance, 0.0))
