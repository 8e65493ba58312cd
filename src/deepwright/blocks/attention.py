"""Attention over a set of vectors, (B, T, D): T tokens of width D."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.dropout import Dropout


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention, softmax(QKᵀ/√d) V (arXiv 1706.03762).

    Args:
        width: D, a multiple of ``heads``.
        heads: The number of heads.
        dropout: The fraction of attention weights dropped in training.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, queries: int | None = None) -> Tensor:
        """Let tokens attend to all tokens: (B, T, D) → (B, ``queries`` or T, D).

        Args:
            x: The tokens.
            queries: How many tokens, from the first, are wanted; all by default. The others are read only.
        """
        asked = x if queries is None else x[:, :queries]
        q = self.query(asked).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, queries, D / heads)
        k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.key_value(x).chunk(2, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        projected: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return projected


class GatedFeedForward(nn.Module):
    """Two linear layers with a gated unit between them, ReGLU (arXiv 2002.05202): (…, width) → (…, width)."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden)
        self.dropout = Dropout(dropout)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map each vector on its own."""
        value, gate = self.up(x).chunk(2, -1)
        mapped: Tensor = self.down(self.dropout(value * F.relu(gate)))
        return mapped


class TransformerBlock(nn.Module):
    """A pre-norm transformer block (arXiv 2002.04745): x + attention(norm(x)), then x + feed-forward(norm(x)).

    Args:
        width: D.
        heads: The number of attention heads.
        hidden: The inner width of the feed-forward layer.
        dropout: Dropout inside the feed-forward layer.
        attention_dropout: Dropout of attention weights.
        residual_dropout: Dropout of what each sublayer adds.
        normed: Whether the attention's input is normalised; the first block of an FT-Transformer does without (arXiv 2106.11959).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        residual_dropout: float = 0.0,
        normed: bool = True,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width) if normed else nn.Identity()
        self.attention = SelfAttention(width, heads, attention_dropout)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = GatedFeedForward(width, hidden, dropout)
        self.residual_dropout = Dropout(residual_dropout)

    def forward(self, x: Tensor, queries: int | None = None) -> Tensor:
        """Transform (B, T, D) to (B, ``queries`` or T, D); a last block may skip the tokens that nobody reads."""
        kept = x if queries is None else x[:, :queries]
        kept = kept + self.residual_dropout(self.attention(self.attention_norm(x), queries))
        fed: Tensor = kept + self.residual_dropout(self.feed(self.feed_norm(kept)))
        return fed


class QueryPooling(nn.Module):
    """A weighted mean of tokens by a learnt query (arXiv 1409.0473 with a constant query): (…, T, D) → (…, D).

    The query starts at zero, which is the plain mean.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        scores = (self.norm(x) * self.query).sum(-1, keepdim=True) / math.sqrt(x.shape[-1])  # (…, T, 1)
        return (torch.softmax(scores, -2) * x).sum(-2)
