"""Reading a text off the frames of a sequence: connectionist temporal classification (Graves et al. 2006), free of torch (floor 2).

Each frame says one token or, by id 0, the blank; a run of one token is one, and blanks part equal ones and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.floating]

BLANK = 0
"""The id of the blank."""
_LIKELY = 1e-4
"""Tokens of a frame that are less probable than that extend no text in a search."""


def greedy(scores: Floats, lengths: Ids) -> Ids:
    """Return the tokens of the likeliest row of frames, (B, U), -1 behind a row's end.

    Args:
        scores: (B, T, V) log p of each token at each frame.
        lengths: (B,), the frames of each row.
    """
    best: Ids = np.argmax(scores, axis=-1) if scores.size else np.zeros(scores.shape[:-1], np.int64)
    kept = (np.arange(best.shape[1]) < lengths[:, None]) & (best != BLANK)
    kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    counts = kept.sum(1)
    found = np.full((len(best), int(counts.max(initial=0))), -1, np.int64)
    found[np.arange(found.shape[1]) < counts[:, None]] = best[kept]
    return found


def prefix_beam(scores: Floats, lengths: Ids, beam: int) -> Ids:
    """Return the likeliest texts that a search finds which keeps ``beam`` beginnings, (B, U), -1 behind a row's end.

    The probability of a text is that of all rows of frames that mean it (Graves et al. 2006, section 3.2; the search is that of
    Hannun et al., arXiv 1408.2873).

    Args:
        scores: (B, T, V) log p of each token at each frame.
        lengths: (B,), the frames of each row.
        beam: How many beginnings.
    """
    texts = [_searched(row[:length].astype(np.float64), beam) for row, length in zip(scores, lengths, strict=True)]
    found = np.full((len(texts), max(map(len, texts), default=0)), -1, np.int64)
    for row, text in enumerate(texts):
        found[row, : len(text)] = text
    return found


def _searched(scores: NDArray[np.float64], beam: int) -> Sequence[int]:
    """Return the likeliest text of one row of frames (T, V)."""
    # Of each beginning: log p of the frames so far that mean it and end in a blank, and of those that end in its last token.
    begun: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    for frame in scores:
        likely = [int(token) for token in np.flatnonzero(frame > np.log(_LIKELY)) if token != BLANK]
        further: dict[tuple[int, ...], tuple[float, float]] = {}

        def add(
            text: tuple[int, ...], blank: float, token: float, further: dict[tuple[int, ...], tuple[float, float]] = further
        ) -> None:
            before = further.get(text, (-np.inf, -np.inf))
            further[text] = (float(np.logaddexp(before[0], blank)), float(np.logaddexp(before[1], token)))

        for text, (blank, token) in begun.items():
            either = float(np.logaddexp(blank, token))
            add(text, either + frame[BLANK], token + frame[text[-1]] if text else -np.inf)
            for next_ in likely:
                add((*text, next_), -np.inf, (blank if text and next_ == text[-1] else either) + frame[next_])
        ranked = sorted(further.items(), key=lambda item: (-np.logaddexp(*item[1]), item[0]))
        begun = dict(ranked[:beam])
    return next(iter(begun))
