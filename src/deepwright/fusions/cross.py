"""Fusion by reading two sequences as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.blocks.sequencing import PoolName
from deepwright.errors import RecipeError
from deepwright.facts import Shape
from deepwright.families import Fusion

if TYPE_CHECKING:
    from deepwright.blocks.contract import FusionModule


class Cross(Fusion):
    """A cross encoder: the places of the first two inputs, with a separator between them, read as one sequence by self-attention.

    Every place sees those of the other input, as in BERT's pairs of sentences (arXiv 1810.04805), where ``compare`` sees two
    vectors only; it takes more time and data. Both inputs must have encoders with states, such as one ``lstm`` or ``transformer``
    that they share. Vectors of further inputs stand beside.
    """

    reads: ClassVar[Shape] = "sequence"

    width: int = Field(128, ge=2)
    """The width of a place's vector; a multiple of twice ``heads``."""
    depth: int = Field(1, ge=1, le=48)
    """How many layers of self-attention."""
    heads: int = Field(4, ge=1)
    """The attention heads of a layer."""
    expansion: float = Field(2.0, gt=0)
    """The inner width of the feed-forward layers, as a multiple of ``width``."""
    layer_dropout: float = Field(0.1, ge=0, lt=1)
    """The fraction of what each layer adds dropped in training."""
    pool: PoolName = "max"
    """How the places become a vector: the ``last`` one, their ``mean`` or ``max``, or ``attention``, a learnt weighted mean."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """The fraction of the vector's values dropped in training."""

    def build(self, widths: Sequence[int]) -> FusionModule:
        """Build the module.

        Raises:
            RecipeError: ``width`` is not a multiple of twice ``heads`` (E106), or there is only one input (E108).
        """
        if self.width % (2 * self.heads):
            raise RecipeError(
                "E106",
                "the width is not a multiple of twice the heads",
                where="fusion",
                got=f"width {self.width}, heads {self.heads}",
                fix=f"width: {-(-self.width // (2 * self.heads)) * 2 * self.heads}",
            )
        from deepwright.blocks.crossing import CrossFusion

        hidden = max(1, round(self.width * self.expansion))
        return CrossFusion(widths, self.width, self.depth, self.heads, hidden, self.layer_dropout, self.pool, self.dropout)

    @classmethod
    def example_widths(cls) -> tuple[int, int]:
        """Return two widths that differ."""
        return (4, 6)

    @classmethod
    def example(cls) -> Cross:
        """Return a narrow fusion."""
        return cls(width=8, heads=2)
