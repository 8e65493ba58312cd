"""One layer of recurrence in one direction, as an operator of its own while a network is exported (floor 3).

PyTorch would trace its cells as a loop, three times, which takes most of an export's time, or unroll them to the length of its
example. ONNX has an operator for each; :mod:`deepwright.engine.translations` says which.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def states(cell: nn.RNNBase, x: Tensor, start: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the state at every place (B, T, H), and what a search goes on from: the last state and the cell's memory, (1, B, H).

    Args:
        cell: A layer of one direction; cells other than an LSTM have no memory, and the state stands in its place.
        x: (B, T, D).
        start: The state and the memory at the beginning, (1, B, H) each; zeros by default.
    """
    lstm = isinstance(cell, nn.LSTM)
    if torch.compiler.is_exporting():
        hidden, kept = start or (x.new_zeros((1, x.shape[0], cell.hidden_size)),) * 2
        weights = (cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0)
        y, last, memory = recurrence(cell.mode, x, hidden, kept, *weights)
        return y, (last, memory)
    y, last = cell(x, start if lstm or start is None else start[0])
    return y, last if lstm else (last, last)


@torch.library.custom_op("deepwright::recurrence", mutates_args=())
def recurrence(
    mode: str, x: Tensor, hidden: Tensor, kept: Tensor, read: Tensor, again: Tensor, bias: Tensor, bias_again: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the states (B, T, H), the last one and the last memory (1, B, H).

    Args:
        mode: ``RNN_TANH``, ``GRU`` or ``LSTM``, PyTorch's names.
        x: (B, T, D).
        hidden: (1, B, H).
        kept: (1, B, H); only an LSTM has a memory.
        read: The weights of what is read (gates H, D).
        again: The weights of the state (gates H, H).
        bias: (gates H,).
        bias_again: (gates H,).
    """
    how = ([read, again, bias, bias_again], True, 1, 0.0, False, False, True)
    if mode == "LSTM":
        return torch.lstm(x, (hidden, kept), *how)
    y, last = (torch.gru if mode == "GRU" else torch.rnn_tanh)(x, hidden, *how)
    return y, last, last.clone()


@recurrence.register_fake
def _(
    mode: str, x: Tensor, hidden: Tensor, kept: Tensor, read: Tensor, again: Tensor, bias: Tensor, bias_again: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    del mode, read, again, bias, bias_again
    return x.new_empty((x.shape[0], x.shape[1], hidden.shape[2])), torch.empty_like(hidden), torch.empty_like(kept)


OPERATOR = torch.ops.deepwright.recurrence.default
"""How an exported program names it."""
