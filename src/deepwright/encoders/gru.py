"""The encoder ``gru``."""

from __future__ import annotations

from typing import ClassVar

from deepwright.blocks.sequencing import CellName, RecurrentEncoder


class GRU(RecurrentEncoder):
    """A recurrent network with two gates (Cho et al. 2014, arXiv 1406.1078): about as good as ``lstm``, a quarter smaller."""

    cell: ClassVar[CellName] = "gru"
