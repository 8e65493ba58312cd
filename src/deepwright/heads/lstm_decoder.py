"""The head ``lstm_decoder``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from deepwright.blocks.searching import SearchingWriter
from deepwright.facts import TargetFacts

if TYPE_CHECKING:
    from torch import nn

    from deepwright.blocks.contract import WriterModule


class LSTMDecoder(SearchingWriter):
    """An LSTM that attends to what was read (Bahdanau et al. 2014, arXiv 1409.0473).

    It reads the states of an input's encoder. Without inputs it is a language model, and continues what it is given. Its vectors of
    tokens are the weights of its output, too, and those of the input that it shares its tokens with (``same_as``), if that has the
    same ``embedding``.
    """

    depth: int = Field(2, ge=1, le=16)
    """How many layers."""

    def build_writer(self, facts: TargetFacts, width: int | None, shared: nn.Embedding | None) -> WriterModule:
        """Build the module."""
        from deepwright.blocks.writing import RecurrentWriter

        fitting = shared if shared is not None and shared.embedding_dim == self.width else None
        size = facts.tokens.size if facts.tokens is not None else 2
        return RecurrentWriter(size, width, self.width, self.depth, self.dropout, self.label_smoothing, fitting)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(width=8, beam=2, max_length=6)
