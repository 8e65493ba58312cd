"""The encoder ``crnn``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from deepwright.blocks.sounding import SoundEncoder
from deepwright.facts import Facts

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class CRNN(SoundEncoder):
    """Convolutions over the spectrogram, and a recurrent network (GRU) over time (Çakır et al., arXiv 1702.06286)."""

    halvings: int = Field(1, ge=0, le=8)
    """How many stages, from the first on, halve the frames, too."""
    width: int = Field(64, ge=1)
    """The width of a state of each direction."""
    layers: int = Field(1, ge=1, le=16)
    """How many recurrent layers, one on top of the other."""
    bidirectional: bool = True
    """Whether each layer reads from both ends."""
    layer_dropout: float = Field(0.2, ge=0, lt=1)
    """The fraction of values between layers dropped in training."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the sound of ``facts``.

        Raises:
            RecipeError: The input is not a sound (E108).
        """
        from deepwright.blocks.recurrent import Recurrent
        from deepwright.blocks.sequences import SequencePipeline, SequencePool

        entrance = self.maps(facts)
        body = Recurrent(
            "gru", entrance.width, self.width, self.layers, bidirectional=self.bidirectional, dropout=self.layer_dropout
        )
        return SequencePipeline(entrance, body, SequencePool(self.pool, body.width, body.directions), body.width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network of two layers."""
        return cls(channels=(4, 4), width=4, layers=2)
