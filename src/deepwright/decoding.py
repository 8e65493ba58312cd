"""Searching for texts token by token (floor 2, free of torch). Token 0 begins a text and ends it, 1 is never written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwright.families import Step

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

END, UNKNOWN = 0, 1
_AT_ONCE = 64
"""The rows whose texts are sought at once. Each has ``beam`` states, which grow: 1,000 rows at once took 16 GB."""


@dataclass(frozen=True)
class Sampling:
    """How texts are drawn.

    Args:
        temperature: What log-probabilities are divided by.
        top_k: How many of the likeliest tokens can be drawn; 0: all.
        top_p: Only the likeliest tokens that together have this probability can be drawn (arXiv 1904.09751).
        seed: The seed.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


def likelihoods(step: Step, memory: Floats, written: NDArray[Any]) -> NDArray[np.float64]:
    """Return -log p of each text, its end included, and its tokens, (B, 2).

    Args:
        step: What is asked.
        memory: (B, T, M) what was read.
        written: (B, U) the ids of the texts, 0 behind their end.
    """
    found = np.zeros((len(memory), 2))
    for rows, part, text in _portions(memory, written):
        read = np.concatenate([np.zeros((len(rows), 1), np.int64), text], 1)
        after = np.concatenate([text, np.zeros((len(rows), 1), np.int64)], 1)
        scores, _ = step(part, _nothing(step, len(rows)), read)
        found[rows, 0] = -np.take_along_axis(scores, after[:, :, None], 2).astype(np.float64).sum((1, 2))
        found[rows, 1] = after.shape[1]
    return found


def beam_search(step: Step, memory: Floats, prompt: NDArray[Any] | None, longest: int, beam: int = 1, penalty: float = 0.0) -> Ints:
    """Return the likeliest texts that a search finds which keeps ``beam`` beginnings of each row, (B, T), -1 behind their end.

    The score of a text is log p / ((5 + tokens) / 6) ** penalty, its end included (Wu et al. 2016, arXiv 1609.08144,
    equation 14). A row is done as soon as ``beam`` texts have ended among the best.

    Args:
        step: What is asked.
        memory: (B, T, M) what was read, NaN behind a row's end.
        prompt: (B, P) what the texts begin with, 0 behind its end.
        longest: The most tokens, the prompt's not counted.
        beam: How many beginnings are kept; 1: greedy.
        penalty: How much length is made up for.
    """
    parts = [(rows, _beam(step, part, begin, longest, beam, penalty)) for rows, part, begin in _portions(memory, prompt)]
    return _together(parts, len(memory))


def _beam(step: Step, memory: Floats, begin: Ints, longest: int, beam: int, penalty: float) -> Ints:
    count = len(memory)
    best, best_score = np.full((count, begin.shape[1] + longest), -1, np.int64), np.full(count, -np.inf)
    best[:, : begin.shape[1]] = begin
    ended = np.zeros(count, np.int64)
    log_p, state = step(memory, _nothing(step, count), np.concatenate([np.zeros((count, 1), np.int64), begin], 1))
    alive, width = np.arange(count), 1  # rows that go on, and beginnings of each
    scores, texts, last, read = np.zeros((count, 1)), np.zeros((count, 1, 0), np.int64), log_p[:, -1:], memory
    for place in range(1, longest + 1):
        total = scores[:, :, None] + _writable(last.reshape(len(alive), width, -1), may_end=place > 1 or begin.shape[1] > 0)
        ranked, which = _largest(total.reshape(len(alive), -1), 2 * beam)
        source, token = np.divmod(which, total.shape[2])
        worth = ranked / _length(place, penalty)
        ends = (token == END) & (np.arange(token.shape[1]) < beam) & np.isfinite(ranked)
        for rank in range(min(beam, token.shape[1])):
            better = np.flatnonzero(ends[:, rank] & (worth[:, rank] > best_score[alive]))
            row = alive[better]
            best_score[row] = worth[better, rank]
            best[row, begin.shape[1] :] = -1
            best[row, begin.shape[1] : begin.shape[1] + place - 1] = texts[better, source[better, rank]]
        ended[alive] += ends.sum(1)
        # The best beginnings that go on, in their order.
        order = np.argsort(token == END, axis=1, kind="stable")[:, :beam]
        scores, source, token = (np.take_along_axis(each, order, 1) for each in (ranked, source, token))
        scores = np.where(token == END, -np.inf, scores)
        texts = np.concatenate([np.take_along_axis(texts, source[:, :, None], 1), token[:, :, None]], 2)
        rest = np.flatnonzero((ended[alive] < beam) & np.isfinite(scores).any(1)) if place < longest else np.arange(len(alive))
        if not len(rest):
            return best
        flat = (source + np.arange(len(alive))[:, None] * width)[rest].ravel()
        if scores.shape[1] != width or len(rest) < len(alive):
            read = np.repeat(memory[alive[rest]], scores.shape[1], 0)
        alive, scores, texts, width = alive[rest], scores[rest], texts[rest], scores.shape[1]
        if place == longest:
            break
        log_p, state = step(read, state[flat], texts[:, :, -1].reshape(-1, 1))
        last = log_p[:, -1]
    # What has not ended counts as it is, if nothing else of its row has ended.
    cut = np.flatnonzero(np.isneginf(best_score[alive]))
    best[alive[cut], begin.shape[1] :] = texts[cut, 0]
    return best


