"""Networks for texts that are neither recurrent nor attend: bags of tokens, and windows over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.contract import EncoderModule
from deepwright.facts import TokensFacts


class BagEncoder(EncoderModule):
    """The weighted sum of the vectors of a text's tokens and of its runs of tokens, over the norm of the weights.

    The weights begin as inverse document frequencies, and are learnt; with unit vectors this is what TF-IDF does.

    Args:
        facts: The text's facts.
        width: The width of the vectors.
        dropout: The fraction of tokens dropped in training.
    """

    def __init__(self, facts: TokensFacts, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.tokens = WeightedTable(facts.size, width, facts.idf)
        self.grams = WeightedTable(facts.grams, width, facts.gram_idf) if facts.grams else None
        self.dropout = dropout
        self.width = width

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        total, square = self.tokens(self._kept(inputs["tokens"]))
        if self.grams is not None:
            more, further = self.grams(self._kept(inputs["grams"]))
            total, square = total + more, square + further
        vector: Tensor = total / square.clamp_min(1e-6).sqrt()
        return vector

    def tables(self) -> dict[str, WeightedTable]:
        """Return the tables by the array whose ids they are for."""
        return {"tokens": self.tokens} | ({} if self.grams is None else {"grams": self.grams})

    def begin(self, table: WeightedTable, ratios: NDArray[np.float32]) -> None:
        """Let the first values of a table's vectors be the ratios (size, classes), and the others small ones at random.

        More classes than values are brought to their number by a random matrix, the same for all tables.
        """
        values = torch.from_numpy(ratios)
        if values.shape[1] > self.width:
            draw = torch.Generator().manual_seed(0)
            values = values @ (torch.randn(values.shape[1], self.width, generator=draw) * values.shape[1] ** -0.5)
        with torch.no_grad():
            table.vectors.weight.mul_(0.1)
            table.vectors.weight[:, : values.shape[1]] = 0.3 * values

    def _kept(self, ids: Tensor) -> Tensor:
        """Return ids (B, T) with some of them dropped in training."""
        if not self.training or not self.dropout:
            return ids
        return ids * (torch.rand(ids.shape, device=ids.device) >= self.dropout)


class WeightedTable(nn.Module):
    """A vector and a weight for every id; padding, id 0, has none.

    Args:
        size: The number of ids.
        width: D.
        weights: Where the weights begin, (size,); 1 by default.
    """

    def __init__(self, size: int, width: int, weights: Sequence[float] = ()) -> None:
        super().__init__()
        self.size = size
        self.vectors = nn.Embedding(size, width, padding_idx=0)
        self.weights = nn.Embedding(size, 1, padding_idx=0)
        with torch.no_grad():
            self.vectors.weight.mul_(width**-0.5)  # of a length of about 1
            start = torch.tensor(weights) if weights else torch.ones(size)
            self.weights.weight.copy_(start.index_fill(0, torch.tensor([0]), 0.0)[:, None])

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum (B, D) of the vectors of ids (B, T), and the sum (B, 1) of the weights' squares."""
        weight = self.weights(ids)  # (B, T, 1)
        return (weight.transpose(1, 2) @ self.vectors(ids)).squeeze(1), weight.square().sum(1)


class WindowBody(nn.Module):
    """Convolutions over windows of several sizes, (B, T, D) → (B, T, windows × channels), ReLU, 0 behind a row's end.

    Args:
        inputs: D.
        channels: Channels of each window.
        windows: The sizes, in places.
    """

    def __init__(self, inputs: int, channels: int, windows: Sequence[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(inputs, channels, size) for size in windows)
        self.windows = tuple(windows)
        self.width = channels * len(windows)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map a sequence."""
        there = mask.unsqueeze(1)
        # What is behind the end must be zero, so that a window over the end sees the same in every batch.
        columns = x.transpose(1, 2) * there
        maps = []
        for convolution, size in zip(self.convolutions, self.windows, strict=True):
            before = (size - 1) // 2
            maps.append(convolution(F.pad(columns, (before, size - 1 - before))))
        return (F.relu(torch.cat(maps, 1)) * there).transpose(1, 2)
