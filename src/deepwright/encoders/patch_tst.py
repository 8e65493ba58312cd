"""The encoder ``patch_tst``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from deepwright.blocks.shapes import expect
from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class PatchTST(Encoder):
    """A transformer whose tokens are patches of a window (Nie et al. 2023, arXiv 2211.14730).

    Its normalisation stands before attention (arXiv 2002.04745), not behind as in the paper. The defaults are the paper's for small
    tables such as ETTh1.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("window",)

    patch: int = Field(16, ge=1)
    """Rows of a patch."""
    stride: int = Field(8, ge=1)
    """Rows from one patch to the next."""
    width: int = Field(16, ge=1)
    """The width of a patch's vector, a multiple of ``heads``."""
    depth: int = Field(3, ge=1, le=64)
    """How many layers."""
    heads: int = Field(4, ge=1)
    """Heads of each layer."""
    hidden: int = Field(128, ge=1)
    """The inner width of their feed-forward layers."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """The fraction of values dropped in training."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width is a multiple of heads, and {self.width} is none of {self.heads}")
        return self

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module for the window of ``facts``.

        Raises:
            RecipeError: The input is no window (E108).
        """
        from deepwright.blocks.windows import Patches

        window = expect(self.type_name(), facts, facts.window, "window")
        sizes = (self.patch, self.stride, self.width, self.depth, self.heads, self.hidden)
        return Patches(window.length, window.channels, *sizes, self.dropout)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network."""
        return cls(patch=4, stride=2, width=4, depth=1, heads=2, hidden=8)
