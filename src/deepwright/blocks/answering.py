"""Where the answer to a question stands in a passage (bidirectional attention flow, Seo et al., arXiv 1611.01603)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.contract import ReaderModule
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.recurrent import Recurrent


class PointersHead(ReaderModule):
    """From the states of a passage and a question to two scores of each place of the passage: to begin the answer, to end it.

    Beside what bidirectional attention gives, the LSTM is told which tokens stand in the question (Chen et al., arXiv 1704.00051).

    Args:
        passage: The width of the passage's states.
        question: The width of the question's states.
        width: D, the width of both when they are compared, and of a state of each direction of the LSTM.
        dropout: The fraction of the values that the LSTM reads dropped in training.
        longest: The most tokens of an answer, for the search.
    """

    longest: Tensor

    def __init__(self, passage: int, question: int, width: int, dropout: float = 0.0, *, longest: int = 1) -> None:
        super().__init__()
        self.size = 2
        self.register_buffer("longest", torch.tensor(longest))
        # What is the same in both begins alike.
        self.passage = nn.Linear(passage, width)
        self.question = self.passage if question == passage else nn.Linear(question, width)
        self.own, self.asked = nn.Linear(width, 1), nn.Linear(width, 1, bias=False)
        self.both = nn.Parameter(torch.full((width,), width**-0.5))
        self.equal = nn.Parameter(torch.ones(()))
        self.body = Recurrent("lstm", 4 * width + 1, width, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.states_width = self.body.width + 4 * width

    def read(self, states: tuple[Tensor, Tensor], asked: tuple[Tensor, Tensor], same: Tensor) -> tuple[Tensor, Tensor]:
        """Return the passage's states (B, T, states_width) with the question in mind, and its mask (B, T)."""
        x, mask = self.passage(states[0]), states[1]
        question, there = self.question(asked[0]), asked[1]
        # Equation 1: how much each place of the passage has to do with each of the question, (B, T, J).
        alike = self.own(x) + self.asked(question).transpose(1, 2) + (x * self.both) @ question.transpose(1, 2)
        alike = (alike + self.equal * same).float().masked_fill(~there.unsqueeze(1), -1e4)
        found = torch.softmax(alike, 2).to(x.dtype) @ (question * there.unsqueeze(2))
        # Which places of the passage matter to any of the question.
        matter = torch.softmax(alike.amax(2).masked_fill(~mask, -1e9), 1).to(x.dtype)
        whole = (matter * mask).unsqueeze(1) @ x
        joint = torch.cat([x, found, x * found, x * whole], -1) * mask.unsqueeze(2)
        told = torch.cat([self.dropout(joint), same.amax(2, keepdim=True).to(x.dtype)], -1)
        return torch.cat([joint, self.body(told, mask)], -1), mask

    def extras(self) -> dict[str, Tensor]:
        """Return the most tokens of an answer."""
        return {"longest": self.longest}

    def loss(self, raw: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the mean cross-entropy of the first and the last token, (B,); 0 where the passage was cut before the answer.

        Args:
            raw: (B, T, 2) scores and the mask (B, T).
            target: (B, 2) the first and the last token.
        """
        values, mask = raw
        scores = values.float().masked_fill(~mask.unsqueeze(2), -1e9)
        there = (target >= 0) & (target < mask.sum(1, keepdim=True))
        each = F.cross_entropy(scores, torch.where(there, target, -1), ignore_index=-1, reduction="none")
        mean: Tensor = each.mean(1)
        return mean

    def outputs(self, raw: tuple[Tensor, Tensor]) -> Tensor:
        """Return log p (B, T, 2), NaN behind a row's end."""
        values, mask = raw
        scores = torch.log_softmax(values.float().masked_fill(~mask.unsqueeze(2), -1e9), 1)
        return scores.masked_fill(~mask.unsqueeze(2), torch.nan)
