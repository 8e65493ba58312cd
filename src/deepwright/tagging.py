"""Labels of tokens, and the spans that they mean (floor 2, free of torch).

Schemes: ``IOB2`` (``B-PER I-PER O``), where every span begins with B-, and ``plain`` labels, one a token, such as parts of speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.floating]

FORBIDDEN = -1e4
"""The score of a label that may not follow another."""


class Span(NamedTuple):
    """A run of tokens.

    Args:
        type: What it is, such as ``PER``.
        start: Its first token.
        stop: The token behind its last.
    """

    type: str
    start: int
    stop: int


def spans(labels: Sequence[str]) -> list[Span]:
    """Return the spans of a row's labels in IOB2, read strictly, as seqeval does in its mode ``strict``.

    A span begins with B- and goes on with I- of the same type; an I- that continues nothing belongs to no span.
    """
    found: list[Span] = []
    start, kind = 0, ""
    for place, label in enumerate([*labels, "O"]):
        prefix, _, type_ = label.partition("-")
        if kind and not (prefix == "I" and type_ == kind):
            found.append(Span(kind, start, place))
            kind = ""
        if prefix == "B":
            start, kind = place, type_
    return found


def is_iob2(labels: Sequence[str]) -> bool:
    """Return whether label names are those of IOB2: ``O``, and others that begin with B- or I-, some with B-."""
    prefixes = {label.partition("-")[0] if "-" in label else label for label in labels}
    return "B" in prefixes and prefixes <= {"B", "I", "O"} and all("-" in label or label == "O" for label in labels)


def allowed(labels: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which label may follow which, (K, K) from row to column, and which may begin a row, (K,).

    In IOB2 an I- follows a B- or an I- of its type; of plain labels everything is allowed.
    """
    count = len(labels)
    if not is_iob2(labels):
        return np.ones((count, count), bool), np.ones(count, bool)
    types = [label.partition("-")[2] for label in labels]
    inside = np.array([label.startswith("I-") for label in labels])
    same = np.array([[bool(one) and one == other for other in types] for one in types])
    return ~inside[None, :] | same, ~inside


def viterbi(emissions: Floats, lengths: Ids, transitions: Floats, first: Floats) -> Ids:
    """Return the labels with the highest score of each row, (B, T), -1 behind its end (Viterbi 1967).

    Args:
        emissions: (B, T, K), the score of each label at each place.
        lengths: (B,), the places of each row.
        transitions: (K, K), the score of a label (column) behind another (row).
        first: (K,), the score of a label at the first place.
    """
    rows, places, _ = emissions.shape
    best = np.full((rows, places), -1, np.int64)
    if not rows or not places:
        return best
    score = emissions[:, 0].astype(np.float64) + first
    pointers = np.zeros(emissions.shape, np.int64)
    for place in range(1, places):
        candidates = score[:, :, None] + transitions
        pointers[:, place] = candidates.argmax(1)
        further = candidates.max(1) + emissions[:, place]
        score = np.where((place < lengths)[:, None], further, score)
    label = score.argmax(1)
    for place in range(places - 1, -1, -1):
        there = place < lengths
        best[there, place] = label[there]
        label = np.where(there, pointers[np.arange(rows), place, label], label)
    return best


def types(labels: Sequence[str]) -> tuple[str, ...]:
    """Return what is found: the types of spans in IOB2, else the labels themselves."""
    return tuple(sorted({label.partition("-")[2] for label in labels if label != "O"}) if is_iob2(labels) else labels)


def counts(outputs: NDArray[np.integer], target: NDArray[np.integer], labels: Sequence[str]) -> NDArray[np.float64]:
    """Return what a row's labels count for, (B, 3 + 3 K); NaN rows where no token has a known label.

    The columns are the tokens labelled rightly, the tokens, whether all of them are right, and for each of the K :func:`types` how
    many were found rightly, were found, and are there. A token without a known label counts for nothing and is as good as ``O``;
    one that was not labelled, since its text was cut, is wrong.

    Args:
        outputs: (B, T) the labels found, -1 behind the end.
        target: (B, U) the true labels, -1 behind the end or unknown.
        labels: The labels' names.
    """
    kinds = types(labels)
    place = {kind: index for index, kind in enumerate(kinds)}
    found = np.zeros((len(target), 3 + 3 * len(kinds)))
    marked = is_iob2(labels)
    for row, (given, true) in enumerate(zip(outputs, target, strict=True)):
        size = int(np.flatnonzero(true >= 0).max(initial=-1)) + 1
        if not size:
            found[row] = np.nan
            continue
        ours, theirs = np.full(size, -1), true[:size]
        ours[: min(size, len(given))] = given[:size]
        known = theirs >= 0
        right = (ours == theirs) & known
        found[row, :3] = right.sum(), known.sum(), right.sum() == known.sum()
        one, other = (_things(ids, labels, marked=marked) for ids in (ours, theirs))
        for kind, *_ in one & other:
            found[row, 3 + 3 * place[kind]] += 1
        for kind, *_ in one:
            found[row, 4 + 3 * place[kind]] += 1
        for kind, *_ in other:
            found[row, 5 + 3 * place[kind]] += 1
    return found


def _things(ids: NDArray[np.integer], labels: Sequence[str], *, marked: bool) -> set[Span]:
    """Return what is found in a row: its spans, or every token where labels are plain."""
    if marked:
        return set(spans([labels[i] if i >= 0 else "O" for i in ids]))
    return {Span(labels[i], place, place + 1) for place, i in enumerate(ids) if i >= 0}
