"""Networks on single-valued columns: the modules of the encoders ``mlp``, ``tabm`` and ``ft_transformer``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.attention import TransformerBlock
from deepwright.blocks.categories import CategoryEmbeddings, CategoryViews
from deepwright.blocks.contract import EncoderModule
from deepwright.blocks.dense import DenseBlock, dense_stack
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.initialization import uniform_
from deepwright.blocks.members import BatchEnsembleLinear, MemberScale
from deepwright.blocks.normalization import NormalizationName
from deepwright.blocks.numbers import NumberViews, PeriodicEmbeddings, PiecewiseLinearEmbeddings
from deepwright.facts import CategoryFacts, NumberFacts

NumberEmbedding = Literal["none", "linear", "piecewise", "periodic"]


def number_embeddings(
    kind: NumberEmbedding, numbers: Sequence[NumberFacts], width: int, frequencies: int, sigma: float
) -> PiecewiseLinearEmbeddings | PeriodicEmbeddings | None:
    """Build the embeddings (B, N) → (B, N, width), or nothing for ``none``."""
    if kind == "none":
        return None
    if kind == "periodic":
        return PeriodicEmbeddings(numbers, width, frequencies, sigma)
    return PiecewiseLinearEmbeddings(numbers, width, bend=kind == "piecewise")


class TableVector(nn.Module):
    """All columns of a row side by side: ``{"numbers": (B, N), "categories": (B, C)}`` → (B, width).

    Args:
        numbers: The number columns.
        categories: The category columns.
        embedding: How numbers are embedded; ``none`` takes each column's own view.
        embedding_width: The width of a number's embedding.
        frequencies: The frequencies of periodic embeddings.
        sigma: The spread of these frequencies at the start.
        category_width: The width of a category's embedding.
        one_hot: Categories of at most so many values enter one-hot.
        unseen_dropout: The fraction of category ids that training replaces by "unseen".

    Attributes:
        width: The width of the vector.
        sections: The widths of its columns.
    """

    def __init__(
        self,
        numbers: Sequence[NumberFacts],
        categories: Sequence[CategoryFacts],
        embedding: NumberEmbedding = "none",
        embedding_width: int = 16,
        frequencies: int = 24,
        sigma: float = 0.1,
        category_width: int = 16,
        one_hot: int = 0,
        unseen_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sections: list[int] = []
        self.numbers: nn.Module | None = None
        self.categories: nn.Module | None = None
        if numbers:
            views = NumberViews(numbers) if embedding == "none" else None
            self.numbers = views or number_embeddings(embedding, numbers, embedding_width, frequencies, sigma)
            self.sections += views.sections if views else [embedding_width] * len(numbers)
        if categories:
            kinds = CategoryViews(categories, category_width, one_hot, unseen_dropout)
            self.categories = kinds
            self.sections += kinds.sections
        self.width = sum(self.sections)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Join the columns."""
        vectors = []
        if self.numbers is not None:
            vectors.append(self.numbers(inputs["numbers"]).flatten(1))
        if self.categories is not None:
            vectors.append(self.categories(inputs["categories"]))
        return torch.cat(vectors, 1) if len(vectors) > 1 else vectors[0]


