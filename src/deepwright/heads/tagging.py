"""A head for the labels of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepwright.facts import Shape, TargetFacts, TargetKind
from deepwright.families import Head, Loss
from deepwright.tagging import viterbi

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Tagging(Head):
    """A label for each token, the best row of labels as a whole: a linear-chain conditional random field (Lafferty et al. 2001).

    Labels in IOB2 never break its rules: an I- stands behind a B- or I- of its type.
    """

    kinds: ClassVar[tuple[TargetKind, ...]] = ("labels",)
    reads: ClassVar[Shape] = "sequence"
    extras: ClassVar[tuple[str, ...]] = ("transitions", "first")

    crf: bool = True
    """Whether it is learnt which label follows which; else each token's label is learnt on its own, and only the rules of IOB2 are
    kept."""

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw holds a score for each place and label.

        Raises:
            RecipeError: The head does not fit the output, or a loss is declared (E108).
        """
        from deepwright.blocks.heads import TaggingHead, expect_no_loss

        expect_no_loss(self, facts, loss)
        return TaggingHead(facts.classes, chained=self.crf)

    def search(self, outputs: NDArray[Any], extras: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        """Return the labels of the best row, (B, T), -1 behind its end.

        Args:
            outputs: (B, T, K) scores, NaN behind a row's end.
            extras: ``transitions`` (K, K) and ``first`` (K,).
        """
        lengths = (~np.isnan(outputs[..., 0])).sum(1)
        return viterbi(np.nan_to_num(outputs), lengths, extras["transitions"], extras["first"])
