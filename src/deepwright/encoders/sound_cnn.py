"""The encoder ``sound_cnn``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from deepwright.blocks.sounding import SoundEncoder
from deepwright.facts import Facts

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class SoundCNN(SoundEncoder):
    """Convolutions over the spectrogram, and the maximum over time; the usual choice for sounds."""

    width: int = Field(128, ge=1)
    """The width of a frame's vector behind the convolutions."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the sound of ``facts``.

        Raises:
            RecipeError: The input is not a sound (E108).
        """
        from deepwright.blocks.sequences import SequencePipeline, SequencePool
        from deepwright.blocks.soundmaps import FrameLayer

        entrance = self.maps(facts)
        body = FrameLayer(entrance.width, self.width)
        return SequencePipeline(entrance, body, SequencePool(self.pool, self.width), self.width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(channels=(4, 4), width=6)
