"""Vectors of two inputs that belong together: the losses that compare the rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from deepwright.blocks.contract import HeadModule

_NEVER = -1e4
"""The likeness of what is no negative."""


class MatchingHead(HeadModule):
    """Two vectors (B, D) a row, which shall be alike, and unlike those of the other rows of the batch.

    Args:
        width: The width that both vectors are brought to; 0: they are compared as they are.
        recurring: Codes of partners, and how many training rows have each; all others have one.
        cosine: Whether vectors are brought to length 1.
        temperature: What likeness is divided by.
        both: Whether the second vectors look for the first ones, too.
        margin: Instead of the softmax: how much the right one shall exceed the hardest other.
    """

    codes: Tensor
    log_counts: Tensor

    def __init__(
        self,
        width: int = 0,
        recurring: Sequence[tuple[int, int]] = (),
        *,
        cosine: bool = True,
        temperature: float = 0.05,
        both: bool = True,
        margin: float | None = None,
    ) -> None:
        super().__init__()
        self.size = width
        self.cosine, self.temperature, self.both, self.margin = cosine, temperature, both, margin
        codes, counts = zip(*sorted(recurring), strict=True) if recurring else ((), ())
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.long), persistent=False)
        self.register_buffer("log_counts", torch.tensor(counts, dtype=torch.float).log(), persistent=False)

    def loss(self, raw: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the loss of each row, (B,); rows whose targets are equal are no negatives of each other.

        Args:
            raw: The vectors (B, D) of both inputs.
            target: (B,) codes.
        """
        first, second = self._vectors(raw)
        alike = first @ second.T
        others = target[:, None] != target
        found = self._one_way(alike, others, target)
        return (found + self._one_way(alike.T, others, None)) / 2 if self.both else found

    def _one_way(self, alike: Tensor, others: Tensor, target: Tensor | None) -> Tensor:
        """Return each row's loss (B,) of looking among the columns, whose codes are ``target``."""
        right = alike.diagonal()
        if self.margin is not None:
            hardest = alike.masked_fill(~others, _NEVER).amax(1)
            return F.relu(self.margin + hardest - right)
        scores = alike / self.temperature
        if target is not None and len(self.codes):
            scores = scores - self._log_count(target)
        # The row itself stays, whatever its target; others of its target are neither right nor wrong.
        itself = torch.eye(len(alike), dtype=torch.bool, device=alike.device)
        return torch.logsumexp(scores.masked_fill(~(others | itself), _NEVER), 1) - scores.diagonal()

    def _log_count(self, target: Tensor) -> Tensor:
        """Return the logarithm of how many training rows have each target, (B,)."""
        place = torch.searchsorted(self.codes, target).clamp_max(len(self.codes) - 1)
        return torch.where(self.codes[place] == target, self.log_counts[place], 0.0)

    def _vectors(self, raw: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        first, second = (vector.float() for vector in raw)
        if not self.cosine:
            return first, second
        # A text without a token has a vector of zeros, which is like nothing.
        return first * _inverse_length(first), second * _inverse_length(second)

    def outputs(self, raw: tuple[Tensor, Tensor]) -> Tensor:
        """Return both vectors, (B, 2, D), of length 1 if their cosine is what counts."""
        return torch.stack(self._vectors(raw), 1)


def _inverse_length(x: Tensor) -> Tensor:
    return x.square().sum(-1, keepdim=True).clamp_min(1e-12).rsqrt()
