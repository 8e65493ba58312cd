"""Sequences of vectors, (B, T, D), with a mask (B, T) that is true at the places of a row and false behind its end.

What stands behind the end never counts, so that a row's result does not depend on the rows that it shares a batch with. A row may
have no place at all: its vector is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepwright.blocks.contract import SequenceEncoderModule
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.spectrogram import LogMel
from deepwright.errors import RecipeError
from deepwright.facts import Facts, SeriesFacts, SoundFacts, TokensFacts, WindowFacts

if TYPE_CHECKING:
    from deepwright.blocks.sequencing import PoolName


def places(lengths: Tensor, count: int) -> Tensor:
    """Return the mask (B, ``count``) of rows of ``lengths`` (B,)."""
    return torch.arange(count, device=lengths.device) < lengths[:, None]


def reversed_rows(x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, T, D) with the places of each row in reverse, and what is behind the end where it was."""
    place = torch.arange(x.shape[1], device=x.device)
    lengths = mask.sum(1, keepdim=True)
    index = torch.where(mask, lengths - 1 - place, place)
    return x.gather(1, index.unsqueeze(-1).expand_as(x))


class SequenceInput(nn.Module):
    """From the arrays of the wire to a sequence (B, T, width) and its mask."""

    width: int

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the sequence and its mask."""
        raise NotImplementedError


class TokenInput(SequenceInput):
    """Embeddings of tokens.

    Args:
        facts: The text's facts.
        width: The width of an embedding.
        dropout: The fraction of an embedding's values dropped in training.
        unknown: The fraction of tokens that training replaces by the unknown one, so that it has a learnt meaning.
    """

    def __init__(self, facts: TokensFacts, width: int, dropout: float = 0.0, unknown: float = 0.0) -> None:
        super().__init__()
        self.vocabulary = facts.vocabulary
        self.embedding = nn.Embedding(facts.size, width, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight.mul_(0.1)  # of a standard deviation of 0.1, as word vectors have
        self.letters = LetterWords(facts.letters) if facts.letters else None
        self.dropout = Dropout(dropout)
        self.unknown = unknown
        self.width = width + (self.letters.width if self.letters is not None else 0)

    def take(self, vectors: Mapping[str, NDArray[np.float32]], *, frozen: bool) -> None:
        """Let embeddings start from vectors of words.

        Args:
            vectors: By word, of the width of the embeddings.
            frozen: Whether they stay as they are, and other words' alone learn.
        """
        rows = [row for row, word in enumerate(self.vocabulary) if row and word in vectors]
        if not rows:
            return
        with torch.no_grad():
            self.embedding.weight[rows] = torch.from_numpy(np.stack([vectors[self.vocabulary[row]] for row in rows]))
        if frozen:
            learns = torch.ones(len(self.vocabulary), 1).index_fill(0, torch.tensor(rows), 0.0)
            self.embedding.weight.register_hook(lambda gradient: gradient * learns.to(gradient.device))  # type: ignore[no-untyped-call]

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (B, T, width) and the mask."""
        tokens = inputs["tokens"]
        mask = tokens != 0
        if self.training and self.unknown:
            tokens = tokens.masked_fill(mask & (torch.rand(tokens.shape, device=tokens.device) < self.unknown), 1)
        x = self.embedding(tokens)
        if self.letters is not None:
            x = torch.cat([x, self.letters(inputs["letters"]) * mask.unsqueeze(-1)], -1)
        return self.dropout(x), mask


class LetterWords(nn.Module):
    """A vector for each token from its characters, (B, T, 16) → (B, T, width).

    Convolutions over windows of two to five characters, and their maximum (Kim et al. 2016, arXiv 1508.06615).

    Args:
        letters: The number of ids of characters.
        channels: Channels of each window; ``width`` is that of all of them.
        embedding: The width of a character's embedding.
        windows: The sizes, in characters.
    """

    def __init__(self, letters: int, channels: int = 50, embedding: int = 32, windows: Sequence[int] = (2, 3, 4, 5)) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, embedding, padding_idx=0)
        # Padded at both ends, so that prefixes and endings have windows of their own.
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding, channels, size, padding=size - 1) for size in windows)
        self.width = channels * len(windows)

    def forward(self, letters: Tensor) -> Tensor:
        """Read the characters of each token."""
        rows, places, count = letters.shape
        embedded = self.embedding(letters.int()).view(rows * places, count, -1).transpose(1, 2)
        vectors = torch.cat([convolution(embedded).amax(2) for convolution in self.convolutions], -1)
        return vectors.view(rows, places, -1)


