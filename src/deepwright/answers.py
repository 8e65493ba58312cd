"""Answers that are spans of a passage: where they stand, the best span, and how SQuAD judges them (floor 2, free of torch)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError
from deepwright.files import beginning, holds, pick
from deepwright.spans import Places

Ids = NDArray[np.int64]
Floats = NDArray[np.floating]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SIGNS = str.maketrans("", "", string.punctuation)
_LOOKED_AT = 1 << 18
"""The bytes of a file that tell what is in it: the first passage, which may be a long one, and what stands before it."""
_VALUES = rb'(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^"{}\[\]])*?'
_SQUAD = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*\{" + rb"\{".join(_VALUES + rb'"' + key + rb'"\s*:\s*\[\s*' for key in (b"data", b"paragraphs", b"qas")),
    re.DOTALL,
)
"""How the JSON of SQuAD begins: ``{"data": [{"paragraphs": [{"qas": [``, with plain values before any of the keys."""


def is_squad(path: str) -> bool:
    """Return whether a JSON file holds questions about passages as SQuAD writes them, by how it begins.

    Args:
        path: A file, or a folder or an archive that holds one.
    """
    if "://" in path or not holds(path, (".json",)):
        return False
    try:
        return _SQUAD.match(beginning(pick(path, (".json",), "JSON"), _LOOKED_AT)) is not None
    except DataError:  # it does not exist, or the folder holds several files
        return False


def normal(text: str) -> list[str]:
    """Return the words of a text as SQuAD compares them (arXiv 1606.05250): lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_SIGNS)).split()


def judged(found: str, references: Sequence[str]) -> tuple[float, float]:
    """Return whether an answer is one of the references exactly, and its best F1 of words, as SQuAD computes them."""
    words = normal(found)
    exact, f1 = 0.0, 0.0
    for reference in references:
        wanted = normal(reference)
        exact = max(exact, float(words == wanted))
        common = sum((Counter(words) & Counter(wanted)).values())
        f1 = max(f1, 2 * common / (len(words) + len(wanted)) if common else float(not words and not wanted))
    return exact, f1


def best_spans(scores: Floats, lengths: Ids, longest: int) -> Ids:
    """Return the first and the last token (B, 2) of the likeliest span of at most ``longest`` tokens; -1 without tokens.

    Args:
        scores: (B, T, 2) log p of each token to be the first, and the last.
        lengths: The tokens of each row (B,).
        longest: The most tokens of a span.
    """
    rows, places, _ = scores.shape
    there = np.arange(places) < lengths[:, None]
    first, last = (np.where(there, scores[..., side], -np.inf).astype(np.float64) for side in (0, 1))
    best, found = np.full(rows, -np.inf), np.full((rows, 2), -1, np.int64)
    for more in range(min(longest, places)):
        each = first[:, : places - more] + last[:, more:]
        at = each.argmax(1)
        value = each[np.arange(rows), at]
        better = value > best  # of equal ones the shortest, then the earliest
        best = np.where(better, value, best)
        found[better] = np.stack([at, at + more], 1)[better]
    return found


def placed(column: pl.Series, texts: pl.Series, places: Places) -> tuple[pl.Series, dict[int, str]]:
    """Return answers with the first and the last token of each, and what is wrong with which rows.

    An answer without a start is sought: its first place in the text counts. One that cuts tokens is widened to them.

    Args:
        column: :data:`deepwright.spans.ANSWERS`.
        texts: The passages (B,).
        places: Where their tokens stand.
    """
    wrong: dict[int, str] = {}
    rows = []
    firsts = places.firsts
    for row, (answers, text) in enumerate(zip(column.to_list(), texts.to_list(), strict=True)):
        own = slice(int(firsts[row]), int(firsts[row] + places.counts[row]))
        starts, stops = places.starts[own], places.stops[own]
        found = []
        for answer in answers or ():
            wanted, start = answer["text"], answer["start"]
            start = (text or "").find(wanted) if start is None else start
            if not wanted or not wanted.strip() or start < 0 or (text or "")[start : start + len(wanted)] != wanted:
                shown = f" at {answer['start']}" if answer["start"] is not None else ""
                wrong[row] = f"{wanted[:40]!r} does not stand in the passage{shown}"
                continue
            first = int(np.searchsorted(stops, start, "right"))
            last = int(np.searchsorted(starts, start + len(wanted), "left")) - 1
            found.append({"first": first, "last": last, "text": wanted})
        rows.append(found or None)
    kind = pl.List(pl.Struct({"first": pl.Int64, "last": pl.Int64, "text": pl.String}))
    return pl.Series(column.name, rows, dtype=kind), wrong


def texts_of(spans: Ids, texts: pl.Series, places: Places) -> tuple[list[str], Ids]:
    """Return the text of each row's span of tokens, empty for none, and its start and end in characters (B, 2), -1 for none."""
    there = spans[:, 0] >= 0
    found = np.full((len(spans), 2), -1, np.int64)
    base = places.firsts[there]
    found[there, 0] = places.starts[base + spans[there, 0]]
    found[there, 1] = places.stops[base + spans[there, 1]]
    cut = [(text or "")[max(0, start) : max(0, end)] for text, (start, end) in zip(texts.to_list(), found.tolist(), strict=True)]
    return cut, found
