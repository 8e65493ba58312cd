"""Transformer layers over sequences with a mask (Vaswani et al. 2017, arXiv 1706.03762), normalised first (arXiv 2002.04745)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.dropout import Dropout
from deepwright.blocks.sequencing import PositionName

SHORT = 64 * 64
"""Pairs of places up to which attention is trained faster by plain products on a CPU.

Measured there, forward and backward, 4 heads of 64: 256 rows of 16 places take 140 ms by the fused kernel and 13 ms by plain
products in fp32, 81 and 14 ms in bf16; 64 rows of 64 places 22 and 24 ms, 49 and 13 ms; beyond, the fused kernel wins in fp32.
"""


def attended(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, dropout: float = 0.0) -> Tensor:
    """Return softmax(query · key / √D) · value, (B, heads, U, D).

    Args:
        query: (B, heads, U, D).
        key: (B, heads, T, D).
        value: (B, heads, T, D).
        allowed: Which keys a query may see, bool, broadcast to (B, heads, U, T); a query sees one at least.
        dropout: The fraction of the weights that is dropped.
    """
    if query.device.type != "cpu" or not query.requires_grad or query.shape[2] * key.shape[2] > SHORT:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)
    score = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if allowed is not None:
        score = score.masked_fill(~allowed, torch.finfo(score.dtype).min)
    weights = torch.softmax(score, -1).to(value.dtype)
    return (F.dropout(weights, dropout) if dropout else weights) @ value


def rotated(x: Tensor, place: Tensor) -> Tensor:
    """Turn pairs of values by angles that grow with the place (RoFormer, arXiv 2104.09864, equation 34).

    Args:
        x: (B, heads, T, D), D even.
        place: (T,) from 0.
    """
    half = x.shape[-1] // 2
    speed = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = place.float()[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class MaskedAttention(nn.Module):
    """Multi-head attention among the places of a row, (B, T, D) → (B, T, D).

    Args:
        width: D, a multiple of ``heads``.
        heads: The heads.
        dropout: The fraction of attention weights dropped in training.
        rotary: Whether places are told by rotation.
        causal: Whether a place attends only to itself and those before it.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, *, rotary: bool = False, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.dropout, self.rotary, self.causal = heads, dropout, rotary, causal
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Let each place attend to the places of its row that ``mask`` (B, T) allows."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        place = torch.arange(x.shape[1], device=x.device)
        if self.rotary:
            q, k = rotated(q, place), rotated(k, place)
        # Every place may look at itself, so that a row without any place has no softmax over nothing.
        allowed = mask[:, None, None, :] | (place[:, None] == place)
        if self.causal:
            allowed = allowed & (place[:, None] >= place)
        mixed = attended(q, k, v, allowed, self.dropout if self.training else 0.0)
        projected: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return projected


class TransformerLayer(nn.Module):
    """``x + attention(norm(x))``, then ``x + feed_forward(norm(x))``.

    Args:
        width: D.
        heads: The heads.
        hidden: The inner width of the feed-forward layers.
        dropout: The fraction of what each half adds, and of attention weights, dropped in training.
        rotary: Whether places are told by rotation.
        causal: Whether a place attends only to itself and those before it.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, dropout: float = 0.0, *, rotary: bool = False, causal: bool = False
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MaskedAttention(width, heads, dropout, rotary=rotary, causal=causal)
        self.forward_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, T, D)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        mapped: Tensor = self.down(self.dropout(F.gelu(self.up(self.forward_norm(x)))))
        summed: Tensor = x + self.dropout(mapped)
        return summed


class TransformerBody(nn.Module):
    """Layers one after the other, between an entrance of another width and a last normalisation.

    Args:
        inputs: The width of what comes in.
        width: D.
        depth: How many layers.
        heads: The heads of each.
        hidden: The inner width of the feed-forward layers.
        dropout: Dropout of the layers and of the entrance.
        positions: How places are told.
        length: The longest row, for ``learned`` positions; places beyond it share the last one's vector.
        causal: Whether a place attends only to itself and those before it.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        dropout: float = 0.0,
        *,
        positions: PositionName = "rotary",
        length: int = 512,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.entrance = nn.Linear(inputs, width) if inputs != width else nn.Identity()
        self.places = nn.Embedding(length, width) if positions == "learned" else None
        if self.places is not None:
            nn.init.normal_(self.places.weight, std=0.02)
        rotary = positions == "rotary"
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, hidden, dropout, rotary=rotary, causal=causal) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, T, inputs) to (B, T, D)."""
        x = self.entrance(x)
        if self.places is not None:
            place = torch.arange(x.shape[1], device=x.device).clamp_max(self.places.num_embeddings - 1)
            x = x + self.places(place)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, mask)
        normed: Tensor = self.norm(x)
        return normed
