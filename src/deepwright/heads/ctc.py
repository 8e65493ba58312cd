"""A head for texts that are read off the frames of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deepwright.ctc import greedy, prefix_beam
from deepwright.facts import Shape, TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class CTC(Head):
    """A text whose tokens come in the order of a sound's or a series' frames, which need not be aligned: what was said.

    Connectionist temporal classification (Graves et al. 2006). The text must be shorter than the sequence of the encoder's states.
    """

    kinds: ClassVar[tuple[TargetKind, ...]] = ("text",)
    reads: ClassVar[Shape] = "sequence"
    monitor: ClassVar[str] = "character_error_rate"

    beam: int = Field(8, ge=1, le=1000)
    """The beginnings of texts that are kept at each frame of the search; 1: the likeliest token of each frame."""

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw holds a score for each frame and token, and for the blank, id 0.

        Raises:
            RecipeError: The head does not fit the output, or a loss is declared (E108).
        """
        from deepwright.blocks.frames import FramesHead
        from deepwright.blocks.heads import expect_no_loss

        expect_no_loss(self, facts, loss)
        return FramesHead(facts.tokens.size if facts.tokens is not None else 2)

    def search(self, outputs: NDArray[Any], extras: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        """Return the ids of the likeliest text, (B, U), -1 behind its end.

        Args:
            outputs: (B, T, V) log p of each token, NaN behind a row's end.
            extras: Nothing.
        """
        del extras
        lengths = (~np.isnan(outputs[..., 0])).sum(1)
        scores = np.nan_to_num(outputs)
        return greedy(scores, lengths) if self.beam == 1 else prefix_beam(scores, lengths, self.beam)
