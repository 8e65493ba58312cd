"""Networks that write a text token by token, each told what stands before it (floor 3).

A *memory* (B, T, M) is what was read, NaN behind a row's end. A *state* (B, L, C) is what was written: for attention a line a
token, for recurrence one line; a first line of NaN stands for nothing. Token 0 begins a text where it is read, and ends one where
it is found. Training, scoring and searching run the same code: over all tokens of a text at once where they are known, one by one
in a search.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.cells import states
from deepwright.blocks.contract import WriterModule
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.transformer import attended, rotated

_FEW = 256
"""The tokens of a batch whose scores are computed are a multiple of this."""


def shifted(written: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is read and what comes next, (B, U + 1) int64 each: the begin and the text; the text and its end, then -1.

    Args:
        written: (B, U) ids, 0 behind a row's end.
    """
    written = written.long()
    begin = torch.zeros_like(written[:, :1])
    length = (written != 0).sum(1, keepdim=True)
    place = torch.arange(written.shape[1] + 1, device=written.device)
    after = torch.cat([written, begin], 1)
    return torch.cat([begin, written], 1), torch.where(place <= length, after, -1)


class Vocabulary(nn.Module):
    """Vectors of tokens as they are read, and the scores of tokens from a vector, with the same weights (arXiv 1608.05859).

    Args:
        size: How many tokens.
        width: D.
        shared: The embedding of an input of the same tokens and width, whose weights are taken; else they are its own.
    """

    def __init__(self, size: int, width: int, shared: nn.Embedding | None = None) -> None:
        super().__init__()
        self.own = nn.Embedding(size, width) if shared is None else None
        if self.own is not None:
            with torch.no_grad():
                self.own.weight.mul_(width**-0.5)
        # Not registered here: the input's encoder has it, and weights have one name.
        self.shared = (shared,)
        self.scale = math.sqrt(width)
        self.bias = nn.Parameter(torch.zeros(size))

    @property
    def weight(self) -> Tensor:
        """The vectors (tokens, D)."""
        table = self.own if self.own is not None else self.shared[0]
        return table.weight  # type: ignore[union-attr]

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the vectors of tokens (B, U), (B, U, D)."""
        return F.embedding(tokens, self.weight) * self.scale

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores of each token (B, U, V)."""
        return F.linear(x, self.weight, self.bias)


