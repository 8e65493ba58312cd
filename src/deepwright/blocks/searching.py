"""What heads that write texts declare alike. Importing this file does not import torch, so that parts can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deepwright.decoding import Sampling, beam_search, sampled
from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss, Step, Writer

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class SearchingWriter(Writer):
    """A head that writes the most likely text that a beam search finds, or one that is drawn."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("text",)
    monitor: ClassVar[str] = "perplexity"

    width: int = Field(256, ge=2)
    """The width of a token's vector."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """The fraction of what each layer gives dropped in training."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """The share of the target that is spread over all tokens in training (arXiv 1512.00567)."""
    beam: int = Field(4, ge=1, le=64)
    """The texts that are kept at each step of the search; 1: each time the likeliest token (greedy)."""
    length_penalty: float = Field(0.6, ge=0)
    """The log-likelihood of a text is divided by ((5 + tokens) / 6) to this power, so that long ones have a chance (arXiv
    1609.08144)."""
    sample: bool = False
    """Whether texts are drawn by their probabilities, instead of sought."""
    temperature: float = Field(1.0, gt=0)
    """Drawing: what log-probabilities are divided by; below 1 likely tokens become likelier."""
    top_k: int = Field(0, ge=0)
    """Drawing: only so many of the likeliest tokens can be drawn; 0: all."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Drawing: only the likeliest tokens that together have this probability can be drawn (arXiv 1904.09751)."""
    seed: int = Field(0, ge=0)
    """Drawing: the seed; a row's text depends on it and on the row's number."""
    max_length: int = Field(128, ge=1, le=100_000)
    """The most tokens that are written, a prompt's not counted."""

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module for texts that go on from their own beginning.

        Raises:
            RecipeError: The head does not fit the output, or a loss is declared (E108).
        """
        from deepwright.blocks.heads import expect_no_loss

        expect_no_loss(self, facts, loss)
        return self.build_writer(facts, None, None)

    def write(self, step: Step, memory: NDArray[Any], prompt: NDArray[Any] | None, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the texts that are found, see :meth:`deepwright.families.Writer.write`."""
        if self.sample:
            how = Sampling(self.temperature, self.top_k, self.top_p, self.seed)
            return sampled(step, memory, prompt, rows, self.max_length, how)
        return beam_search(step, memory, prompt, self.max_length, self.beam, self.length_penalty)
