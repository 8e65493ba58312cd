"""The encoder ``transformer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from deepwright.blocks.sequencing import PoolName, PositionName, SequenceEncoder
from deepwright.errors import RecipeError
from deepwright.facts import Facts

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Transformer(SequenceEncoder):
    """Layers of self-attention (Vaswani et al. 2017, arXiv 1706.03762), normalised first; needs more data than a recurrent one."""

    width: int = Field(128, ge=2)
    """The width of a place's vector; a multiple of twice ``heads``."""
    depth: int = Field(2, ge=1, le=48)
    """How many layers."""
    heads: int = Field(4, ge=1)
    """The attention heads of a layer."""
    expansion: float = Field(4.0, gt=0)
    """The inner width of the feed-forward layers, as a multiple of ``width``."""
    positions: PositionName = "rotary"
    """How places are told: by ``rotary`` angles (arXiv 2104.09864), which serve any length, by ``learned`` vectors, or not."""
    layer_dropout: float = Field(0.1, ge=0, lt=1)
    """The fraction of what each layer adds dropped in training."""
    pool: PoolName = "mean"
    """How the states become a vector: the ``last`` one, their ``mean`` or ``max``, or ``attention``, a learnt weighted mean."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the sequence of ``facts``.

        Raises:
            RecipeError: The input is not a sequence (E108), or ``width`` is not a multiple of twice ``heads`` (E106).
        """
        if self.width % (2 * self.heads):
            raise RecipeError(
                "E106",
                "the width is not a multiple of twice the heads",
                where=f"inputs.{facts.name}.encoder",
                got=f"width {self.width}, heads {self.heads}",
                fix=f"width: {-(-self.width // (2 * self.heads)) * 2 * self.heads}",
            )
        from deepwright.blocks.sequences import SequencePipeline, SequencePool
        from deepwright.blocks.transformer import TransformerBody

        entrance = self.entrance(facts)
        length = next((each.length for each in (facts.tokens, facts.series, facts.window) if each is not None), 512)
        if facts.sound is not None:
            length = facts.sound.length // facts.sound.hop + 1
        body = TransformerBody(
            entrance.width,
            self.width,
            self.depth,
            self.heads,
            max(1, round(self.width * self.expansion)),
            self.layer_dropout,
            positions=self.positions,
            length=length,
        )
        return SequencePipeline(entrance, body, SequencePool(self.pool, self.width), self.width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(width=8, depth=1, heads=2, embedding=6)
