"""Exact areas under ROC and precision-recall curves, for many weightings of the same rows at once (floor 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Ranking:
    """How scores rank positive rows above negative ones, ties included.

    Everything is reduced to the G distinct scores of positive rows: between two of them, negatives only count in sum. The
    sorting is done once; a weighting (a bootstrap resample) then costs one pass over the rows.

    Args:
        scores: (B,), higher is more positive.
        positive: bool (B,).
    """

    def __init__(self, scores: Floats, positive: NDArray[Any]) -> None:
        ones, zeros = np.flatnonzero(positive), np.flatnonzero(~positive)
        self.possible = ones.size > 0 and zeros.size > 0
        if not self.possible:
            return
        order = np.argsort(scores[ones], kind="stable")
        self._ones = ones[order]
        distinct, self._one_starts = np.unique(scores[self._ones], return_index=True)
        # 2g: strictly between the distinct positive scores g - 1 and g; 2g + 1: tied with g
        left = np.searchsorted(distinct, scores[zeros], side="left")
        tied = np.searchsorted(distinct, scores[zeros], side="right") > left
        key = 2 * left + tied
        order = np.argsort(key, kind="stable")
        self._zeros = zeros[order]
        keys, self._zero_starts = np.unique(key[order], return_index=True)
        self._above, self._tied = keys >> 1, (keys & 1).astype(np.float64)[:, None]
        # negatives that score at least the distinct positive score g: the sums from this one on
        self._from = np.searchsorted(keys, 2 * np.arange(distinct.size) + 1)

    def areas(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the areas under the ROC and the precision-recall curve of each weighting, (R,) each.

        The first is the probability that a positive outranks a negative, ties counting half; the second the average precision:
        the mean, over positives, of the precision at their score (no interpolation).

        Args:
            weights: (B, R), one column a weighting.

        Returns:
            NaN where a weighting holds no positive or no negative.
        """
        if not self.possible:
            return np.full(weights.shape[1], np.nan), np.full(weights.shape[1], np.nan)
        at = np.add.reduceat(weights[self._ones], self._one_starts, axis=0)
        negative = np.add.reduceat(weights[self._zeros], self._zero_starts, axis=0)
        up, down = _from_here_up(at), _from_here_up(negative)
        positives, negatives = up[0], down[0]
        padded = np.vstack([at, np.zeros((1, at.shape[1]))])
        wins = np.einsum("nr,nr->r", negative, up[self._above] - 0.5 * self._tied * padded[self._above])
        with np.errstate(invalid="ignore"):
            roc = wins / (positives * negatives)
            precision = up[:-1] / (up[:-1] + down[self._from])
            pr = np.einsum("gr,gr->r", at, np.nan_to_num(precision)) / positives
        return np.asarray(roc), np.where(negatives > 0, pr, np.nan)


def _from_here_up(sums: Floats) -> Floats:
    """Return the sums of each line and all after it, with a closing line of zeros: (G, R) to (G + 1, R)."""
    result = np.zeros((len(sums) + 1, sums.shape[1]))
    result[:-1] = np.cumsum(sums[::-1], axis=0)[::-1]
    return result
