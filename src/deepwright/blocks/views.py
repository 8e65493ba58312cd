"""Predictions from several views of a picture: test-time augmentation, inside the exported graph."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from deepwright.blocks.contract import EncoderModule

ViewsName = Literal["mirror", "mirror_translate"]
"""``mirror``: the picture and its mirror image. ``mirror_translate``: both, at three places."""

SHIFT = 1 / 32
"""How far views are shifted both ways, as a fraction of the side: 1 pixel of 32, as in arXiv 2404.00498."""


class Views(EncoderModule):
    """The mean of an encoder's vectors over several views of each picture; in training, the encoder as it is.

    Since a linear layer follows, this is the mean of the raw predictions too. Shifted views weigh half as much as the others
    together: a quarter for each of two corners, a half for the picture in its place; each is seen with its mirror image.

    Args:
        encoder: From ``{"image": (B, H, W, C)}`` to (B, D) or (B, K, D).
        height: H.
        width: W.
        kind: Which views.
    """

    rows: Tensor
    columns: Tensor
    weights: Tensor

    def __init__(self, encoder: EncoderModule, height: int, width: int, kind: ViewsName) -> None:
        super().__init__()
        self.encoder = encoder
        self.width, self.members = encoder.width, encoder.members
        shifts, weights = ((0,), [1.0]) if kind == "mirror" else ((0, -1, 1), [0.5, 0.25, 0.25])
        rows = torch.stack([_shifted(height, shift) for shift in shifts])
        columns = torch.stack([_shifted(width, shift) for shift in shifts])
        self.register_buffer("rows", rows.repeat(2, 1), persistent=False)  # (views, H)
        self.register_buffer("columns", torch.cat([columns, columns.flip(1)]), persistent=False)  # (views, W)
        self.register_buffer("weights", torch.tensor(weights).repeat(2) / 2, persistent=False)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch, every view of it at once."""
        if self.training:
            vector: Tensor = self.encoder(inputs)
            return vector
        pictures = inputs["image"]
        places = zip(self.rows, self.columns, strict=True)
        views = [pictures.index_select(1, rows).index_select(2, columns) for rows, columns in places]
        vectors = self.encoder({**inputs, "image": torch.cat(views)}).unflatten(0, (len(views), -1))
        mean: Tensor = torch.tensordot(self.weights.to(vectors.dtype), vectors, 1)
        return mean


def _shifted(size: int, direction: int) -> Tensor:
    """Return the places that a side moved by :data:`SHIFT` shows, the picture mirrored at its edge."""
    moved = torch.arange(size) + direction * max(1, round(size * SHIFT))
    period = max(1, 2 * (size - 1))
    moved = moved.remainder(period)
    return torch.minimum(moved, period - moved)
