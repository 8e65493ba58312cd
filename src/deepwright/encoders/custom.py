"""The encoder ``custom``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.errors import RecipeError
from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Custom(Encoder):
    """A ``torch.nn.Module`` of your own, given beside the recipe: ``dw.train(..., modules={INPUT: MODULE})``.

    It takes one tensor: standardised pictures (B, C, H, W), the columns of a table as a vector (B, N), the ids of a text's tokens
    (B, T) ``int64``, 0 behind its end, standardised series or windows (B, T, C), or the frames of a sound's log-mel spectrogram
    (B, T, mels). T is always that of the longest training row, so that a row's result does not depend on those beside it. It gives
    (B, D), of pictures also a map (B, C, H, W) whose mean is taken. Training starts from the weights that it has. The bundle holds
    no code: it predicts by its graph, and training it again asks for the module again.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("table", "image", "tokens", "series", "window", "sound")

    module: str = Field(min_length=1)
    """The name that it is given by, usually the input's."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The hash of its structure and first weights, written down when it is first seen; another one is refused then."""

    def settled(self, where: str) -> Self:
        """Write down the module's hash.

        Raises:
            RecipeError: The module was not given, or is another one (E111).
        """
        from deepwright.blocks.custom import digest, module_of

        found = digest(module_of(self.module, where))
        if self.sha256 not in (None, found):
            raise RecipeError(
                "E111",
                f"the module {self.module!r} is not the one of this recipe",
                where=where,
                got=f"sha256 {found[:12]}…",
                expected=f"{str(self.sha256)[:12]}…",
                fix="give the same module with the same weights, or remove sha256 from the recipe",
            )
        return self.model_copy(update={"sha256": found})

    def build(self, facts: Facts) -> EncoderModule:
        """Build an encoder of a copy of the module.

        Raises:
            RecipeError: The module was not given (E111), or does not take the input (E108).
        """
        from deepwright.blocks.custom import custom_encoder, module_of

        where = f"inputs.{facts.name}.encoder"
        return custom_encoder(module_of(self.module, where), facts, where)

    @classmethod
    def example(cls) -> Self:
        """Return an encoder of the tiny module that is always there."""
        return cls(module="example")
