"""The encoder ``text_cnn``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field

from deepwright.blocks.sequencing import EmbeddingEncoder
from deepwright.facts import Facts, Wire

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class TextCNN(EmbeddingEncoder):
    """Convolutions over windows of words, and the maximum over the text (Kim 2014, arXiv 1408.5882); good for short texts."""

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens",)

    channels: int = Field(100, ge=1)
    """Channels of each window."""
    windows: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field((3, 4, 5), min_length=1)
    """The sizes of the windows, in tokens."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """The fraction of the vector's values dropped in training."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the text of ``facts``.

        Raises:
            RecipeError: The input is not a text (E108).
        """
        from deepwright.blocks.sequences import SequencePipeline, SequencePool
        from deepwright.blocks.texts import WindowBody

        entrance = self.entrance(facts)
        body = WindowBody(entrance.width, self.channels, self.windows)
        return SequencePipeline(entrance, body, SequencePool("max", body.width), body.width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(embedding=6, channels=4, windows=(2, 3))
