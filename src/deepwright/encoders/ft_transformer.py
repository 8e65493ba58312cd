"""FT-Transformer: attention between columns (arXiv 2106.11959)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from deepwright.errors import RecipeError
from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class FTTransformer(Encoder):
    """FT-Transformer (arXiv 2106.11959): every column is a token, and transformer blocks let them attend to one another.

    Finds interactions that perceptrons miss, at a cost that grows with the square of the number of columns.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("table",)

    width: int = Field(64, ge=1)
    """The width of a token; a multiple of ``heads``."""
    depth: int = Field(3, ge=1)
    """The number of blocks."""
    heads: int = Field(4, ge=1)
    """The attention heads of a block."""
    expansion: float = Field(4 / 3, gt=0)
    """The inner width of the feed-forward layers, as a multiple of ``width``."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """The fraction dropped inside the feed-forward layers in training."""
    attention_dropout: float = Field(0.2, ge=0, lt=1)
    """The fraction of attention weights dropped in training."""
    residual_dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of what each sublayer adds dropped in training."""
    number_embedding: Literal["linear", "piecewise", "periodic"] = "piecewise"
    """How each number becomes a token (arXiv 2203.05556); ``linear`` is the paper's own."""
    frequencies: int = Field(24, ge=1)
    """Periodic embeddings: the frequencies of a column."""
    sigma: float = Field(0.1, gt=0)
    """Periodic embeddings: the spread of the frequencies at the start; larger sees finer structure, and overfits sooner."""
    unseen_dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of category ids that training replaces by "unseen", so that unseen values have a learnt meaning."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module.

        Raises:
            RecipeError: ``width`` is not a multiple of ``heads`` (E106).
        """
        if self.width % self.heads:
            raise RecipeError(
                "E106",
                "the width is not a multiple of the heads",
                where=f"ft_transformer of {facts.name}",
                got=f"width {self.width}, heads {self.heads}",
                fix=f"width: {-(-self.width // self.heads) * self.heads}",
            )
        from deepwright.blocks.tabular import FTTransformerEncoder

        return FTTransformerEncoder(
            facts.numbers,
            facts.categories,
            embedding=self.number_embedding,
            frequencies=self.frequencies,
            sigma=self.sigma,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            hidden=max(1, round(self.width * self.expansion)),
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            residual_dropout=self.residual_dropout,
            unseen_dropout=self.unseen_dropout,
        )

    @classmethod
    def example(cls) -> FTTransformer:
        """Return a tiny transformer."""
        return cls(width=8, heads=2, depth=2)
