"""From category columns on the wire, (B, C) int32 ids (0 missing, 1 unseen or rare, 2… known), to vectors.

All columns go through one gather. The rows of ids 0 and 1 start at zero: where training never shows a missing or an unseen value,
serving one says nothing instead of something random.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from deepwright.blocks.initialization import neutral_rows_, uniform_
from deepwright.facts import CategoryFacts

UNSEEN = 1
"""The id of values that training did not see, or saw rarely."""


class UnseenDropout(nn.Module):
    """Replace ids by "unseen" at random in training, so that unseen values have a learnt meaning: (B, C) → (B, C).

    Args:
        rate: The fraction of ids that is replaced.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, ids: Tensor) -> Tensor:
        """Replace."""
        if not self.training or self.rate == 0.0:
            return ids
        return ids.masked_fill(torch.rand(ids.shape, device=ids.device) < self.rate, UNSEEN)


class CategoryEmbeddings(nn.Module):
    """An embedding of each column: (B, C) → (B, C, width).

    Args:
        categories: The columns.
        width: D.
        unseen_dropout: The rate of :class:`UnseenDropout`.
    """

    offsets: Tensor

    def __init__(self, categories: Sequence[CategoryFacts], width: int, unseen_dropout: float = 0.0) -> None:
        super().__init__()
        offsets = [0, *accumulate(c.size for c in categories)]
        self.drop = UnseenDropout(unseen_dropout)
        self.embedding = nn.Embedding(offsets[-1], width)
        with torch.no_grad():
            uniform_(self.embedding.weight, width)
        neutral_rows_(self.embedding, [start + row for start in offsets[:-1] for row in (0, UNSEEN)])
        self.register_buffer("offsets", torch.tensor(offsets[:-1], dtype=torch.int32), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Embed."""
        embedded: Tensor = self.embedding(self.drop(ids) + self.offsets)
        return embedded


class CategoryOneHot(nn.Module):
    """One channel for each known value and one for "missing", none for "unseen": (B, C) → (B, Σ(size - 1)).

    Args:
        categories: The columns.
        unseen_dropout: The rate of :class:`UnseenDropout`.

    Attributes:
        width: The number of channels.
        sections: The channels of each column.
    """

    column: Tensor
    value: Tensor

    def __init__(self, categories: Sequence[CategoryFacts], unseen_dropout: float = 0.0) -> None:
        super().__init__()
        pairs = [(i, v) for i, c in enumerate(categories) for v in range(c.size) if v != UNSEEN]
        self.drop = UnseenDropout(unseen_dropout)
        self.width = len(pairs)
        self.sections = [c.size - 1 for c in categories]
        self.register_buffer("column", torch.tensor([i for i, _ in pairs], dtype=torch.int64), persistent=False)
        self.register_buffer("value", torch.tensor([v for _, v in pairs], dtype=torch.int32), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Compare each channel's value with its column's id."""
        chosen: Tensor = self.drop(ids)[:, self.column] == self.value
        return chosen.to(torch.float32)


class CategoryViews(nn.Module):
    """Columns of few values as one-hot channels, the others as embeddings, side by side: (B, C) → (B, width).

    Args:
        categories: The columns.
        embedding: The width of an embedding.
        one_hot: The largest number of known values that goes one-hot.
        unseen_dropout: The rate of :class:`UnseenDropout`.

    Attributes:
        width: The number of channels.
        sections: The channels of each column, one-hot columns first.
    """

    few: Tensor
    many: Tensor

    def __init__(
        self, categories: Sequence[CategoryFacts], embedding: int = 16, one_hot: int = 0, unseen_dropout: float = 0.0
    ) -> None:
        super().__init__()
        few = [i for i, c in enumerate(categories) if c.size - 2 <= one_hot]
        many = [i for i, c in enumerate(categories) if c.size - 2 > one_hot]
        self.hot = CategoryOneHot([categories[i] for i in few], unseen_dropout) if few else None
        self.embeddings = CategoryEmbeddings([categories[i] for i in many], embedding, unseen_dropout) if many else None
        self.register_buffer("few", torch.tensor(few, dtype=torch.int64), persistent=False)
        self.register_buffer("many", torch.tensor(many, dtype=torch.int64), persistent=False)
        self.sections = [*(self.hot.sections if self.hot else []), *([embedding] * len(many))]
        self.width = sum(self.sections)

    def forward(self, ids: Tensor) -> Tensor:
        """See each column."""
        channels = []
        if self.hot is not None:
            channels.append(self.hot(ids[:, self.few]))
        if self.embeddings is not None:
            channels.append(self.embeddings(ids if self.hot is None else ids[:, self.many]).flatten(1))
        return torch.cat(channels, 1)
