"""A head for answers that are spans of a passage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deepwright.answers import best_spans
from deepwright.errors import RecipeError
from deepwright.facts import Shape, TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule, ReaderModule


class Pointers(Head):
    """The first and the last token of an answer in a passage, which attends to the question, and the question to it.

    Bidirectional attention flow (Seo et al., arXiv 1611.01603), and an LSTM over what comes of it.
    """

    kinds: ClassVar[tuple[TargetKind, ...]] = ("answer",)
    reads: ClassVar[Shape] = "sequence"
    asks: ClassVar[bool] = True
    extras: ClassVar[tuple[str, ...]] = ("longest",)

    width: int = Field(64, ge=1)
    """The width of what is compared, and of a state of each direction of the LSTM."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """The fraction of the values that the LSTM reads dropped in training."""
    longest: int | None = Field(None, ge=1)
    """The most tokens of an answer; by default as many as the longest of the training rows has."""

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Refuse to be built without what is asked.

        Raises:
            RecipeError: The head does not fit the output, or a loss is declared (E108).
        """
        from deepwright.blocks.heads import expect_no_loss

        expect_no_loss(self, facts, loss)
        raise RecipeError("E108", "the head reads a passage and a question", where=f"outputs.{facts.name}.head")

    def build_reader(self, facts: TargetFacts, width: int, asked: int) -> ReaderModule:
        """Build the module; raw holds two scores for each token of the passage."""
        from deepwright.blocks.answering import PointersHead

        return PointersHead(width, asked, self.width, self.dropout, longest=self.longest or max(1, facts.longest))

    def search(self, outputs: NDArray[Any], extras: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        """Return the first and the last token of the likeliest span, (B, 2), -1 without tokens.

        Args:
            outputs: (B, T, 2) log p of each token to be the first, and the last; NaN behind a row's end.
            extras: ``longest``, the most tokens of an answer.
        """
        return best_spans(outputs, (~np.isnan(outputs[..., 0])).sum(1), int(extras["longest"]))

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(width=4)
