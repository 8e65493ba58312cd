"""The encoder ``ensemble``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.errors import RecipeError
from deepwright.families import Encoder, Examples, Facts, Wire

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Ensemble(Encoder):
    """Several encoders of one text, series or sound, each with an output layer of its own; the mean of their predictions counts.

    They learn side by side, each from its own loss, as networks that are trained apart would (Dietterich 2000), and leave as one
    graph. Networks that err in different ways gain most: on short texts a bag of words, windows over words and a recurrent network.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens", "series", "sound")

    encoders: tuple[Encoder, ...] = Field(min_length=2)
    """The encoders: ``[bag, text_cnn, {type: gru, width: 64}]``."""

    @property
    def learnt(self) -> bool:
        """Whether any of them starts from weights that were learnt before."""
        return any(part.learnt for part in self.encoders)

    def settled(self, where: str) -> Self:
        """Return it with what files decide of its encoders written down.

        Raises:
            RecipeError: What they name does not exist, or does not fit.
            DataError: A file is missing, or not what it should be.
        """
        found = tuple(part.settled(f"{where}.encoders[{index}]") for index, part in enumerate(self.encoders))
        return self.model_copy(update={"encoders": found})

    def build(self, facts: Facts) -> EncoderModule:
        """Build all of them for the input of ``facts``.

        Raises:
            RecipeError: One of them does not accept the input (E108).
        """
        from deepwright.blocks.members import EnsembleEncoder

        for index, part in enumerate(self.encoders):
            if facts.wire not in part.accepts:
                raise RecipeError(
                    "E108",
                    f"the encoder {part.type_name()} does not accept a {facts.wire} input",
                    where=f"inputs.{facts.name}.encoder.encoders[{index}]",
                    expected="encoders for " + facts.wire,
                )
        return EnsembleEncoder([part.build(facts) for part in self.encoders])

    def start(self, module: EncoderModule, where: str, examples: Examples | None = None) -> str | None:
        """Give each of them what training starts from.

        Raises:
            DataError: Weights cannot be read, or do not fit.
        """
        from deepwright.blocks.members import EnsembleEncoder

        if not isinstance(module, EnsembleEncoder):
            return None
        pairs = enumerate(zip(self.encoders, module.each(), strict=True))
        told = [part.start(each, f"{where}.encoders[{index}]", examples) for index, (part, each) in pairs]
        return "; ".join(text for text in told if text) or None

    @classmethod
    def example(cls) -> Self:
        """Return two tiny networks."""
        return cls.model_validate(
            {"encoders": [{"type": kind, "width": width, "embedding": 4} for kind, width in (("gru", 3), ("rnn", 2))]}
        )
