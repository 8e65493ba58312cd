"""The encoder ``rnn``."""

from __future__ import annotations

from typing import ClassVar

from deepwright.blocks.sequencing import CellName, PoolName, RecurrentEncoder


class RNN(RecurrentEncoder):
    """A plain recurrent network (Elman 1990): the simplest, which forgets what was long ago."""

    cell: ClassVar[CellName] = "rnn"

    bidirectional: bool = False
    """Whether each layer reads from both ends."""
    pool: PoolName = "last"
    """How the states become a vector: the ``last`` one, their ``mean`` or ``max``, or ``attention``, a learnt weighted mean."""
