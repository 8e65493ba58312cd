"""Recurrent networks over sequences with a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.cells import states
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.sequences import reversed_rows

if TYPE_CHECKING:
    from deepwright.blocks.sequencing import CellName

_CELLS: dict[CellName, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """Stacked recurrent layers, (B, T, D) → (B, T, width).

    Cells are tanh (Elman 1990), LSTM (Hochreiter & Schmidhuber 1997) or GRU (arXiv 1406.1078).

    The backward direction of a bidirectional layer reads each row's own places in reverse, so that padding does not count and the
    exported graph is right for every length.

    Args:
        cell: The kind of cell.
        inputs: D.
        hidden: The width of a direction's state.
        layers: How many layers.
        bidirectional: Whether each layer reads from both ends.
        dropout: The fraction of values between layers dropped in training.
        recurrent_dropout: The fraction of the recurrent weights dropped in each training step (arXiv 1708.02182).
    """

    def __init__(
        self,
        cell: CellName,
        inputs: int,
        hidden: int,
        layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.directions = 2 if bidirectional else 1
        self.width = self.directions * hidden
        self.recurrent_dropout = recurrent_dropout
        widths = [inputs, *[self.width] * (layers - 1)]
        self.layers = nn.ModuleList(nn.ModuleList(_cell(cell, width, hidden) for _ in range(self.directions)) for width in widths)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the state at every place."""
        for index, layer in enumerate(self.layers):
            cells = [cast(nn.RNNBase, cell) for cell in layer.children()]
            read = [self._run(cells[0], x)]
            if len(cells) == 2:
                read.append(reversed_rows(self._run(cells[1], reversed_rows(x, mask)), mask))
            x = torch.cat(read, -1) if len(read) == 2 else read[0]
            if index < len(self.layers) - 1:
                x = self.dropout(x)
        return x

    def _run(self, cell: nn.RNNBase, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and not isinstance(cell, nn.LSTM):
            with torch.autocast("cpu", enabled=False):  # of the three only LSTMs have a bf16 kernel there
                return self._states(cell, x.float())
        return self._states(cell, x).float()

    def _states(self, cell: nn.RNNBase, x: Tensor) -> Tensor:
        if self.training and self.recurrent_dropout:
            weight = F.dropout(cell.weight_hh_l0, self.recurrent_dropout)  # type: ignore[arg-type]
            dropped: Tensor = torch.func.functional_call(cell, {"weight_hh_l0": weight}, (x,))[0]
            return dropped
        return states(cell, x)[0]


def _cell(kind: CellName, inputs: int, hidden: int) -> nn.RNNBase:
    """Return a layer of one direction.

    Recurrent weights begin orthogonal (arXiv 1312.6120), forget gates open (Jozefowicz et al. 2015).
    """
    cell = _CELLS[kind](inputs, hidden, batch_first=True)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            if name.startswith("weight_ih"):
                for gate in parameter.chunk(len(parameter) // hidden):
                    nn.init.xavier_uniform_(gate)
            elif name.startswith("weight_hh"):
                for gate in parameter.chunk(len(parameter) // hidden):
                    nn.init.orthogonal_(gate)
            else:
                parameter.zero_()
        if kind == "lstm":
            cell.bias_ih_l0[hidden : 2 * hidden] = 1.0  # type: ignore[operator]
    return cell
