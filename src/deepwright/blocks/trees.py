"""Networks over trees of tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import EncoderModule
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.sequences import TokenInput


class TreeEncoder(EncoderModule):
    """The binary Tree-LSTM (Tai et al. 2015, arXiv 1503.00075, equations 9 to 14), level by level; its vector is the root's state.

    A token's state is ``h = o ∘ tanh(c)``, ``c = i ∘ u``, with i, o, u from its vector; that of a node is
    ``c = i ∘ u + f_l ∘ c_l + f_r ∘ c_r`` with i, o, u and the f from the states of both children.

    Args:
        entrance: From the arrays of the wire to vectors of tokens.
        width: The width of a state.
        levels: The height of the highest tree.
        state_dropout: The fraction of u dropped in training.
        dropout: The fraction of the vector's values dropped in training.
    """

    def __init__(self, entrance: TokenInput, width: int, levels: int, state_dropout: float = 0.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.entrance = entrance
        self.leaf = nn.Linear(entrance.width, 3 * width)
        self.node = nn.Linear(2 * width, 5 * width)
        with torch.no_grad():
            self.node.bias[3 * width :].fill_(1.0)  # what children remember is kept at first
        self.state_dropout, self.dropout = Dropout(state_dropout), Dropout(dropout)
        self.levels = levels
        self.width = width

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch of ``tokens`` (B, T) and ``tree`` (B, M, 3)."""
        x, mask = self.entrance(inputs)
        left, right, height = inputs["tree"].long().unbind(2)
        places, merges = x.shape[1], height.shape[1]
        i, o, u = self.leaf(x).chunk(3, 2)
        memory = torch.sigmoid(i) * self.state_dropout(torch.tanh(u)) * mask.unsqueeze(2)
        leaves = torch.cat([torch.sigmoid(o) * torch.tanh(memory), memory], 2)
        # Node 0 is nothing; tokens are 1 to T, merges T + 1 to T + M; behind them is where slots without a merge write.
        nothing = torch.zeros_like(leaves[:, :1])
        nodes = torch.cat([nothing, leaves, nothing.expand(-1, merges + 1, -1)], 1)
        left, right = (torch.where(each > 0, each.clamp(max=places), (places - each) * (each < 0)) for each in (left, right))
        for level in range(1, self._height(height) + 1):
            # A node of this height has so many tokens below it, and shares none with others.
            slots = torch.arange(places // (level + 1) + 1, device=x.device)
            first, count = ((each).sum(1, keepdim=True) for each in ((height < level) & (height > 0), height == level))
            index = (first + slots).clamp(max=merges - 1)
            children = torch.cat([self._take(nodes, each.gather(1, index)) for each in (left, right)], 2)
            target = torch.where(slots < count, places + 1 + index, places + 1 + merges)
            nodes = nodes.scatter(1, target.unsqueeze(2).expand(-1, -1, 2 * self.width), self._join(children))
        count = (height > 0).sum(1, keepdim=True)
        root = torch.where(count > 0, places + count, mask[:, :1].long())
        vector: Tensor = self.dropout(self._take(nodes, root).squeeze(1)[:, : self.width])
        return vector

    def _height(self, height: Tensor) -> int:
        """Return the levels to compute: all that there may be in a graph, which takes any tree."""
        return self.levels if torch.compiler.is_compiling() else min(self.levels, int(height.max()))

    @staticmethod
    def _take(nodes: Tensor, index: Tensor) -> Tensor:
        """Return the states and memories (B, K, 2W) of the nodes (B, K)."""
        return nodes.gather(1, index.unsqueeze(2).expand(-1, -1, nodes.shape[2]))

    def _join(self, children: Tensor) -> Tensor:
        """Return the states and memories (B, K, 2W) of nodes whose children have (B, K, 4W)."""
        h_left, c_left, h_right, c_right = children.chunk(4, 2)
        i, o, u, f_left, f_right = self.node(torch.cat([h_left, h_right], 2)).chunk(5, 2)
        added = torch.sigmoid(i) * self.state_dropout(torch.tanh(u))
        memory = added + torch.sigmoid(f_left) * c_left + torch.sigmoid(f_right) * c_right
        return torch.cat([torch.sigmoid(o) * torch.tanh(memory), memory], 2)
