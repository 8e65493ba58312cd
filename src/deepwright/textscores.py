"""How alike texts are to those that they should be, as sums over rows: a metric is a ratio of sums (floor 2, free of torch).

BLEU (Papineni et al. 2002) with the tokens of mteval-v13a and Chinese by character, as sacreBLEU counts them (arXiv 1804.08771);
chrF (Popović 2015) of runs of up to 6 characters; ROUGE-1, -2 and -L (Lin 2004); and edit distances (Levenshtein 1966).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.words import split_words

Counts = NDArray[np.int64]
Codes = NDArray[np.uint64]
Flat = tuple[Codes, Counts]
"""What texts consist of: a code for each token of all texts, one behind the other, and how many each text has (B,)."""

BLEU_ORDER = 4
"""BLEU: the longest run of tokens."""
CHRF_ORDER = 6
"""chrF: the longest run of characters."""

COLUMNS: dict[str, int] = {
    "bleu": 2 * BLEU_ORDER + 1,  # matches of each order, runs found of each order, tokens that should be there
    "chrf": 3 * CHRF_ORDER,  # of each order: matches, runs found, runs that should be there
    "rouge": 3,  # the F1 of ROUGE-1, -2 and -L
    "characters": 2,  # edits, and characters that should be there
    "words": 2,
    "exact": 1,
    "searched": 1,  # 1 where a text was found
    "likelihood": 2,  # -log p of the true text, and its tokens, its end included
}
"""How many columns of :func:`counts` each thing takes, in their order."""

_DASHES = r"([{-~\[-` -&(-+:-@/])"
_SYLLABLES = r"([\p{Han}\p{Hiragana}\p{Katakana}\x{3000}-\x{303f}\x{ff00}-\x{ffef}])"
_MIX = np.uint64(0x9E3779B97F4A7C15)
_AT_ONCE = 1 << 22
"""Cells of the tables of edit distances that are held at once."""


def columns(name: str) -> slice:
    """Return where in :func:`counts` the columns of a name stand."""
    start = 0
    for key, size in COLUMNS.items():
        if key == name:
            return slice(start, start + size)
        start += size
    raise KeyError(name)


def counts(
    found: pl.Series | None, true: pl.Series, known: NDArray[np.bool_], likelihood: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Return what each row adds to the metrics, (B, S), see :data:`COLUMNS`; NaN rows where the true text is not known.

    Args:
        found: The texts found, String; nothing if none were sought.
        true: The true texts, String.
        known: Which rows have a true text (B,).
        likelihood: (B, 2) -log p of each true text, in nats, and its tokens; nothing if it is not known.
    """
    rows = np.zeros((len(true), sum(COLUMNS.values())))
    if found is not None:
        found, true = found.fill_null(""), true.fill_null("")
        one, other = _codes(found, true, bleu_tokens)
        rows[:, columns("bleu")] = _bleu(one, other)
        rows[:, columns("words")] = np.stack([edit_distances(one, other), other[1]], 1)
        one, other = _codes(found, true, _words)
        rows[:, columns("rouge")] = _rouge(one, other)
        one, other = _codes(found, true, _characters)
        rows[:, columns("characters")] = np.stack([edit_distances(one, other), other[1]], 1)
        bare = [text.str.replace_all(r"\s+", "") for text in (found, true)]
        rows[:, columns("chrf")] = _chrf(*_codes(bare[0], bare[1], _characters))
        rows[:, columns("exact")] = (found == true).to_numpy()[:, None]
        rows[:, columns("searched")] = 1
    if likelihood is not None:
        rows[:, columns("likelihood")] = likelihood
    rows[~known] = np.nan
    return rows


def bleu_tokens(texts: pl.Series) -> pl.Series:
    """Return the tokens that BLEU compares, List(String): those of mteval-v13a, and every Chinese or Japanese character."""
    texts = texts.str.replace_all("<skipped>", "", literal=True).str.replace_all("-\n", "", literal=True)
    for name, sign in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        texts = texts.str.replace_all(name, sign, literal=True)
    texts = (" " + texts + " ").str.replace_all(_SYLLABLES, " $1 ").str.replace_all(_DASHES, " $1 ")
    texts = texts.str.replace_all(r"([^0-9])([.,])", "$1 $2 ").str.replace_all(r"([.,])([^0-9])", " $1 $2")
    return texts.str.replace_all(r"([0-9])(-)", "$1 $2 ").str.extract_all(r"\S+")


def _words(texts: pl.Series) -> pl.Series:
    """Return the words that ROUGE compares: runs of letters and digits in lower case, Chinese by character."""
    pieces = split_words(texts.str.to_lowercase())
    return pieces.list.eval(pl.element().filter(pl.element().str.contains(r"[\p{L}\p{N}]")))


def _characters(texts: pl.Series) -> pl.Series:
    return texts.str.extract_all(r"(?s).")


def _codes(found: pl.Series, true: pl.Series, split: Any) -> tuple[Flat, Flat]:
    """Return the tokens of texts as codes: equal tokens have equal ones, different tokens of some millions differ."""

    def coded(texts: pl.Series) -> Flat:
        pieces = split(texts)
        sizes = pieces.list.len().fill_null(0).to_numpy().astype(np.int64)
        flat = pieces.filter(pl.Series(sizes > 0)).explode()
        return flat.hash(0).to_numpy().astype(np.uint64), sizes

    return coded(found), coded(true)


