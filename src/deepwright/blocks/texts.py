"""Networks for texts that are neither recurrent nor attend: bags of tokens, and windows over them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.contract import EncoderModule
from deepwright.families import TokensFacts


class BagEncoder(EncoderModule):
    """The sum of the vectors of a text's tokens and of its runs of tokens, over the root of their number.

    Dividing by the root of the number, as unit vectors of TF-IDF do in effect, lets long texts say more than short ones.

    Args:
        facts: The text's facts.
        width: The width of the vectors.
        dropout: The fraction of tokens dropped in training.
    """

    def __init__(self, facts: TokensFacts, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.tokens = _table(facts.size, width)
        self.grams = _table(facts.grams, width) if facts.grams else None
        self.dropout = dropout
        self.width = width

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        total, count = self._sum(self.tokens, inputs["tokens"])
        if self.grams is not None:
            more, further = self._sum(self.grams, inputs["grams"])
            total, count = total + more, count + further
        return total / count.clamp_min(1).sqrt()

    def _sum(self, table: nn.Embedding, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum (B, width) of the vectors of ids (B, T), and how many there are (B, 1)."""
        there = ids != 0
        if self.training and self.dropout:
            there = there & (torch.rand(ids.shape, device=ids.device) >= self.dropout)
            ids = ids * there
        # The vector of padding is zero.
        return table(ids).sum(1), there.sum(1, keepdim=True)


def _table(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width, padding_idx=0)
    with torch.no_grad():
        table.weight.mul_(0.1)
    return table


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
        self.width = channels * len(windows)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map a sequence."""
        there = mask.unsqueeze(1)
        # What is behind the end must be zero, so that a window over the end sees the same in every batch.
        columns = x.transpose(1, 2) * there
        maps = []
        for convolution in self.convolutions:
            size = convolution.kernel_size[0]  # type: ignore[index,union-attr]
            before = (size - 1) // 2
            maps.append(convolution(F.pad(columns, (before, size - 1 - before))))
        return (F.relu(torch.cat(maps, 1)) * there).transpose(1, 2)
