"""The head ``transformer_decoder``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from deepwright.blocks.searching import SearchingWriter
from deepwright.errors import RecipeError
from deepwright.facts import TargetFacts

if TYPE_CHECKING:
    from torch import nn

    from deepwright.blocks.contract import WriterModule


class TransformerDecoder(SearchingWriter):
    """The decoder of a Transformer (Vaswani et al. 2017, arXiv 1706.03762), normalised first, its places told by rotation.

    It reads the states of an input's encoder. Without inputs it is a language model, and continues what it is given. Its vectors of
    tokens are the weights of its output, too, and those of the input that it shares its tokens with (``same_as``), if that has the
    same ``embedding``.
    """

    depth: int = Field(3, ge=1, le=48)
    """How many layers."""
    heads: int = Field(4, ge=1)
    """The attention heads of a layer."""
    expansion: float = Field(4.0, gt=0)
    """The inner width of the feed-forward layers, as a multiple of ``width``."""

    def build_writer(self, facts: TargetFacts, width: int | None, shared: nn.Embedding | None) -> WriterModule:
        """Build the module.

        Raises:
            RecipeError: ``width`` is not a multiple of twice ``heads`` (E106).
        """
        from deepwright.blocks.writing import AttentiveWriter

        if self.width % (2 * self.heads):
            raise RecipeError(
                "E106",
                "the width is not a multiple of twice the heads",
                where=f"outputs.{facts.name}.head",
                got=f"width {self.width}, heads {self.heads}",
                fix=f"width: {-(-self.width // (2 * self.heads)) * 2 * self.heads}",
            )
        fitting = shared if shared is not None and shared.embedding_dim == self.width else None
        return AttentiveWriter(
            facts.tokens.size if facts.tokens is not None else 2,
            width,
            self.width,
            self.depth,
            self.heads,
            max(1, round(self.width * self.expansion)),
            self.dropout,
            self.label_smoothing,
            fitting,
        )

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(width=8, depth=2, heads=2, beam=2, max_length=6)
