"""A multi-layer perceptron on single-valued columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.normalization import NormalizationName
from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class MLP(Encoder):
    """A multi-layer perceptron: dense layers on all columns side by side. The simple and fast baseline."""

    accepts: ClassVar[tuple[Wire, ...]] = ("table",)

    hidden: list[PositiveInt] = Field([256, 256], min_length=1)
    """The widths of the layers."""
    activation: ActivationName = "relu"
    """The activation function."""
    normalization: NormalizationName = "none"
    """The normalisation after each linear layer."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """The fraction of each layer's values dropped in training."""
    residual: bool = False
    """Whether layers between equal widths add their input."""
    number_embedding: Literal["none", "linear", "piecewise", "periodic"] = "none"
    """How each number becomes a vector (arXiv 2203.05556); ``none``: it enters in its column's own view."""
    embedding_width: int = Field(16, ge=1)
    """The width of a number's embedding."""
    frequencies: int = Field(24, ge=1)
    """Periodic embeddings: the frequencies of a column."""
    sigma: float = Field(0.1, gt=0)
    """Periodic embeddings: the spread of the frequencies at the start; larger sees finer structure, and overfits sooner."""
    category_width: int = Field(16, ge=1)
    """The width of a category's embedding."""
    one_hot: int = Field(0, ge=0)
    """Categories of at most so many values enter one-hot instead."""
    unseen_dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of category ids that training replaces by "unseen", so that unseen values have a learnt meaning."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module; ``width`` is that of the last layer."""
        from deepwright.blocks.tabular import MLPEncoder, TableVector

        columns = TableVector(
            facts.numbers,
            facts.categories,
            embedding=self.number_embedding,
            embedding_width=self.embedding_width,
            frequencies=self.frequencies,
            sigma=self.sigma,
            category_width=self.category_width,
            one_hot=self.one_hot,
            unseen_dropout=self.unseen_dropout,
        )
        return MLPEncoder(columns, self.hidden, self.activation, self.normalization, self.dropout, self.residual)

    @classmethod
    def example(cls) -> MLP:
        """Return a tiny network."""
        return cls(hidden=[8, 8], embedding_width=4, category_width=4, normalization="layer", residual=True)
