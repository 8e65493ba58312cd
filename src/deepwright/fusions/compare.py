"""Fusion by comparing two vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from deepwright.blocks.activations import ActivationName
from deepwright.errors import RecipeError
from deepwright.families import Fusion

if TYPE_CHECKING:
    from deepwright.blocks.contract import FusionModule


class Compare(Fusion):
    """How alike the first two inputs are: their cosine, difference and product; for siamese networks (Bromley et al. 1993).

    The vectors u and v of the first two inputs, which share an encoder by ``same_as``, become their cosine, and value by value
    |u - v| and u times v (InferSent, arXiv 1705.02364); if their order matters, u and v themselves, too. Vectors of further inputs
    stand beside.
    """

    ordered: bool = False
    """Whether it matters which of the two comes first, as for entailment."""
    cosine_only: bool = False
    """Whether the cosine is all that is compared: the vectors are then embeddings for retrieval."""
    hidden: list[PositiveInt] = []
    """The widths of dense layers after the comparison; none by default."""
    activation: ActivationName = "relu"
    """Their activation function."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of their values dropped in training."""

    def build(self, widths: Sequence[int]) -> FusionModule:
        """Build the module.

        Raises:
            RecipeError: There is only one vector, or the first two differ in width (E108).
        """
        from deepwright.blocks.fusion import CompareFusion

        if len(widths) < 2 or widths[0] != widths[1]:
            raise RecipeError(
                "E108",
                "compare needs two vectors of one width",
                where="fusion",
                got=", ".join(map(str, widths)),
                expected="two inputs with one encoder",
                fix="inputs: {first: {type: text, encoder: lstm}, second: {type: text, same_as: first}}",
            )
        return CompareFusion(widths, self.hidden, self.activation, self.dropout, ordered=self.ordered, cosine_only=self.cosine_only)

    @classmethod
    def example_widths(cls) -> tuple[int, int]:
        """Return two widths that are equal."""
        return (4, 4)

    @classmethod
    def example(cls) -> Compare:
        """Return a fusion with one small layer."""
        return cls(hidden=[8])
