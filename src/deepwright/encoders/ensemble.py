"""The encoder ``ensemble``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.errors import RecipeError
from deepwright.facts import Examples, Facts, Shape, Wire
from deepwright.families import Encoder, Feature, State

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Ensemble(Encoder):
    """Several encoders of one text, series or sound, each with an output layer of its own; the mean of their predictions counts.

    They learn side by side, each from its own loss, as networks that are trained apart would (Dietterich 2000), and leave as one
    graph. Networks that err in different ways gain most: on short texts a bag of words, windows over words and a recurrent network.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens", "series", "sound")
    produces: ClassVar[tuple[Shape, ...]] = ("vector", "sequence")

    encoders: tuple[Encoder, ...] = Field(min_length=2)
    """The encoders: ``[bag, text_cnn, {type: gru, width: 64}]``."""

    def shapes(self) -> tuple[Shape, ...]:
        """Return what all of them produce; states only if all have as many, since those of one place are averaged."""
        alike = len({part.pace for part in self.encoders}) == 1
        common = (shape for shape in self.produces if all(shape in part.shapes() for part in self.encoders))
        return tuple(shape for shape in common if alike or shape == "vector")

    @property
    def pace(self) -> int:
        """How many of a sequence's places one state stands for."""
        return max(part.pace for part in self.encoders)

    @property
    def tokenizer(self) -> str | None:
        """The file that tells how the texts of the first of them that was trained before were split."""
        return next((part.tokenizer for part in self.encoders if part.tokenizer is not None), None)

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
        tokenizers = sorted({part.tokenizer for part in found if part.tokenizer is not None})
        if len(tokenizers) > 1:
            raise RecipeError(
                "E106",
                "encoders of one text were trained with different tokenizers",
                where=f"{where}.encoders",
                got=", ".join(tokenizers),
                fix="give each of them an ensemble, or an input, of its own",
            )
        return self.model_copy(update={"encoders": found})

    def taken(self, feature: Feature, where: str) -> Feature:
        """Return an input with the options that those of them were trained with that came with some.

        Raises:
            RecipeError: The input does not fit.
        """
        for part in self.encoders:
            feature = part.taken(feature, where)
        return feature

    def state(self) -> State | None:
        """Return what the input must have learnt, if any of them was trained with that.

        Raises:
            RecipeError: Several were trained with different ones (E106).
        """
        held = [state for part in self.encoders if (state := part.state()) is not None]
        if any(state != held[0] for state in held):
            raise RecipeError(
                "E106",
                "encoders of one input were trained with different vocabularies or scales",
                where="encoders",
                fix="give each of them an input of its own, made by data.derive",
            )
        return held[0] if held else None

    def build(self, facts: Facts) -> EncoderModule:
        """Build all of them for the input of ``facts``.

        Raises:
            RecipeError: One of them does not accept the input (E108).
        """
        from deepwright.blocks.contract import SequenceEncoderModule
        from deepwright.blocks.members import EnsembleEncoder, SequenceEnsembleEncoder

        for index, part in enumerate(self.encoders):
            if facts.wire not in part.accepts:
                raise RecipeError(
                    "E108",
                    f"the encoder {part.type_name()} does not accept a {facts.wire} input",
                    where=f"inputs.{facts.name}.encoder.encoders[{index}]",
                    expected="encoders for " + facts.wire,
                )
        modules = [part.build(facts) for part in self.encoders]
        sequences = [module for module in modules if isinstance(module, SequenceEncoderModule) and module.members == 1]
        return SequenceEnsembleEncoder(sequences) if len(sequences) == len(modules) else EnsembleEncoder(modules)

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
