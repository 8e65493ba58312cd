"""What encoders of sequences declare alike. Importing this file does not import torch, so that parts can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from deepwright.families import Encoder, Facts, Shape, Wire

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule
    from deepwright.blocks.sequences import SequenceInput

PoolName = Literal["last", "mean", "max", "attention"]
"""How a sequence becomes a vector: its last state (of both directions, if there are two), mean, maximum, or a weighted mean whose
weights are learnt (additive attention)."""

CellName = Literal["rnn", "lstm", "gru"]
"""The cells of recurrent networks."""

PositionName = Literal["rotary", "learned", "none"]
"""How a place is told to attention: queries and keys turned by an angle, a vector for each place, or not at all."""


class SequenceEncoder(Encoder):
    """From a text, a series, a window, or a sound, which is read as frames of its log-mel spectrogram, to a vector."""

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens", "series", "sound", "window")
    produces: ClassVar[tuple[Shape, ...]] = ("vector", "sequence")

    embedding: int = Field(128, ge=1)
    """Texts: the width of a token's embedding."""
    embedding_dropout: float = Field(0.3, ge=0, lt=1)
    """Texts: the fraction of embeddings' values dropped in training."""
    unknown: float = Field(0.05, ge=0, lt=1)
    """Texts: the fraction of tokens that training replaces by the unknown one, so that it has a learnt meaning."""
    pool: PoolName = "max"
    """How the states become a vector: the ``last`` one, their ``mean`` or ``max``, or ``attention``, a learnt weighted mean."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """The fraction of the vector's values dropped in training."""

    def entrance(self, facts: Facts) -> SequenceInput:
        """Return what turns the arrays of the wire into vectors.

        Raises:
            RecipeError: The input is not a sequence (E108).
        """
        from deepwright.blocks.sequences import sequence_input

        return sequence_input(self.type_name(), facts, self.embedding, self.embedding_dropout, self.unknown)


class RecurrentEncoder(SequenceEncoder):
    """A recurrent network."""

    cell: ClassVar[CellName]

    width: int = Field(128, ge=1)
    """The width of a state of each direction."""
    layers: int = Field(1, ge=1, le=16)
    """How many layers, one on top of the other."""
    bidirectional: bool = True
    """Whether each layer reads from both ends."""
    layer_dropout: float = Field(0.2, ge=0, lt=1)
    """The fraction of values between layers dropped in training."""
    recurrent_dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of the recurrent weights dropped in each training step (arXiv 1708.02182)."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the sequence of ``facts``.

        Raises:
            RecipeError: The input is not a sequence (E108).
        """
        from deepwright.blocks.recurrent import Recurrent
        from deepwright.blocks.sequences import SequencePipeline, SequencePool

        entrance = self.entrance(facts)
        body = Recurrent(
            self.cell,
            entrance.width,
            self.width,
            self.layers,
            bidirectional=self.bidirectional,
            dropout=self.layer_dropout,
            recurrent_dropout=self.recurrent_dropout,
        )
        return SequencePipeline(entrance, body, SequencePool(self.pool, body.width, body.directions), body.width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network of two layers."""
        return cls(width=4, embedding=6, layers=2)
