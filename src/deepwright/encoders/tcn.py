"""The encoder ``tcn``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from deepwright.blocks.sequencing import PoolName, SequenceEncoder
from deepwright.facts import Facts

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class TCN(SequenceEncoder):
    """A temporal convolutional network: causal convolutions, each block twice as dilated (Bai et al. 2018, arXiv 1803.01271)."""

    channels: int = Field(64, ge=1)
    """Channels of each convolution."""
    depth: int = Field(6, ge=1, le=20)
    """How many blocks: a place sees ``2 (kernel - 1) (2**depth - 1)`` places before it, 252 by default."""
    kernel: int = Field(3, ge=2, le=64)
    """Places of a convolution."""
    layer_dropout: float = Field(0.1, ge=0, lt=1)
    """The fraction of values behind each convolution dropped in training."""
    pool: PoolName = "mean"
    """How the states become a vector: the ``last`` one, their ``mean`` or ``max``, or ``attention``, a learnt weighted mean."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the sequence of ``facts``.

        Raises:
            RecipeError: The input is not a sequence (E108).
        """
        from deepwright.blocks.sequences import SequencePipeline, SequencePool
        from deepwright.blocks.series import TemporalBody

        entrance = self.entrance(facts)
        body = TemporalBody(entrance.width, self.channels, self.depth, self.kernel, self.layer_dropout)
        return SequencePipeline(entrance, body, SequencePool(self.pool, body.width), body.width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network of two blocks."""
        return cls(channels=4, depth=2, embedding=6)
