"""The encoder ``sparse_tsf``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.blocks.shapes import expect
from deepwright.facts import Facts, Normalization, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class SparseTSF(Encoder):
    """Each phase of a season from the same phase of earlier seasons, by one small layer (Lin et al. 2024, arXiv 2405.00946).

    Some hundred weights. Without a season it is ``nlinear`` with another normalisation.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("window",)
    normalized_by: ClassVar[Normalization] = "instance"

    period: int | None = Field(None, ge=1)
    """Rows of a season; by default that of the window, which its step tells."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of values dropped in training."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module for the window of ``facts``.

        Raises:
            RecipeError: The input is no window (E108).
        """
        from deepwright.blocks.windows import Phases

        window = expect(self.type_name(), facts, facts.window, "window")
        return Phases(window.length, window.channels, min(self.period or window.season, window.length), self.dropout)
