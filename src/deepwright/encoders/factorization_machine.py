"""Factorisation machines: biases and products of factors (Rendle, ICDM 2010)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class FactorizationMachine(Encoder):
    """A factorisation machine (Rendle 2010): a bias for every value, and a product of factors for every pair of columns.

    Of a user's and an item's column alone this is matrix factorisation with biases; further columns (genres, dates, …) join in the
    products. The choice where columns are identifiers of many values, each seen in few rows.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("table",)

    factors: int = Field(16, ge=1)
    """The number of factors of every value."""
    dropout: float = Field(0.4, ge=0, lt=1)
    """The fraction of the categories' factors dropped in training, which is what keeps them from learning rows by heart."""
    unseen_dropout: float = Field(0.02, ge=0, lt=1)
    """The fraction of category ids that training replaces by "unseen", so that new users and items have a learnt meaning."""
    hidden: list[PositiveInt] = Field([])
    """The widths of a perceptron on all columns beside the products (DeepFM, arXiv 1703.04247); none by default."""
    hidden_dropout: float = Field(0.2, ge=0, lt=1)
    """The fraction of each of its layers' values dropped in training."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module; its vector is the products, the bias, and the perceptron's last layer."""
        from deepwright.blocks.factors import FactorizationMachineEncoder

        return FactorizationMachineEncoder(
            facts.numbers,
            facts.categories,
            factors=self.factors,
            dropout=self.dropout,
            unseen_dropout=self.unseen_dropout,
            hidden=self.hidden,
            hidden_dropout=self.hidden_dropout,
        )

    @classmethod
    def example(cls) -> FactorizationMachine:
        """Return a tiny machine."""
        return cls(factors=4, hidden=[8])
