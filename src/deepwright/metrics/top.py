"""How good the first K of a ranking are, for many users (floor 2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
"""Bootstrap resamples of the users."""


def top_figures(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Return recall, NDCG and hit rate, the mean over users, each with its 95 % interval over resampled users.

    * ``recall``: the share of a user's relevant items that are among the first K.
    * ``ndcg``: the sum over those of ``1 / log2(rank + 1)``, divided by its largest possible value (Järvelin & Kekäläinen 2002).
    * ``hit_rate``: the share of users with at least one; of one relevant item a user it is the recall.

    Args:
        hits: (U, K), whether the item at each rank is relevant; shorter rankings are padded with false.
        relevant: (U,), how many relevant items each user has, at least one.
    """
    gains = 1.0 / np.log2(np.arange(hits.shape[1]) + 2.0)
    best = np.concatenate([[0.0], np.cumsum(gains)])[np.minimum(relevant, hits.shape[1])]
    each: Mapping[str, NDArray[np.float64]] = {
        "recall": hits.sum(1) / relevant,
        "ndcg": (hits @ gains) / best,
        "hit_rate": (hits.sum(1) > 0).astype(np.float64),
    }
    users = len(relevant)
    drawn = np.random.Generator(np.random.PCG64(0)).integers(0, users, (RESAMPLES, users))
    found = {}
    for name, values in each.items():
        low, high = np.quantile(values[drawn].mean(1), (0.025, 0.975))
        found[name] = {"value": float(values.mean()), "low": float(low), "high": float(high)}
    return found
