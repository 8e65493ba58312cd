"""What encoders of sequences declare alike. Importing this file does not import torch, so that parts can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from deepwright.errors import RecipeError
from deepwright.facts import Examples, Facts, Shape, Wire
from deepwright.families import Encoder
from deepwright.vectors import dimension_of, read_vectors
from deepwright.words import SPECIAL

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


class EmbeddingEncoder(Encoder):
    """What begins with a vector for every token of a text; series and sounds have numbers of their own."""

    embedding: int = Field(128, ge=1)
    """Texts: the width of a token's embedding."""
    vectors: str | None = None
    """Texts: a file of word vectors that embeddings start from, as word2vec, GloVe and fastText write them as text, ``.gz`` or not;
    those of known tokens go into the bundle. Its width is that of ``embedding``."""
    frozen_vectors: bool = False
    """Texts: whether the vectors of the file stay as they are; those of other tokens learn."""
    embedding_dropout: float = Field(0.3, ge=0, lt=1)
    """Texts: the fraction of embeddings' values dropped in training."""
    unknown: float = Field(0.05, ge=0, lt=1)
    """Texts: the fraction of tokens that training replaces by the unknown one, so that it has a learnt meaning."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """The fraction of the vector's values dropped in training."""

    @model_validator(mode="after")
    def _of_vectors(self) -> Self:
        if self.frozen_vectors and self.vectors is None:
            raise ValueError("frozen_vectors freezes vectors of a file, and vectors names none")
        return self

    def settled(self, where: str) -> Self:
        """Return it with the width of the vectors of its file.

        Raises:
            RecipeError: ``embedding`` declares another width (E106).
            DataError: The file is missing (E200), damaged (E202) or malformed (E277).
        """
        if self.vectors is None:
            return self
        size = dimension_of(self.vectors, f"{where}.vectors")
        if "embedding" in self.model_fields_set and self.embedding != size:
            raise RecipeError(
                "E106",
                "the vectors of the file have another width than the embeddings",
                where=f"{where}.vectors: {self.vectors}",
                got=f"{size} numbers a word",
                expected=f"{self.embedding}, by embedding",
                fix=f"embedding: {size}, or leave it out",
            )
        return self.model_copy(update={"embedding": size})

    def start(self, module: EncoderModule, where: str, examples: Examples | None = None) -> str | None:
        """Give the embeddings the vectors of the file.

        Returns:
            How many tokens have one.

        Raises:
            DataError: The file is missing (E200), damaged (E202) or malformed (E277).
        """
        from deepwright.blocks.sequences import TokenInput

        entrance = getattr(module, "entrance", None)
        if self.vectors is None or not isinstance(entrance, TokenInput):
            return None
        found = read_vectors(self.vectors, set(entrance.vocabulary), f"{where}.vectors")
        entrance.take(found, frozen=self.frozen_vectors)
        known = len(entrance.vocabulary) - len(SPECIAL)
        return f"{where}: {self.vectors} has vectors of {len(found):,} of {known:,} known tokens ({len(found) / max(1, known):.0%})"

    def entrance(self, facts: Facts) -> SequenceInput:
        """Return what turns the arrays of the wire into vectors.

        Raises:
            RecipeError: The input is not a sequence (E108).
        """
        from deepwright.blocks.sequences import sequence_input

        return sequence_input(self.type_name(), facts, self.embedding, self.embedding_dropout, self.unknown)


class SequenceEncoder(EmbeddingEncoder):
    """From a text, a series, a window, or a sound, which is read as frames of its log-mel spectrogram, to a vector."""

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens", "series", "sound", "window")
    produces: ClassVar[tuple[Shape, ...]] = ("vector", "sequence")

    pool: PoolName = "max"
    """How the states become a vector: the ``last`` one, their ``mean`` or ``max``, or ``attention``, a learnt weighted mean."""


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
