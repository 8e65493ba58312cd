"""The encoder ``lstm``."""

from __future__ import annotations

from typing import ClassVar

from deepwright.blocks.sequencing import CellName, RecurrentEncoder


class LSTM(RecurrentEncoder):
    """A recurrent network with gates that keep what matters (Hochreiter & Schmidhuber 1997)."""

    cell: ClassVar[CellName] = "lstm"
