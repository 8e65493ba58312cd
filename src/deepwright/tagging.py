"""Labels of tokens, and the spans that they mean (floor 2, free of torch).

Labels are those of spans in IOB2 (``B-PER I-PER O``), where every span begins with B-, or plain ones, one a token, such as parts of
speech. What is written in IOB1, IOBES, BILOU, BMES or BMEWO is read as IOB2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.spans import Places

Ids = NDArray[np.int64]
Floats = NDArray[np.floating]

FORBIDDEN = -1e4
"""The score of a label that may not follow another."""

Scheme = Literal["IOB", "IOBES", "BILOU", "BMES", "BMEWO", "plain"]
"""How labels mark spans, if they do."""
_PREFIXES: dict[Scheme, str] = {"IOB": "BI", "IOBES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW"}


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
    return scheme(labels) == "IOB" and any(label.startswith("B-") for label in labels)


def scheme(labels: Iterable[str]) -> Scheme:
    """Return how names of labels mark spans, if they do: each is ``O``, or a prefix, a hyphen and a type.

    IOB1 and IOB2 have the same names, B- and I-. IOBES has E- at a span's end and S- on a span of one token, BILOU has L- and U-;
    BMES and BMEWO have M- inside, and BMEWO W- on a span of one token. Without any B-, I- or ``O``, such names are plain.
    """
    names = set(labels)
    parts = [label.partition("-") for label in names - {"O"}]
    prefixes = {prefix for prefix, _, _ in parts}
    if not parts or not (prefixes & {"B", "I"} or "O" in names) or not all(type_ for _, _, type_ in parts):
        return "plain"
    return next((name for name, known in _PREFIXES.items() if prefixes <= set(known)), "plain")


def as_iob2(lists: pl.Series) -> pl.Series:
    """Return labels of spans, List(String), in IOB2.

    What is inside of a span or ends it (M-, E-, L-) becomes I-, and what is one (S-, U-, W-) becomes B-. An I- that continues
    nothing begins a span, as it does in IOB1 and in the script of CoNLL-2003 (conlleval); behind an unknown label it stays. What
    marks no span is left alone.
    """
    sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = lists.filter(pl.Series(sizes > 0, dtype=pl.Boolean)).explode()
    row = np.repeat(np.arange(len(lists)), sizes)
    parts = pl.col("label").str.extract_groups("(?s)^([BIESLUMW])-(.+)$").struct
    frame = pl.DataFrame({"row": row, "label": flat}).with_columns(parts.rename_fields(["prefix", "type"]).struct.unnest())
    before = pl.col("row").shift() == pl.col("row")
    goes_on = before & pl.col("prefix").shift().is_in(["B", "I", "M"]) & (pl.col("type").shift() == pl.col("type"))
    unknown = before & pl.col("label").shift().is_null()
    inside = pl.col("prefix").is_in(["I", "M", "E", "L"]) & (goes_on | unknown).fill_null(value=False)
    named = pl.when(inside).then(pl.lit("I-")).otherwise(pl.lit("B-")) + pl.col("type")
    read = pl.when(pl.col("type").is_not_null()).then(named).otherwise(pl.col("label"))
    found = _grouped(frame.select(read).to_series(), sizes)
    return pl.select(pl.when(lists.is_not_null()).then(found)).to_series().alias(lists.name)


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


# Spans of characters --------------------------------------------------------------------------------------------------------


def labelled(column: pl.Series, texts: pl.Series, places: Places) -> tuple[pl.Series, dict[int, str]]:
    """Return the labels in IOB2 of texts' tokens that spans of characters mean, List(String), and what is wrong with which rows.

    Blanks at the ends of a span do not count. A span without any other character, outside of the text, that overlaps another, or
    that begins or ends within a token is wrong.

    Args:
        column: :data:`deepwright.spans.SPANS`.
        texts: The texts (B,).
        places: Where their tokens stand.
    """
    sizes = column.list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = column.filter(pl.Series(sizes > 0)).explode().struct.unnest()
    row = np.repeat(np.arange(len(column)), sizes)
    start, end = (flat[name].fill_null(-1).to_numpy().astype(np.int64) for name in ("start", "end"))
    length = texts.str.len_chars().fill_null(0).to_numpy().astype(np.int64)
    # Places of all texts behind each other, a gap between them.
    base = np.cumsum(length + 1) - length - 1
    token_row = np.repeat(np.arange(len(column)), places.counts)
    starts, stops = places.starts + base[token_row], places.stops + base[token_row]
    first = np.searchsorted(stops, start + base[row], "right")  # the first token that does not end before the span
    behind = np.searchsorted(starts, end + base[row], "left")  # the first token that begins behind it
    outside = (start < 0) | (end > length[row]) | (start >= end)
    empty = ~outside & (behind <= first)
    known = ~outside & ~empty
    cut = np.zeros(len(row), bool)
    cut[known] = (starts[first[known]] < (start + base[row])[known]) | (stops[behind[known] - 1] > (end + base[row])[known])
    order = np.lexsort((first, row))
    crossed = np.zeros(len(row), bool)
    one, other = order[:-1], order[1:]
    same = (row[one] == row[other]) & known[one] & known[other]
    twice = (
        same
        & (start[one] == start[other])
        & (end[one] == end[other])
        & (flat["type"].to_numpy()[one] == flat["type"].to_numpy()[other])
    )
    crossed[other] = same & ~twice & (first[other] < behind[one])
    wrong: dict[int, str] = {}
    for what, which in (("outside of the text", outside), ("blank", empty), ("cuts a token", cut), ("overlaps another", crossed)):
        for index in np.flatnonzero(which).tolist():
            text = texts[int(row[index])] or ""
            shown = f"[{start[index]}, {end[index]}, {flat['type'][index]}] {what}"
            near = text[max(0, int(start[index]) - 5) : max(0, int(end[index]) + 5)][:40]
            wrong.setdefault(
                int(row[index]), f"{shown}: {near!r}" if not outside[index] else f"{shown} of {length[row[index]]} characters"
            )
    fits = known & ~cut & ~crossed
    names, kinds = np.unique(flat["type"].fill_null("").to_numpy().astype(str), return_inverse=True)
    code = np.zeros(len(starts), np.int64)
    for index in np.flatnonzero(fits).tolist():
        code[first[index] : behind[index]] = 2 * kinds[index] + 2
        code[first[index]] -= 1
    table = pl.Series(["O", *(f"{prefix}-{name}" for name in names.tolist() for prefix in "BI")], dtype=pl.String)
    lists = _grouped(table.gather(code), places.counts).alias(column.name)
    return pl.select(pl.when(column.is_not_null()).then(lists)).to_series().alias(column.name), wrong


def _grouped(flat: pl.Series, counts: NDArray[np.integer]) -> pl.Series:
    """Return values, one row behind the other, as lists of so many."""
    rows = pl.Series("row", np.repeat(np.arange(len(counts)), counts), dtype=pl.Int64)
    lists = pl.DataFrame({"row": rows, "value": flat}).group_by("row", maintain_order=True).agg("value")
    every = pl.DataFrame({"row": pl.Series(np.arange(len(counts)), dtype=pl.Int64)})
    joined = every.join(lists, on="row", how="left", maintain_order="left")["value"]
    return joined.fill_null(pl.lit([], pl.List(flat.dtype)))


def marked(labels: pl.Series, texts: pl.Series, places: Places) -> pl.Series:
    """Return the spans of characters that labels of texts' tokens mean, with the text of each.

    Args:
        labels: List(String) in IOB2; of a text whose end was cut, those of its first tokens.
        texts: The texts (B,).
        places: Where their tokens stand.
    """
    counts = labels.list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = labels.filter(pl.Series(counts > 0)).explode()
    row = np.repeat(np.arange(len(labels)), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = flat.str.starts_with("B-").to_numpy().astype(bool)
    kind = flat.str.slice(2)
    follows = flat.str.starts_with("I-").to_numpy().astype(bool)
    follows[1:] &= (
        (row[1:] == row[:-1]) & (kind[1:] == kind[:-1]).to_numpy().astype(bool) & (flat[:-1] != "O").to_numpy().astype(bool)
    )
    token = places.firsts[row] + place
    # Tokens around a text, as of BERT, hold no character, and are in no span.
    begins &= places.starts[token] < places.stops[token]
    first = np.flatnonzero(begins)
    # A span ends before the first token that does not follow.
    ends = np.append(np.flatnonzero(~follows), len(row))
    last = ends[np.searchsorted(ends, first, "right")] - 1
    start, end = places.starts[token[first]], places.stops[token[last]]
    owner = row[first]
    text = texts.gather(owner).str.slice(pl.Series(start), pl.Series(end - start)) if len(first) else pl.Series([], dtype=pl.String)
    spans = pl.DataFrame({"start": start, "end": end, "type": kind.gather(first), "text": text}).to_struct("span")
    return _grouped(spans, np.bincount(owner, minlength=len(labels))).alias(labels.name)
