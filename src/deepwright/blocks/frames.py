"""A text from the frames of a sequence (connectionist temporal classification, Graves et al. 2006)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deepwright.blocks.contract import HeadModule
from deepwright.ctc import BLANK


class FramesHead(HeadModule):
    """A score of each token, and of the blank, for each frame.

    Args:
        size: V, the ids of tokens, the blank's 0 included.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def loss(self, raw: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Return -log p of each row's text over its length, (B,); infinite where the sequence is too short for the text.

        Args:
            raw: (B, T, V) scores and the mask (B, T).
            target: (B, U) ids, -1 behind the end.
        """
        values, mask = raw
        there = target >= 0
        count = there.sum(1)
        scores = torch.log_softmax(values.float(), -1).transpose(0, 1)
        ids = torch.where(there, target, BLANK + 1)
        frames = mask.sum(1)
        each: Tensor = F.ctc_loss(scores, ids, frames, count, blank=BLANK, reduction="none")
        return each / count.clamp_min(1)

    def lacking(self, raw: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Return how many frames each row has too few for its text, (B,): a token needs one, and a blank parts equal ones."""
        _, mask = raw
        there = target >= 0
        twice = (target[:, 1:] == target[:, :-1]) & there[:, 1:]
        return (there.sum(1) + twice.sum(1) - mask.sum(1)).clamp_min(0)

    def outputs(self, raw: tuple[Tensor, Tensor]) -> Tensor:
        """Return log p (B, T, V), NaN behind a row's end."""
        values, mask = raw
        return torch.log_softmax(values.float(), -1).masked_fill(~mask.unsqueeze(2), torch.nan)
