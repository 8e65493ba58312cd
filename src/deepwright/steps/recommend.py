"""recommend: for each user the items that score best, those that the user knows left out (no torch unless asked for)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepwright.errors import DataError
from deepwright.metrics.top import top_figures
from deepwright.opening import Engine
from deepwright.pairing import Indices, Pairing, Rows, codes_of
from deepwright.parts import Spec
from deepwright.progress import Event, Listener, silent


class TopReport(Spec):
    """How good recommendations are."""

    top: int
    """K, how many items each user gets."""
    users: int
    """Users with at least one relevant item."""
    metrics: dict[str, dict[str, float]]
    """``recall``, ``ndcg`` and ``hit_rate``, each with ``value``, ``low`` and ``high``."""
    baseline: dict[str, float]
    """The same of recommending to everybody what most rows of ``seen`` hold; empty without them."""

    def as_json(self) -> dict[str, Any]:
        """Return what ``recommend --relevant --json`` prints: ``{"metrics": {"top K": {METRIC: {"value", …}}}, …}``."""
        name = f"top {self.top}"
        return {"rows": self.users, "metrics": {name: self.metrics}, "baseline": {name: self.baseline}}


def recommend(
    bundle: Path,
    users: Rows,
    items: Rows,
    *,
    seen: Rows | None = None,
    top: int = 10,
    user: str | None = None,
    item: str | None = None,
    engine: Engine = "auto",
    listener: Listener = silent,
) -> pl.DataFrame:
    """Return the ``top`` items of each user, the best first.

    Every pair of a user and an item is scored by the bundle's first output: a number, the probability of the positive class, or the
    mean rank of an ordinal. The model's inputs are columns of either table; those that neither has are missing values.

    Args:
        bundle: The bundle's directory.
        users: The users, with the model's columns of them. Of several rows of one user the first counts.
        items: The items to choose from, with the model's columns of them. Of several rows of one item the first counts.
        seen: Pairs that are not recommended, such as the training rows.
        top: Items a user; fewer where the user has seen nearly all.
        user: The column that tells users apart; by default the first column of ``users`` that is a category of the model.
        item: The column that tells items apart; by default the first other one of ``items``.
        engine: What computes; see :func:`deepwright.steps.predict.predict`.
        listener: Hears of notes and progress.

    Returns:
        A row for each recommendation, users in their order: user, ``rank`` from 1 on, item, ``score``.

    Raises:
        BundleError: The bundle is damaged or holds no graph.
        DataError: Users or items cannot be told, a column is in both tables (E275), or values do not fit the model.
        UsageError: ``top`` is no positive number (E701), or the bundle's output ranks nothing (E705).
    """
    job = Pairing.open(bundle, users, items, seen, user, item, top, engine, listener)
    return job.frame(job.ranked())


def evaluate_top(
    bundle: Path,
    users: Rows,
    items: Rows,
    relevant: Rows,
    *,
    seen: Rows | None = None,
    top: int = 10,
    user: str | None = None,
    item: str | None = None,
    engine: Engine = "auto",
    listener: Listener = silent,
) -> tuple[TopReport, pl.DataFrame]:
    """Measure recommendations against pairs that came true, over all items but those seen.

    Args:
        bundle: The bundle's directory.
        users: As for :func:`recommend`; users without a relevant item do not count.
        items: As there.
        relevant: Pairs of a user and an item, such as held-out rows; those that are in ``seen`` do not count.
        seen: As there.
        top: As there.
        user: As there.
        item: As there.
        engine: As there.
        listener: As there.

    Returns:
        The figures, and what :func:`recommend` returns.

    Raises:
        BundleError: As there.
        DataError: As there, or no user has a relevant item (E275).
        UsageError: As there.
    """
    job = Pairing.open(bundle, users, items, seen, user, item, top, engine, listener)
    wanted = job.pairs(relevant, "relevant")
    unknown = int((wanted[:, 1] < 0).sum())
    fresh = ~np.isin(codes_of(wanted, len(job.items)), codes_of(job.seen, len(job.items)))
    for count, text in (
        (unknown, "relevant pairs hold an item that is not among the items, and count as missed"),
        (int((~fresh).sum()), "relevant pairs were seen already, and do not count"),
    ):
        if count:
            listener(Event("note", f"{count:,} {text}", values={"what": "relevant", "count": count}))
    wanted = wanted[fresh]
    counts = np.bincount(wanted[:, 0], minlength=len(job.users))
    judged = np.flatnonzero(counts)
    if not len(judged):
        raise DataError(
            "E275",
            "no user has a relevant item",
            where=job.users.name,
            expected=f"users whose {job.user} is in the relevant pairs",
        )
    codes = codes_of(wanted[wanted[:, 1] >= 0], len(job.items))

    def figures(ranked: Indices) -> dict[str, dict[str, float]]:
        pairs = np.stack([np.broadcast_to(np.arange(len(ranked))[:, None], ranked.shape), ranked], -1)
        hits = np.isin(codes_of(pairs, len(job.items)), codes) & (ranked >= 0)
        return top_figures(hits[judged], counts[judged])

    ranked = job.ranked()
    popular = figures(job.popular().items) if len(job.seen) else {}
    baseline = {name: entry["value"] for name, entry in popular.items()}
    return TopReport(top=top, users=len(judged), metrics=figures(ranked.items), baseline=baseline), job.frame(ranked)
