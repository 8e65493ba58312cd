"""How texts, answers and matches fare, each row on its own and by length, for the pictures of an evaluation (floor 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwright.metrics.formulas import Alone, Sample
from deepwright.metrics.rows import Rows
from deepwright.metrics.scores import METRICS, compute
from deepwright.parts import Spec
from deepwright.textscores import columns

_BINS = 20
_LENGTHS = 8
"""The most lengths that are told apart; more become groups."""
_PLACES = (10, 100)
"""The fewest and the most places that the right partners of matches are looked for among."""


class Spread(Spec):
    """How a metric of each row alone is distributed."""

    metric: str
    """The metric, one of those of the output's kind."""
    edges: tuple[float, ...]
    """The edges of equal bins; the last bin holds what is beyond it, too."""
    counts: tuple[int, ...]
    """The rows in each bin."""


class Group(Spec):
    """Rows whose true texts are about equally long."""

    label: str
    """The least and the greatest length: ``5–8``, or ``5``."""
    rows: int
    """The rows."""
    values: dict[str, float | None]
    """Their metrics."""


def text_figures(rows: Rows) -> dict[str, Any]:
    """Return how good each text is on its own, and how good those are that should be about equally long.

    What was written is judged by chrF, and what was read off a sound, whose likelihood is not known, by the characters to edit;
    lengths are those in characters. Where no text was sought, the bits of a token tell, and the length in tokens.
    """
    searched, likely = rows.outputs[:, columns("searched")].any(), rows.outputs[:, columns("likelihood")]
    name = "bits" if not searched else "chrf" if likely.any() else "character_error_rate"
    alone = compute(METRICS["text"][name], Alone(rows))
    known = alone[~np.isnan(alone)]
    if not len(known):
        return {}
    top = {"chrf": 100.0, "character_error_rate": 1.0}.get(name) or float(np.quantile(known, 0.99)) or 1.0
    counts, edges = np.histogram(np.minimum(known, top), _BINS, (0.0, top))
    spread = Spread(metric=name, edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))
    sizes = rows.outputs[:, columns("characters")][:, 1] if searched else likely[:, 1]
    return {"spread": spread, "lengths": by_length(rows, sizes, [name])}


def by_length(rows: Rows, sizes: NDArray[Any], names: Sequence[str]) -> tuple[Group, ...]:
    """Return the metrics of rows by length, each length on its own, or in groups of about as many rows where there are many.

    Args:
        rows: The rows.
        sizes: How long each is (B,).
        names: The metrics.
    """
    distinct = np.unique(sizes)
    ends = (
        distinct
        if len(distinct) <= _LENGTHS
        else np.unique(np.quantile(sizes, np.arange(1, _LENGTHS) / (_LENGTHS - 1), method="higher"))
    )
    place = np.searchsorted(ends, sizes)
    found = []
    for group in np.unique(place):
        chosen = np.flatnonzero(place == group)
        low, high = int(sizes[chosen].min()), int(sizes[chosen].max())
        sample = Sample(rows.take(chosen))
        values = {name: _finite(compute(METRICS[rows.kind][name], sample)[0]) for name in names}
        found.append(Group(label=f"{low}–{high}" if low < high else f"{low}", rows=len(chosen), values=values))
    return tuple(found)


def reach(rows: Rows) -> tuple[float, ...]:
    """Return the share of matches whose right partner is among the first 1, 2, 3, … places, up to where the last one is found."""
    places = np.rint(1 / rows.outputs[:, 0])
    last = int(np.clip(places.max(), *_PLACES))
    return tuple((places[:, None] <= np.arange(1, last + 1)).mean(0).tolist())


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