class SeriesInput(SequenceInput):
    """Standardised channels, 0 where missing; with a flag each for what is missing, if training saw missing values.

    Args:
        facts: The series' facts.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, facts: SeriesFacts) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(facts.mean))
        self.register_buffer("std", torch.tensor(facts.std))
        self.missing = facts.missing
        self.width = facts.channels * (2 if facts.missing else 1)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (B, T, width) and the mask."""
        series = inputs["series"]
        mask = places(inputs["lengths"], series.shape[1])
        there = ~torch.isnan(series)
        # Clamped, so that no outlier swamps a batch; NaN is no number that could be clamped.
        values = ((torch.where(there, series, self.mean) - self.mean) / self.std).clamp(-100.0, 100.0)
        values = torch.cat([values, (~there).to(values.dtype)], -1) if self.missing else values
        return values * mask.unsqueeze(-1), mask


class WindowInput(SequenceInput):
    """The rows of a window, all of which are there.

    Args:
        facts: The window's facts.
    """

    def __init__(self, facts: WindowFacts) -> None:
        super().__init__()
        self.width = facts.channels

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (B, T, width) and the mask."""
        window = inputs["window"]
        return window, torch.ones(window.shape[:2], dtype=torch.bool, device=window.device)


class SoundInput(SequenceInput):
    """The frames of a standardised log-mel spectrogram.

    Args:
        facts: The sound's facts.
    """

    def __init__(self, facts: SoundFacts) -> None:
        super().__init__()
        self.spectrogram = LogMel(facts.rate, facts.window, facts.hop, facts.mels, facts.mean, facts.std, facts.cepstra)
        self.width = facts.cepstra or facts.mels

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (B, frames, mels or cepstra) and the mask."""
        frames, lengths = self.spectrogram(inputs["sound"], inputs["lengths"])
        mask = places(lengths, frames.shape[1])
        return frames * mask.unsqueeze(-1), mask


def sequence_input(name: str, facts: Facts, width: int, dropout: float = 0.0, unknown: float = 0.0) -> SequenceInput:
    """Return what turns an input that is a sequence into vectors.

    Args:
        name: The encoder, for the message.
        facts: The input's facts.
        width: Of embeddings of tokens; numbers have their own.
        dropout: Dropout of embeddings.
        unknown: The fraction of tokens that training replaces by the unknown one.

    Raises:
        RecipeError: The input is not a sequence (E108).
    """
    if facts.tokens is not None:
        return TokenInput(facts.tokens, width, dropout, unknown)
    if facts.series is not None:
        return SeriesInput(facts.series)
    if facts.sound is not None:
        return SoundInput(facts.sound)
    if facts.window is not None:
        return WindowInput(facts.window)
    raise RecipeError(
        "E108", f"{name} needs a text, a series, a window or a sound", where=f"inputs.{facts.name}", got=f"a {facts.wire}"
    )


class SequencePool(nn.Module):
    """(B, T, D) and a mask to (B, D).

    Args:
        kind: How.
        width: D.
        directions: 2 if the second half of D was read from the end on, so that its last state stands at the first place.
    """

    def __init__(self, kind: PoolName, width: int, directions: int = 1) -> None:
        super().__init__()
        self.kind = kind
        self.directions = directions
        if kind == "attention":
            self.hidden = nn.Linear(width, width)
            self.score = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool."""
        there = mask.unsqueeze(-1)
        some = there.any(1)
        if self.kind == "mean":
            return (x * there).sum(1) / there.sum(1).clamp_min(1)
        if self.kind == "max":
            return x.masked_fill(~there, torch.finfo(x.dtype).min).amax(1).masked_fill(~some, 0.0)
        if self.kind == "attention":
            score = self.score(torch.tanh(self.hidden(x))).float().masked_fill(~there, -1e9)
            return (x * (torch.softmax(score, 1).to(x.dtype) * there)).sum(1)
        end = (there.sum(1, keepdim=True) - 1).clamp_min(0)
        last = x.gather(1, end.expand(-1, -1, x.shape[2])).squeeze(1)
        if self.directions == 2:
            half = x.shape[2] // 2
            last = torch.cat([last[:, :half], x[:, 0, half:]], -1)
        return last.masked_fill(~some, 0.0)


class SequencePipeline(SequenceEncoderModule):
    """``dropout(pool(body(entrance(inputs))))``: the arrays of the wire to (B, width).

    Args:
        entrance: From the arrays to a sequence and its mask.
        body: From a sequence and its mask to a sequence of the same places.
        pool: From a sequence and its mask to a vector.
        width: The width of the vector.
        dropout: The fraction of the vector's values dropped in training.
        states_width: D, if it differs from ``width``.
    """

    def __init__(
        self,
        entrance: SequenceInput,
        body: nn.Module,
        pool: nn.Module,
        width: int,
        dropout: float = 0.0,
        states_width: int | None = None,
    ) -> None:
        super().__init__()
        self.entrance = entrance
        self.body = body
        self.pool = pool
        self.dropout = Dropout(dropout)
        self.width = width
        self.states_width = states_width or width

    def states(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return a vector for every place, (B, T, D), and the mask."""
        x, mask = self._read(inputs)
        return self.dropout(x), mask

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        vector: Tensor = self.dropout(self.pool(*self._read(inputs)))
        return vector

    def _read(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        x, mask = self.entrance(inputs)
        return self.body(x, mask), mask