class MLPEncoder(EncoderModule):
    """A multi-layer perceptron on the vector of all columns: → (B, width).

    Args:
        columns: What makes the vector.
        hidden: The widths of the layers.
        act: The activation function.
        norm: The normalisation after each linear layer.
        dropout: Dropout after each activation.
        residual: Whether layers between equal widths add their input.
    """

    def __init__(
        self,
        columns: TableVector,
        hidden: Sequence[int],
        act: ActivationName = "relu",
        norm: NormalizationName = "none",
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.columns = columns
        self.layers = dense_stack(columns.width, hidden, act, norm, dropout, residual)
        self.width = hidden[-1] if hidden else columns.width

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        encoded: Tensor = self.layers(self.columns(inputs))
        return encoded


class _MemberBlock(nn.Module):
    """A shared dense block with scaling vectors of each member: (B, K, inputs) → (B, K, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = BatchEnsembleLinear(members, inputs, outputs)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map each member."""
        mapped: Tensor = self.dropout(torch.relu_(self.linear(x)))
        return mapped


class TabMEncoder(EncoderModule):
    """TabM (arXiv 2410.24210): K multi-layer perceptrons that share their weights, trained side by side: → (B, K, width).

    Every member sees the same columns scaled by a vector of its own, which starts random and makes the members differ. The layers
    after it run over (B·K) rows at once.

    Args:
        columns: What makes the vector.
        members: K.
        width: The width of every layer.
        depth: The number of layers.
        dropout: Dropout after each activation.
        adapters: ``first``: scaling vectors at the input only (TabM-mini); ``all``: at every layer (TabM).
        start: How the first scaling vectors start.
    """

    def __init__(
        self,
        columns: TableVector,
        members: int = 16,
        width: int = 256,
        depth: int = 2,
        dropout: float = 0.1,
        adapters: Literal["first", "all"] = "first",
        start: Literal["signs", "normal"] = "normal",
    ) -> None:
        super().__init__()
        self.members = members
        self.width = width
        self.columns = columns
        self.scale = MemberScale(members, columns.width, start, columns.sections)
        widths = [columns.width, *[width] * depth]
        self.layers = nn.Sequential(
            *(
                DenseBlock(a, b, dropout=dropout) if adapters == "first" else _MemberBlock(members, a, b, dropout)
                for a, b in pairwise(widths)
            )
        )

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        encoded: Tensor = self.layers(self.scale(self.columns(inputs)))
        return encoded


class FTTransformerEncoder(EncoderModule):
    """FT-Transformer (arXiv 2106.11959): a token for each column, transformer blocks, the CLS token read out: → (B, width).

    Args:
        numbers: The number columns.
        categories: The category columns.
        embedding: How a number becomes a token; ``linear`` is the paper's tokenizer.
        frequencies: The frequencies of periodic embeddings.
        sigma: The spread of these frequencies at the start.
        width: The width of a token, a multiple of ``heads``.
        depth: The number of blocks.
        heads: The attention heads of a block.
        hidden: The inner width of the feed-forward layers.
        dropout: Dropout inside the feed-forward layers.
        attention_dropout: Dropout of attention weights.
        residual_dropout: Dropout of what a sublayer adds.
        unseen_dropout: The fraction of category ids that training replaces by "unseen".
    """

    def __init__(
        self,
        numbers: Sequence[NumberFacts],
        categories: Sequence[CategoryFacts],
        embedding: Literal["linear", "piecewise", "periodic"] = "piecewise",
        frequencies: int = 24,
        sigma: float = 0.1,
        width: int = 64,
        depth: int = 3,
        heads: int = 8,
        hidden: int = 128,
        dropout: float = 0.1,
        attention_dropout: float = 0.2,
        residual_dropout: float = 0.0,
        unseen_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width = width
        self.cls = nn.Parameter(uniform_(torch.empty(width), width))
        self.numbers = number_embeddings(embedding, numbers, width, frequencies, sigma) if numbers else None
        self.categories = CategoryEmbeddings(categories, width, unseen_dropout) if categories else None
        self.column = nn.Embedding(len(categories), width) if categories else None
        if self.column is not None:
            with torch.no_grad():
                uniform_(self.column.weight, width)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, hidden, dropout, attention_dropout, residual_dropout, normed=index > 0)
            for index in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        tokens = []
        if self.numbers is not None:
            tokens.append(self.numbers(inputs["numbers"]))
        if self.categories is not None and self.column is not None:
            tokens.append(self.categories(inputs["categories"]) + self.column.weight)
        x = torch.cat(tokens, 1)
        x = torch.cat([self.cls.expand(x.shape[0], 1, -1), x], 1)  # (B, 1 + N + C, width)
        for block in self.blocks[:-1]:
            x = block(x)
        x = self.blocks[-1](x, 1)
        return torch.relu(self.norm(x[:, 0]))
