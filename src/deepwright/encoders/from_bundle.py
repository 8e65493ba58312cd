"""The encoder ``from_bundle``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from deepwright.bundle import HeldEncoder, expect_weights
from deepwright.errors import RecipeError
from deepwright.facts import Dtype, Examples, Facts, Shape, Wire
from deepwright.families import Encoder, Feature, State

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule

DTYPES: tuple[Dtype, ...] = ("words", "series", "sound")


class FromBundle(Encoder):
    """The encoder of another bundle's text, series or sound, with its weights, and with all that its input learnt.

    What was learnt from many rows serves where there are few. The input is read as that of the bundle is: its vocabulary, tokens,
    lengths and scales are those. The bundle that is trained holds all of it and does not need the other one again. Of pictures,
    ``pretrained`` does the same (``model: bundle:PATH``).
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens", "series", "sound")
    produces: ClassVar[tuple[Shape, ...]] = ("vector", "sequence")

    path: str = Field(min_length=1)
    """The other bundle."""
    input: str | None = None
    """The input of it; by default its only one that fits."""
    encoder: Encoder | None = None
    """Its encoder, written down when the bundle is first opened."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The hash of its weights, written down when they are first read; others are refused then."""

    @property
    def learnt(self) -> bool:
        """It was."""
        return True

    @property
    def pace(self) -> int:
        """How many of a sequence's places one of its states stands for."""
        return 1 if self.encoder is None else self.encoder.pace

    def shapes(self) -> tuple[Shape, ...]:
        """Return what heads may read of the bundle's encoder."""
        return self.produces if self.encoder is None else self.encoder.shapes()

    def settled(self, where: str) -> Self:
        """Look the encoder up.

        Raises:
            BundleError: The bundle cannot be opened, or has no such input (E306).
            DataError: Its weights are not those of the recipe (E276).
        """
        held = self._held(where)
        expect_weights(self.sha256, held.digest, f"{where}.path: {self.path}")
        return self.model_copy(update={"input": held.name, "encoder": held.feature.encoder, "sha256": held.digest})

    def taken(self, feature: Feature, where: str) -> Feature:
        """Return the bundle's input, whose options count.

        Raises:
            RecipeError: It is of another type (E108).
        """
        held = self._held(where)
        if held.feature.type_name() != feature.type_name():
            raise RecipeError(
                "E108",
                f"the bundle's input {held.name!r} is of another type",
                where=where,
                got=feature.type_name(),
                expected=held.feature.type_name(),
            )
        return held.feature

    def state(self) -> State:
        """Return what the bundle's input learnt."""
        return self._held("encoder").state

    def _held(self, where: str) -> HeldEncoder:
        place, fix = f"{where}.path: {self.path}", "encoder: {type: from_bundle, path: PATH, input: INPUT}"
        return HeldEncoder.of(self.path, self.input, DTYPES, "texts, series or sounds", where=place, fix=fix)

    def build(self, facts: Facts) -> EncoderModule:
        """Build the bundle's network; no file is read.

        Raises:
            RecipeError: The bundle was not looked up (E110), or its encoder does not take the input (E108).
        """
        if self.encoder is None:
            raise RecipeError("E110", "the bundle was not opened", where=f"inputs.{facts.name}.encoder", got=self.path)
        return self.encoder.build(facts)

    def start(self, module: EncoderModule, where: str, examples: Examples | None = None) -> str:
        """Load the weights.

        Raises:
            DataError: They cannot be read (E202), or do not fit (E276).
        """
        from deepwright.blocks.weights import load_weights, read_weights

        del examples
        held = self._held(where)
        found = read_weights(held.bundle.file("weights.safetensors"), where)
        own = {name.removeprefix(held.prefix): tensor for name, tensor in found.items() if name.startswith(held.prefix)}
        load_weights(module, own, f"{where}: {self.path}")
        return f"{where.removesuffix('.encoder')} starts from {held.name} of {self.path}"

    @classmethod
    def example(cls) -> Self:
        """Return a small network of a bundle that need not exist."""
        return cls(path="bundle", encoder=Encoder.parse({"type": "gru", "width": 3, "embedding": 4}))
