"""The encoder ``bag``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.facts import Examples, Facts, Wire
from deepwright.families import Encoder
from deepwright.words import class_ratios

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Bag(Encoder):
    """A bag of words and of runs of words (fastText, Joulin et al., arXiv 1607.01759): small, fast, and hard to beat on long texts.

    The text's ``ngrams`` say how long the runs are; 2 is usual for whole documents, 3 for characters.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens",)

    width: int = Field(16, ge=1)
    """The width of the vectors of words."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """The fraction of words and runs dropped in training."""
    naive_bayes: bool = False
    """Whether vectors start from what naive Bayes knows of the classes of the first output that has classes: how much commoner a
    word is in each of them (Wang & Manning 2012, "Baselines and Bigrams"). Otherwise, and for numbers, they start at random."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the text of ``facts``.

        Raises:
            RecipeError: The input is not a text (E108).
        """
        from deepwright.blocks.shapes import expect
        from deepwright.blocks.texts import BagEncoder

        return BagEncoder(expect("bag", facts, facts.tokens, "text"), self.width, self.dropout)

    def start(self, module: EncoderModule, where: str, examples: Examples | None = None) -> None:
        """Let the vectors start from the log-count ratios of the classes."""
        from deepwright.blocks.texts import BagEncoder

        if not self.naive_bayes or not isinstance(module, BagEncoder) or examples is None or examples.classes is None:
            return
        for name, table in module.tables().items():
            module.begin(table, class_ratios(examples.arrays[name], examples.classes, examples.count, table.size))

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(width=4)
