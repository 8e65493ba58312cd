"""The encoder ``tree_lstm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.blocks.sequencing import EmbeddingEncoder
from deepwright.errors import RecipeError
from deepwright.facts import Facts, Wire

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class TreeLSTM(EmbeddingEncoder):
    """A recursive network: the states of two parts of a text become that of the whole (binary Tree-LSTM, arXiv 1503.00075).

    The text says which parts belong together: ``trees: given`` reads them from brackets, ``trees: balanced`` halves texts again and
    again. All nodes of one height are computed at once.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens",)

    width: int = Field(128, ge=1)
    """The width of a node's state."""
    state_dropout: float = Field(0.2, ge=0, lt=1)
    """The fraction of what a node adds to its memory dropped in training (arXiv 1603.05118)."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for the text of ``facts``.

        Raises:
            RecipeError: The input is not a text, or has no trees (E108).
        """
        from deepwright.blocks.sequences import TokenInput
        from deepwright.blocks.shapes import expect
        from deepwright.blocks.trees import TreeEncoder

        tokens = expect("tree_lstm", facts, facts.tokens, "text")
        if not tokens.tree:
            raise RecipeError(
                "E108",
                "tree_lstm needs the trees of the texts",
                where=f"inputs.{facts.name}",
                fix=f"inputs: {{{facts.name}: {{type: text, trees: balanced, encoder: tree_lstm}}}}",
            )
        entrance = TokenInput(tokens, self.embedding, self.embedding_dropout, self.unknown)
        return TreeEncoder(entrance, self.width, tokens.tree, self.state_dropout, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(width=4, embedding=6)
