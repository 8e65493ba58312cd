"""A linear-chain conditional random field (Lafferty et al. 2001) over the labels of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepwright.tagging import FORBIDDEN


class LinearChain(nn.Module):
    """Scores of labels that follow each other, and the likelihood of a row of labels.

    Args:
        may_follow: (K, K), whether a label (column) may stand behind another (row).
        may_begin: (K,), whether a label may stand first.
    """

    forbidden: Tensor
    forbidden_first: Tensor

    def __init__(self, may_follow: Tensor, may_begin: Tensor) -> None:
        super().__init__()
        count = len(may_begin)
        self.transitions = nn.Parameter(torch.zeros(count, count))
        self.first = nn.Parameter(torch.zeros(count))
        self.register_buffer("forbidden", (~may_follow).float() * FORBIDDEN, persistent=False)
        self.register_buffer("forbidden_first", (~may_begin).float() * FORBIDDEN, persistent=False)

    def scores(self) -> tuple[Tensor, Tensor]:
        """Return the scores of a label behind another (K, K), and at the first place (K,)."""
        return self.transitions + self.forbidden, self.first + self.forbidden_first

    def forward(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Return -log p(labels | emissions) of each row, (B,); 0 for a row without a place.

        Args:
            emissions: (B, T, K).
            labels: (B, T), any value behind a row's end; a place before it with a negative one may have any label.
            mask: (B, T), true at the places of a row, which begin at the first.
        """
        emissions = emissions.float()
        transitions, first = self.scores()
        labels = torch.where(mask, labels, 0)
        if (labels < 0).any():
            some = (labels.unsqueeze(2) == torch.arange(emissions.shape[2], device=labels.device)) | (labels < 0).unsqueeze(2)
            path = self._sum(emissions.masked_fill(~some, FORBIDDEN), mask, transitions, first)
        else:
            path = self._path(emissions, labels, mask, transitions, first)
        return (self._sum(emissions, mask, transitions, first) - path) * mask[:, 0]

    @staticmethod
    def _path(emissions: Tensor, labels: Tensor, mask: Tensor, transitions: Tensor, first: Tensor) -> Tensor:
        """Return the score of each row's labels, (B,)."""
        there = mask.to(emissions.dtype)
        own = emissions.gather(2, labels.unsqueeze(2)).squeeze(2) * there
        steps = transitions[labels[:, :-1], labels[:, 1:]] * there[:, 1:]
        return own.sum(1) + steps.sum(1) + first[labels[:, 0]] * there[:, 0]

    @staticmethod
    def _sum(emissions: Tensor, mask: Tensor, transitions: Tensor, first: Tensor) -> Tensor:
        """Return the log of the sum over all labels of each row, (B,)."""
        score = emissions[:, 0] + first  # of all that end in each label, (B, K)
        for place in range(1, emissions.shape[1]):
            further = torch.logsumexp(score.unsqueeze(2) + transitions, 1) + emissions[:, place]
            score = torch.where(mask[:, place, None], further, score)
        return torch.logsumexp(score, 1)
