"""Networks whose core is products of vectors: the modules of the encoders ``factorization_machine`` and ``two_towers``.

Both end in ``[products (D), bias (1), …]``: the output layer, linear as everywhere, then weighs products and biases, so that a
rating is an offset, plus biases, plus a product of factors.

Shape letters: B rows, C category columns, S channels of number columns, D factors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepwright.blocks.categories import CategoryEmbeddings
from deepwright.blocks.contract import EncoderModule
from deepwright.blocks.dense import dense_stack
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.numbers import NumberViews
from deepwright.blocks.tabular import TableVector
from deepwright.facts import CategoryFacts, NumberFacts

START = 0.1
"""The standard deviation of factors at the start: products begin small, so that the biases are learnt first."""
REACH = 5.0
"""Channels of numbers count at most this much, so that the product of two outliers does not swamp its row."""


class FactorizationMachineEncoder(EncoderModule):
    """A factorisation machine (Rendle 2010): all pairs of columns by products of their factors: → (B, D + 1 + hidden[-1]).

    Every value of a category, and every channel of a number times its value, has a vector of D factors and a bias. The sum over
    all pairs of ``v_i ∘ v_j`` is ``((Σ v)² - Σ v²) / 2`` (his lemma 3.1), kept by factor, for the output layer to weigh.

    Args:
        numbers: The number columns.
        categories: The category columns.
        factors: D.
        dropout: Dropout of the factors of categories, which shrinks those that few rows back up.
        unseen_dropout: The fraction of category ids that training replaces by "unseen".
        hidden: The widths of a perceptron beside the products (DeepFM, arXiv 1703.04247); empty: none.
        hidden_dropout: Dropout after each of its layers.
    """

    def __init__(
        self,
        numbers: Sequence[NumberFacts],
        categories: Sequence[CategoryFacts],
        factors: int = 16,
        dropout: float = 0.0,
        unseen_dropout: float = 0.0,
        hidden: Sequence[int] = (),
        hidden_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.factors = factors
        # The last channel of a vector is its bias.
        self.categories = CategoryEmbeddings(categories, factors + 1, unseen_dropout) if categories else None
        self.numbers = NumberViews(numbers) if numbers else None
        channels = self.numbers.width if self.numbers is not None else 0
        self.slopes = nn.Parameter(START / 2 * torch.randn(channels, factors + 1)) if numbers else None
        with torch.no_grad():
            if self.categories is not None:
                weight = self.categories.embedding.weight
                weight *= START * (3 * weight.shape[1]) ** 0.5  # it comes uniform in ±1/√width
                weight[:, -1] = 0.0
            if self.slopes is not None:
                self.slopes[:, -1] = 0.0
        self.dropout = Dropout(dropout)
        self.deep = dense_stack(len(categories) * factors + channels, hidden, "relu", "none", hidden_dropout) if hidden else None
        self.width = factors + 1 + (hidden[-1] if hidden else 0)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        total, squares, bias = [], [], []
        columns = []
        if self.categories is not None:
            vectors = self.categories(inputs["categories"])  # (B, C, D + 1)
            factors = self.dropout(vectors[..., :-1])
            total.append(factors.sum(1))
            squares.append(factors.square().sum(1))
            bias.append(vectors[..., -1].sum(1, keepdim=True))
            columns.append(factors.flatten(1))
        if self.numbers is not None and self.slopes is not None:
            x = self.numbers(inputs["numbers"]).clamp(-REACH, REACH)  # (B, S)
            total.append(x @ self.slopes[:, :-1])
            squares.append(x.square() @ self.slopes[:, :-1].square())
            bias.append(x @ self.slopes[:, -1:])
            columns.append(x)
        products = 0.5 * (_sum(total).square() - _sum(squares))
        parts = [products, _sum(bias)]
        if self.deep is not None:
            parts.append(self.deep(torch.cat(columns, 1)))
        return torch.cat(parts, 1)


class Tower(nn.Module):
    """The columns of one side to factors and a bias: → (B, D + 1).

    Args:
        numbers: All number columns of the row.
        categories: All category columns of the row.
        mine: The places of this side's columns among them.
        factors: D.
        category_width: The width of a category's embedding.
        dropout: Dropout of what the columns become.
        unseen_dropout: The fraction of category ids that training replaces by "unseen".
        hidden: The widths of the layers between.
    """

    number_places: Tensor
    category_places: Tensor

    def __init__(
        self,
        numbers: Sequence[NumberFacts],
        categories: Sequence[CategoryFacts],
        mine: tuple[Sequence[int], Sequence[int]],
        factors: int,
        category_width: int,
        dropout: float,
        unseen_dropout: float,
        hidden: Sequence[int],
    ) -> None:
        super().__init__()
        self.columns = TableVector(
            [numbers[i] for i in mine[0]],
            [categories[i] for i in mine[1]],
            category_width=category_width,
            unseen_dropout=unseen_dropout,
        )
        for name, places in zip(("number_places", "category_places"), mine, strict=True):
            self.register_buffer(name, torch.tensor(list(places), dtype=torch.int64), persistent=False)
        self.dropout = Dropout(dropout)
        self.layers = dense_stack(self.columns.width, hidden, "relu", "none", dropout)
        self.top = nn.Linear(hidden[-1] if hidden else self.columns.width, factors + 1)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode this side of a batch."""
        own = {}
        if len(self.number_places):
            own["numbers"] = inputs["numbers"][:, self.number_places]
        if len(self.category_places):
            own["categories"] = inputs["categories"][:, self.category_places]
        encoded: Tensor = self.top(self.layers(self.dropout(self.columns(own))))
        return encoded


class TwoTowersEncoder(EncoderModule):
    """Two networks, one for each side of a pair, that meet in a product: → (B, D + 1).

    Args:
        user: The user's tower.
        item: The item's tower.
        factors: D.
    """

    def __init__(self, user: Tower, item: Tower, factors: int) -> None:
        super().__init__()
        self.user = user
        self.item = item
        self.width = factors + 1

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        user, item = self.user(inputs), self.item(inputs)
        return torch.cat([user[:, :-1] * item[:, :-1], user[:, -1:] + item[:, -1:]], 1)


def _sum(terms: Sequence[Tensor]) -> Tensor:
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]