def _runs(texts: Flat, order: int) -> Iterator[tuple[Codes, Counts]]:
    """Yield the runs of 1, 2, … ``order`` tokens: their codes, and the row of each."""
    codes, row = texts[0], np.repeat(np.arange(len(texts[1])), texts[1])
    run = codes
    for size in range(1, order + 1):
        if size > 1:
            run = _mixed(run[: max(0, len(codes) - size + 1)] * _MIX + codes[size - 1 :]) if len(codes) >= size else run[:0]
        start, end = row[: len(run)], row[size - 1 : size - 1 + len(run)]
        inside = start == end
        yield run[inside], start[inside]


def _mixed(code: Codes) -> Codes:
    """Return codes whose bits all depend on all bits (the finaliser of SplitMix64)."""
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return code ^ (code >> np.uint64(31))


def _matches(one: tuple[Codes, Counts], other: tuple[Codes, Counts], rows: int) -> Counts:
    """Return how many runs two texts share, each as often as it stands in both, (B,)."""
    distinct = []
    for code, row in (one, other):
        key = _mixed(code + row.astype(np.uint64) * _MIX)
        distinct.append((*np.unique(key, return_index=True, return_counts=True), row))
    (keys, first, often, row), (others, _, their, _) = distinct
    _, mine, theirs = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    return np.bincount(row[first[mine]], np.minimum(often[mine], their[theirs]), minlength=rows).astype(np.int64)


def _overlaps(one: Flat, other: Flat, order: int) -> Iterator[tuple[Counts, Counts, Counts]]:
    """Yield, for runs of 1, 2, … tokens, how many are shared, are in one, and are in the other, (B,) each."""
    rows = len(one[1])
    for mine, theirs in zip(_runs(one, order), _runs(other, order), strict=True):
        yield _matches(mine, theirs, rows), np.bincount(mine[1], minlength=rows), np.bincount(theirs[1], minlength=rows)


def _bleu(found: Flat, true: Flat) -> NDArray[np.int64]:
    matches, totals, _ = zip(*_overlaps(found, true, BLEU_ORDER), strict=True)
    return np.stack([*matches, *totals, true[1]], 1)


def _chrf(found: Flat, true: Flat) -> NDArray[np.int64]:
    # As sacreBLEU has it, what is found counts for nothing where the true text is too short for a run of that order.
    orders = [(shared, np.where(theirs > 0, mine, 0), theirs) for shared, mine, theirs in _overlaps(found, true, CHRF_ORDER)]
    return np.stack([each for order in orders for each in order], 1)


def _rouge(found: Flat, true: Flat) -> NDArray[np.float64]:
    """Return the F1 of ROUGE-1, -2 and -L of each row, (B, 3); 0 where nothing is shared."""
    shares = [*_overlaps(found, true, 2), (common_lengths(found, true), found[1], true[1])]
    return np.stack([2 * shared / np.maximum(mine + theirs, 1) for shared, mine, theirs in shares], 1)


def edit_distances(one: Flat, other: Flat) -> Counts:
    """Return how many tokens to replace, leave out or put in make one text the other (Levenshtein 1966), (B,)."""

    def step(above: Counts, equal: NDArray[np.bool_], place: int) -> Counts:
        row = np.empty_like(above)
        row[:, 0] = place
        row[:, 1:] = np.minimum(above[:, 1:] + 1, above[:, :-1] + ~equal)
        # what is put in costs one for each place to the right: the least of all that stand left, with the way from there
        across = np.arange(row.shape[1])
        return np.minimum.accumulate(row - across, 1) + across

    return _table(one, other, step, lambda width: np.arange(width))


def common_lengths(one: Flat, other: Flat) -> Counts:
    """Return how many tokens stand in both texts in the same order, others between them or not, (B,)."""

    def step(above: Counts, equal: NDArray[np.bool_], place: int) -> Counts:
        del place
        row = above.copy()
        row[:, 1:] = np.maximum(above[:, 1:], above[:, :-1] + equal)
        return np.maximum.accumulate(row, 1)

    return _table(one, other, step, lambda width: np.zeros(width, np.int64))


def _table(one: Flat, other: Flat, step: Any, first: Any) -> Counts:
    """Fill the table of each pair of texts line by line, all pairs of some of the rows at once, and return its last cells."""
    result = np.zeros(len(one[1]), np.int64)
    starts = [np.cumsum(sizes) - sizes for _, sizes in (one, other)]
    order = np.argsort(np.maximum(one[1], other[1]), kind="stable")
    while len(order):
        longest = int(max(one[1][order[-1]], other[1][order[-1]]))
        order, rows = np.split(order, [max(0, len(order) - max(1, _AT_ONCE // (longest + 1)))])
        mine, theirs = (
            _padded(codes, starts[side][rows], sizes[rows], np.uint64(side)) for side, (codes, sizes) in enumerate((one, other))
        )
        line = np.tile(first(theirs.shape[1] + 1).astype(np.int32), (len(rows), 1))
        ends = one[1][rows]
        result[rows] = line[np.arange(len(rows)), other[1][rows]]
        for place in range(1, mine.shape[1] + 1):
            line = step(line, mine[:, place - 1 : place] == theirs, place)
            done = np.flatnonzero(ends == place)
            result[rows[done]] = line[done, other[1][rows[done]]]
    return result


def _padded(codes: Codes, starts: Counts, sizes: Counts, filler: np.uint64) -> Codes:
    """Return the tokens of some rows (B, longest), a filler behind their end."""
    width = int(sizes.max(initial=0))
    there = np.arange(width) < sizes[:, None]
    padded = np.full(there.shape, filler)
    padded[there] = codes[(starts[:, None] + np.arange(width))[there]]
    return padded