class Writer(WriterModule):
    """What decoders share: the loss of the next tokens, and what leaves the graph.

    Args:
        vocabulary: The tokens' vectors and scores.
        smoothing: The share of the target that is spread over all tokens (arXiv 1512.00567).
    """

    def __init__(self, vocabulary: Vocabulary, smoothing: float) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.size = len(vocabulary.bias)
        self.smoothing = smoothing

    def forward(self, states: Tensor | None, mask: Tensor | None, written: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of all tokens that come next, one row behind the other (N or more, V), and which those are (B, U + 1).

        What stands behind a row's end, -1 there, has no scores, which would cost most of all.
        """
        read, after = shifted(written)
        memory = None if states is None else self.remembered(states)
        hidden, _ = self.decoded(memory, mask, None, read)
        there = (after.flatten() >= 0).nonzero().squeeze(1)
        # In few sizes: a matrix product keeps what it prepared for each size that it meets (1 GB after 60 steps, in bf16 on a CPU).
        return self.vocabulary.scores(hidden.flatten(0, 1)[F.pad(there, (0, -len(there) % _FEW))]), after

    def remember(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the memory (B, T, M), NaN behind the end."""
        return self.remembered(states).float().masked_fill(~mask.unsqueeze(2), torch.nan)

    def step(self, memory: Tensor, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p of the tokens behind each of ``tokens`` (B, U), (B, U, V), and the state's further lines."""
        mask = ~memory[..., 0].isnan()
        hidden, lines = self.decoded(memory.nan_to_num(), mask, state, tokens.long())
        return torch.log_softmax(self.vocabulary.scores(hidden).float(), -1), lines

    def remembered(self, states: Tensor) -> Tensor:
        """Return what is kept of the states (B, T, D): (B, T, M)."""
        raise NotImplementedError

    def decoded(self, memory: Tensor | None, mask: Tensor | None, state: Tensor | None, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors that the scores are made of (B, U, D), and the state's further lines, for tokens (B, U)."""
        raise NotImplementedError

    def loss(self, raw: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the mean cross-entropy of each row's tokens, its end included, (B,)."""
        del target  # it is what the raw prediction was told as written
        sums, tokens = self._sums(raw, self.smoothing)
        return sums / tokens

    def outputs(self, raw: tuple[Tensor, Tensor] | Tensor) -> Tensor:
        """Return the memory as it is, or of a text that is known -log p of it and its tokens, (B, 2)."""
        return raw if isinstance(raw, Tensor) else torch.stack(self._sums(raw, 0.0), 1)

    def _sums(self, raw: tuple[Tensor, Tensor], smoothing: float) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of each row's tokens, summed, and their number, (B,) each."""
        scores, after = raw
        there = after >= 0
        each = F.cross_entropy(scores[: int(there.sum())].float(), after[there], reduction="none", label_smoothing=smoothing)
        row = torch.arange(len(after), device=after.device).unsqueeze(1).expand_as(after)[there]
        return each.new_zeros(len(after)).index_add_(0, row, each), there.sum(1).to(each.dtype)


class AttentiveLayer(nn.Module):
    """A Transformer layer that attends to what is written, and to what was read (arXiv 1706.03762), normalised first.

    Args:
        width: D.
        heads: The heads.
        hidden: The inner width of the feed-forward layers.
        dropout: The fraction of what each part adds dropped in training.
        crossed: Whether there is something that was read.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, *, crossed: bool) -> None:
        super().__init__()
        self.heads = heads
        self.own_norm = nn.LayerNorm(width)
        self.own = nn.Linear(width, 3 * width)
        self.own_out = nn.Linear(width, width)
        self.crossed = crossed
        if crossed:
            self.cross_norm = nn.LayerNorm(width)
            self.query = nn.Linear(width, width)
            self.cross_out = nn.Linear(width, width)
        self.forward_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Tensor, place: Tensor, past: Tensor | None, allowed: Tensor, read: Tensor | None, readable: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map (B, U, D) and return the keys and values of its places, (B, U, 2 D), too.

        Args:
            x: What is written.
            place: The places (U,).
            past: Keys and values of the places before (B, L, 2 D).
            allowed: (B, 1, U, L + U), which places each may attend to.
            read: Keys and values of what was read (B, T, 2 D).
            readable: (B, 1, 1, T).
        """
        query, key, value = self.own(self.own_norm(x)).chunk(3, -1)
        key = self._merged(rotated(self._split(key), place))
        line = torch.cat([key, value], -1)
        keys, values = (line if past is None else torch.cat([past.to(line.dtype), line], 1)).chunk(2, -1)
        mixed = attended(rotated(self._split(query), place), self._split(keys), self._split(values), allowed)
        x = x + self.dropout(self.own_out(self._merged(mixed)))
        if read is not None and self.crossed:
            keys, values = read.chunk(2, -1)
            query = self._split(self.query(self.cross_norm(x)))
            mixed = attended(query, self._split(keys), self._split(values), readable)
            x = x + self.dropout(self.cross_out(self._merged(mixed)))
        x = x + self.dropout(self.down(self.dropout(F.relu(self.up(self.forward_norm(x))))))
        return x, line

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    def _merged(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)


class AttentiveWriter(Writer):
    """The decoder of a Transformer (Vaswani et al. 2017, arXiv 1706.03762); places are told by rotation (arXiv 2104.09864).

    A line of the state holds the keys and values of all layers for one token; the memory holds those of each place that was read.

    Args:
        size: V.
        reads: The width of the states that are read; nothing for a text that goes on from itself.
        width: D, a multiple of twice ``heads``.
        depth: How many layers.
        heads: The heads of each.
        hidden: The inner width of the feed-forward layers.
        dropout: Dropout of layers and embeddings.
        smoothing: See :class:`Writer`.
        shared: See :class:`Vocabulary`.
    """

    grows = True

    def __init__(
        self,
        size: int,
        reads: int | None,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        dropout: float,
        smoothing: float,
        shared: nn.Embedding | None,
    ) -> None:
        super().__init__(Vocabulary(size, width, shared), smoothing)
        self.state_width = 2 * width * depth
        self.memories = None if reads is None else nn.Linear(reads, 2 * width * depth)
        self.layers = nn.ModuleList(AttentiveLayer(width, heads, hidden, dropout, crossed=reads is not None) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def remembered(self, states: Tensor) -> Tensor:
        """Return the keys and values of all layers, (B, T, 2 D depth)."""
        return states if self.memories is None else self.memories(states)

    def decoded(self, memory: Tensor | None, mask: Tensor | None, state: Tensor | None, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors (B, U, D) and the lines of tokens (B, U, C)."""
        count = tokens.shape[1]
        place = torch.arange(count, device=tokens.device)
        allowed = (place[:, None] >= place)[None, None]
        pasts: list[Tensor | None] = [None] * len(self.layers)
        if state is not None:
            before = ~state[..., 0].isnan()
            place = place + state.shape[1] - 1  # the first line stands for nothing
            lines = before[:, None, None, :].expand(-1, 1, count, -1)
            allowed = torch.cat([lines, allowed.expand(tokens.shape[0], 1, count, count)], -1)
            pasts = list(state.nan_to_num().chunk(len(self.layers), -1))
        x = self.dropout(self.vocabulary(tokens))
        reads: list[Tensor | None] = [None] * len(self.layers)
        readable = None
        if memory is not None and mask is not None and self.memories is not None:
            # A row without a place attends to what is behind its end, where nothing is: a softmax over no place would be none.
            reads = list(memory.masked_fill(~mask.unsqueeze(2), 0.0).chunk(len(self.layers), -1))
            readable = (mask | ~mask.any(1, keepdim=True))[:, None, None, :]
        lines_of = []
        for layer, past, read in zip(self.layers, pasts, reads, strict=True):
            x, line = layer(x, place, past, allowed, read, readable)
            lines_of.append(line)
        return self.norm(x), torch.cat(lines_of, -1)


class RecurrentWriter(Writer):
    """LSTM layers with attention to what was read (Bahdanau et al. 2014, arXiv 1409.0473).

    The first layer reads the tokens; its state asks, ``v · tanh(W s + U h)`` answers how much each place that was read counts, and
    the mean of those places goes into the further layers and the output (as in GNMT, arXiv 1609.08144), so that all places of a
    known text are computed at once.

    Args:
        size: V.
        reads: The width of the states that are read; nothing for a text that goes on from itself.
        width: D, of the tokens' vectors and each layer's state.
        depth: How many layers.
        dropout: The fraction of values between layers dropped in training.
        smoothing: See :class:`Writer`.
        shared: See :class:`Vocabulary`.
    """

    grows = False

    def __init__(
        self, size: int, reads: int | None, width: int, depth: int, dropout: float, smoothing: float, shared: nn.Embedding | None
    ) -> None:
        super().__init__(Vocabulary(size, width, shared), smoothing)
        self.state_width = 2 * width * depth
        self.memories = None if reads is None else nn.Linear(reads, 2 * width)  # what is asked for, and what is answered
        if reads is not None:
            self.begin = nn.Linear(width, 2 * width * depth)
            self.question = nn.Linear(width, width, bias=False)
            self.answer = nn.Linear(width, 1, bias=False)
        context = 0 if reads is None else width
        self.cells = nn.ModuleList(nn.LSTM(width + (context if index else 0), width, batch_first=True) for index in range(depth))
        self.out = nn.Linear(width + context, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def remembered(self, states: Tensor) -> Tensor:
        """Return the keys and values (B, T, 2 D)."""
        return states if self.memories is None else self.memories(states)

    def decoded(self, memory: Tensor | None, mask: Tensor | None, state: Tensor | None, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors (B, U, D) and the layers' states behind the last token, (B, 1, C)."""
        keys = values = None
        x = self.dropout(self.vocabulary(tokens))
        begin = x.new_zeros((tokens.shape[0], self.state_width))
        if memory is not None and mask is not None and self.memories is not None:
            keys, values = memory.chunk(2, -1)
            there = mask.unsqueeze(2).to(values.dtype)
            begin = torch.tanh(self.begin((values * there).sum(1) / there.sum(1).clamp_min(1)))
        if state is not None:
            begin = torch.where(state[:, -1].isnan(), begin, state[:, -1].nan_to_num())
        context, ends = None, []
        for index, (cell, start) in enumerate(zip(self.cells, begin.chunk(len(self.cells), -1), strict=True)):
            hidden, kept = start.unsqueeze(0).chunk(2, -1)
            read = x if context is None or not index else torch.cat([x, context], -1)
            y, last = _run(cell, read, hidden, kept)
            ends += [last[0].squeeze(0), last[1].squeeze(0)]
            if not index and keys is not None and values is not None and mask is not None:
                context = self._attended(y, keys, values, mask)
            x = self.dropout(y) if not index else x + self.dropout(y)
        x = x if context is None else torch.cat([x, context], -1)
        return self.norm(self.out(x)), torch.cat(ends, -1).unsqueeze(1)

    def _attended(self, asking: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        energy = self.answer(torch.tanh(self.question(asking).unsqueeze(2) + keys.unsqueeze(1))).squeeze(3)
        weights = torch.softmax(energy.float().masked_fill(~mask.unsqueeze(1), -1e9), -1)
        return (weights * mask.unsqueeze(1)).to(values.dtype) @ values


def _run(cell: nn.Module, x: Tensor, hidden: Tensor, kept: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run a layer in fp32 on a CPU, where bf16 has no kernel."""
    with torch.autocast("cpu", enabled=False) if x.device.type == "cpu" else nullcontext():
        return states(cast(nn.LSTM, cell), x.float(), (hidden.float().contiguous(), kept.float().contiguous()))
