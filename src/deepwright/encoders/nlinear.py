"""The encoder ``nlinear``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.blocks.shapes import expect
from deepwright.facts import Facts, Normalization, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class NLinear(Encoder):
    """A window without its last value, as it is: one linear layer foretells it (Zeng et al. 2022, arXiv 2205.13504)."""

    accepts: ClassVar[tuple[Wire, ...]] = ("window",)
    normalized_by: ClassVar[Normalization] = "last"

    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of the window's values dropped in training."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module for the window of ``facts``.

        Raises:
            RecipeError: The input is no window (E108).
        """
        from deepwright.blocks.windows import Plain

        window = expect(self.type_name(), facts, facts.window, "window")
        return Plain(window.length, window.channels, self.dropout)
