"""The encoder ``bottleneck``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.blocks.shapes import expect
from deepwright.facts import Facts, Normalization, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Bottleneck(Encoder):
    """A window through layers that end narrow, so that only what is usual passes: an autoencoder with a linear decoder.

    For the output ``forecast`` with ``past: true``, which rebuilds the window itself.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("window",)
    normalized_by: ClassVar[Normalization] = "none"

    hidden: tuple[int, ...] = (64,)
    """The widths of the layers before the last."""
    width: int = Field(8, ge=1)
    """The width of the last, which all that is told of the window must pass."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The fraction of values behind each layer but the last dropped in training."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module for the window of ``facts``.

        Raises:
            RecipeError: The input is no window (E108).
        """
        from deepwright.blocks.windows import Narrow

        window = expect(self.type_name(), facts, facts.window, "window")
        return Narrow(window.length * window.channels, self.hidden, self.width, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(hidden=(6,), width=3)