def sampled(step: Step, memory: Floats, prompt: NDArray[Any] | None, rows: Ints, longest: int, how: Sampling) -> Ints:
    """Return texts that are drawn token by token, (B, T), -1 behind their end.

    A row's draws depend on the seed and its number alone: rows that are alike have texts of their own.

    Args:
        step: What is asked.
        memory: (B, T, M) what was read, NaN behind a row's end.
        prompt: (B, P) what the texts begin with, 0 behind its end.
        rows: The number of each row (B,).
        longest: The most tokens, the prompt's not counted.
        how: How they are drawn.
    """
    draws = np.array([np.random.default_rng([how.seed, int(row)]).random(longest) for row in rows]).reshape(len(rows), longest)
    parts = [(some, _drawn(step, part, begin, draws[some], how)) for some, part, begin in _portions(memory, prompt)]
    return _together(parts, len(memory))


def _drawn(step: Step, memory: Floats, begin: Ints, draws: NDArray[np.float64], how: Sampling) -> Ints:
    count, longest = draws.shape
    texts = np.full((count, begin.shape[1] + longest), -1, np.int64)
    texts[:, : begin.shape[1]] = begin
    alive, state = np.arange(count), _nothing(step, count)
    read = np.concatenate([np.zeros((count, 1), np.int64), begin], 1)
    for place in range(longest):
        log_p, state = step(memory[alive], state, read)
        token = _draw(_writable(log_p[:, -1:], may_end=place > 0 or begin.shape[1] > 0)[:, 0], draws[alive, place], how)
        rest = np.flatnonzero(token != END)
        alive, state, read = alive[rest], state[rest], token[rest, None]
        if not len(rest):
            break
        texts[alive, begin.shape[1] + place] = token[rest]
    return texts


def _draw(log_p: NDArray[np.float64], draws: NDArray[np.float64], how: Sampling) -> Ints:
    """Return the token of each row (B,) at a place in [0, 1) of the probabilities, the likeliest first."""
    size = log_p.shape[1]
    ranked, token = _largest(log_p / how.temperature, min(how.top_k or size, size))
    p = np.exp(ranked - ranked[:, :1])
    p /= p.sum(1, keepdims=True)
    before = np.cumsum(p, 1) - p
    p[before >= how.top_p] = 0.0
    reached = np.cumsum(p, 1)
    place = (reached <= (draws * reached[:, -1])[:, None]).sum(1)
    return np.asarray(np.take_along_axis(token, np.minimum(place, token.shape[1] - 1)[:, None], 1)[:, 0])


def _writable(log_p: Floats, *, may_end: bool) -> NDArray[np.float64]:
    """Return log p of tokens (…, V) with what is never written left out: the unknown one, and an end before anything stands."""
    values = log_p.astype(np.float64)
    values[..., UNKNOWN] = -np.inf
    if not may_end:
        values[..., END] = -np.inf
    return values


def _largest(values: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], Ints]:
    """Return the largest values of each row, (B, count), and their places; of equal ones the first."""
    count = min(count, values.shape[1])
    some = np.argpartition(-values, count - 1, axis=1)[:, :count] if count < values.shape[1] else np.arange(count)[None]
    some = np.sort(np.broadcast_to(some, (len(values), count)), axis=1)
    ranked = np.take_along_axis(values, some, 1)
    order = np.argsort(-ranked, axis=1, kind="stable")
    return np.take_along_axis(ranked, order, 1), np.take_along_axis(some, order, 1)


def _length(tokens: int, penalty: float) -> float:
    return float(((5 + tokens) / 6) ** penalty)


def _nothing(step: Step, rows: int) -> Floats:
    """Return the state before anything is written."""
    return np.full((rows, 1, step.state_width), np.nan, np.float32)


def _portions(memory: Floats, texts: NDArray[Any] | None) -> Iterator[tuple[Ints, Floats, Ints]]:
    """Yield a few rows at once whose texts are of one length, what was read, of about one length too, and those texts."""
    lengths = (~np.isnan(memory[..., 0])).sum(1)
    sizes = np.zeros(len(memory), np.int64) if texts is None else (texts != 0).sum(1)
    order = np.lexsort((lengths, sizes))
    for size in np.unique(sizes):
        alike = order[sizes[order] == size]
        for rows in np.split(alike, range(_AT_ONCE, len(alike), _AT_ONCE)):
            begin = np.zeros((len(rows), 0), np.int64) if texts is None else texts[rows, :size].astype(np.int64)
            yield rows, memory[rows, : max(1, int(lengths[rows].max()))], begin


def _together(parts: list[tuple[Ints, Ints]], count: int) -> Ints:
    """Return texts in the order of their rows, as wide as the longest."""
    whole = np.full((count, max((text.shape[1] for _, text in parts), default=1)), -1, np.int64)
    for rows, text in parts:
        whole[rows, : text.shape[1]] = text
    used = np.flatnonzero((whole >= 0).any(0))
    return whole[:, : max(1, int(used.max(initial=-1)) + 1)]
