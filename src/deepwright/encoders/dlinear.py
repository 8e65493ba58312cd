"""The encoder ``dlinear``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.blocks.shapes import expect
from deepwright.facts import Facts, Normalization, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class DLinear(Encoder):
    """A window's moving mean and what remains of it, a linear layer for each (Zeng et al. 2022, arXiv 2205.13504)."""

    accepts: ClassVar[tuple[Wire, ...]] = ("window",)
    normalized_by: ClassVar[Normalization] = "none"

    kernel: int = Field(25, ge=1, le=10_001)
    """Rows of the moving mean; of an even number, one more."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of values dropped in training."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module for the window of ``facts``.

        Raises:
            RecipeError: The input is no window (E108).
        """
        from deepwright.blocks.windows import Decomposition

        window = expect(self.type_name(), facts, facts.window, "window")
        return Decomposition(window.length, window.channels, self.kernel // 2 * 2 + 1, self.dropout)
