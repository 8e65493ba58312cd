"""Nearest vectors, exactly and in pieces that fit into memory, and how good what they find is (floor 2, free of torch)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Measure = Literal["cosine", "dot"]
"""How alike two vectors are: the cosine of their angle, or their product."""

AT_ONCE = 1 << 24
"""Pairs of vectors that are compared at once."""
RANKS = (1, 5, 10)
"""The first so many places that recall is told of."""


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1; one of zeros stays."""
    length = np.sqrt(np.square(vectors, dtype=np.float64).sum(-1, keepdims=True))
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def nearest_rows(queries: Vectors, index: Vectors, count: int, measure: Measure = "cosine") -> tuple[NDArray[np.int64], Vectors]:
    """Return the rows of ``index`` that are most like each query, (Q, K), the best first, of equal ones the first; and how alike.

    Args:
        queries: (Q, D).
        index: (N, D).
        count: The most rows a query; K is this or N.
        measure: What is compared.
    """
    if measure == "cosine":
        queries, index = unit(queries), unit(index)
    count = min(count, len(index))
    step = max(1, AT_ONCE // max(1, len(index)))
    rows, scores = np.zeros((len(queries), count), np.int64), np.zeros((len(queries), count), np.float32)
    for start in range(0, len(queries), step):
        alike = queries[start : start + step] @ index.T
        # All that are as good as the last of the best, so that of equal ones the first is taken.
        least = np.partition(alike, -count, axis=1)[:, -count] if count else np.zeros(len(alike))
        for row, (values, bound) in enumerate(zip(alike, least, strict=True)):
            best = np.flatnonzero(values >= bound)
            best = best[np.argsort(-values[best], kind="stable")][:count]
            rows[start + row], scores[start + row] = best, values[best]
    return rows, scores


def place_counts(queries: Vectors, partners: Vectors, codes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return what the place of each row's own partner counts for among the distinct partners of all rows, (B, 1 + len(RANKS)).

    The columns are 1 / place, and whether the place is within each of :data:`RANKS`; of equally alike ones the own partner is the
    last. NaN where the code is negative.

    Args:
        queries: (B, D), compared by their product.
        partners: (B, D).
        codes: (B,), equal where partners are the same.
    """
    found = np.full((len(codes), 1 + len(RANKS)), np.nan)
    known = np.flatnonzero(np.asarray(codes) >= 0)
    if not len(known):
        return found
    _, first, own = np.unique(np.asarray(codes)[known], return_index=True, return_inverse=True)
    offer = partners[known[first]]
    step = max(1, AT_ONCE // len(offer))
    for start in range(0, len(known), step):
        chosen = known[start : start + step]
        alike = queries[chosen] @ offer.T
        mine = own[start : start + step]
        # The own row's partner may differ from the first of its code; what it scores itself is what counts.
        right = np.einsum("bd,bd->b", queries[chosen], partners[chosen])
        alike[np.arange(len(chosen)), mine] = -np.inf
        place = 1 + (alike >= right[:, None]).sum(1)
        found[chosen] = np.stack([1 / place, *(place <= rank for rank in RANKS)], 1)
    return found


def recall_of(rows: NDArray[np.int64], right: NDArray[np.int64]) -> dict[str, float]:
    """Return ``mrr`` within the first K and ``recall_at_1`` … of the rows found, (Q, K), where ``right``, (Q,), should be."""
    hits = rows == right[:, None]
    place = np.where(hits.any(1), hits.argmax(1) + 1, np.inf)
    ranks = [rank for rank in RANKS if rank <= rows.shape[1]]
    return {"mrr": float((1 / place).mean()), **{f"recall_at_{rank}": float((place <= rank).mean()) for rank in ranks}}
