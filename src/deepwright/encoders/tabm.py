"""TabM: parallel multi-layer perceptrons that share their weights (arXiv 2410.24210)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class TabM(Encoder):
    """TabM (arXiv 2410.24210): an ensemble of perceptrons trained as one network, the usual choice for tables.

    The members share all large weights and differ by scaling vectors; the output averages their predictions.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("table",)

    k: int = Field(16, ge=2)
    """The number of members; the paper uses 32, half of them lose little and take half the time."""
    width: int = Field(192, ge=1)
    """The width of every layer."""
    depth: int = Field(2, ge=1)
    """The number of layers."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """The fraction of each layer's values dropped in training."""
    adapters: Literal["first", "all"] = "first"
    """Where members have scaling vectors: ``first``, at the input only (TabM-mini, faster), or at ``all`` layers (TabM)."""
    number_embedding: Literal["none", "linear", "piecewise", "periodic"] = "piecewise"
    """How each number becomes a vector (arXiv 2203.05556); ``none``: it enters in its column's own view."""
    embedding_width: int = Field(16, ge=1)
    """The width of a number's embedding."""
    frequencies: int = Field(24, ge=1)
    """Periodic embeddings: the frequencies of a column."""
    sigma: float = Field(0.1, gt=0)
    """Periodic embeddings: the spread of the frequencies at the start; larger sees finer structure, and overfits sooner."""
    one_hot: int = Field(32, ge=0)
    """Categories of at most so many values enter one-hot, others as embeddings."""
    category_width: int = Field(16, ge=1)
    """The width of a category's embedding."""
    unseen_dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of category ids that training replaces by "unseen", so that unseen values have a learnt meaning."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module; ``members`` is ``k``."""
        from deepwright.blocks.tabular import TableVector, TabMEncoder

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
        # Random signs of a plain value only mirror it; of an embedding they would cancel nothing (the paper's code does the same).
        start: Literal["signs", "normal"] = "signs" if self.number_embedding == "none" else "normal"
        return TabMEncoder(columns, self.k, self.width, self.depth, self.dropout, self.adapters, start)

    @classmethod
    def example(cls) -> TabM:
        """Return a tiny ensemble."""
        return cls(k=2, width=8, embedding_width=4, category_width=4, one_hot=3)
