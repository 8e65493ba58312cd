"""An encoder of modules one after the other."""

from __future__ import annotations

from torch import Tensor, nn

from deepwright.blocks.contract import EncoderModule


class Pipeline(EncoderModule):
    """``dropout(exit(body(entrance(inputs))))``: the arrays of the wire to (B, width).

    Args:
        entrance: From the arrays of the wire to maps (B, C, H, W) or vectors (B, D).
        body: From what ``entrance`` yields to maps or vectors.
        exit_: From what ``body`` yields to (B, width), such as a global pool.
        width: The width of the vector.
        dropout: The probability that a value of the vector is dropped in training.
    """

    def __init__(self, entrance: nn.Module, body: nn.Module, exit_: nn.Module, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.entrance = entrance
        self.body = body
        self.exit = exit_
        self.dropout = nn.Dropout(dropout)
        self.width = width

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        vector: Tensor = self.dropout(self.exit(self.body(self.entrance(inputs))))
        return vector
