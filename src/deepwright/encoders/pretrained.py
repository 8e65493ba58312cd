"""The encoder ``pretrained``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from pydantic import Field, ValidationInfo, field_validator, model_validator

from deepwright.blocks.adapting import LowRank, regular
from deepwright.blocks.shapes import expect_image
from deepwright.bundle import HeldEncoder, expect_weights
from deepwright.errors import DataError, RecipeError, nearest
from deepwright.facts import Examples, Facts, ImageFacts, Wire
from deepwright.families import Encoder
from deepwright.mappings import read_mapping
from deepwright.parts import Spec

if TYPE_CHECKING:
    from torch import Tensor

    from deepwright.blocks.contract import EncoderModule

LIBRARIES = ("torchvision", "timm")
BUNDLE = "bundle:"
PICKLES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".pkl", ".pickle", ".pyth", ".tar")
FORMATS = (".npz", ".safetensors")
CONVERT = (
    "safetensors.torch.save_file({n: t.contiguous() for n, t in torch.load(PATH, weights_only=True).items()}, 'w.safetensors')"
)
"""The line that turns a dictionary of tensors in a pickle into a file without code."""
_LUMA = (0.299, 0.587, 0.114)


class Expects(Spec):
    """The pictures that a network was trained with."""

    height: int | None = Field(None, ge=1, le=4096)
    """The height that pictures are brought to, unless the input declares another."""
    width: int | None = Field(None, ge=1, le=4096)
    """The width that pictures are brought to, unless the input declares another."""
    order: Literal["rgb", "bgr", "grey"] | None = None
    """The channels in their order; by default those of the pictures that come."""
    mean: tuple[float, ...] | None = Field(None, min_length=1, max_length=3)
    """What is subtracted from each channel, in that order, in 0…255; by default the mean of the training pictures."""
    std: tuple[float, ...] | None = Field(None, min_length=1, max_length=3)
    """What each channel is divided by after that, in 0…255; by default the deviation of the training pictures."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        count = 1 if self.order == "grey" else 3 if self.order else None
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and count is not None and len(values) != count:
                raise ValueError(f"{name} has {len(values)} values, and order: {self.order} has {count} channels")
        return self


class Pretrained(Encoder):
    """A network that was trained before on other pictures, without its classifier: of a library, of a bundle, or any encoder.

    Weights are read from files without code. They go into the bundle that is trained, which does not need the file again.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("image",)

    model: str | Encoder
    """The network: ``torchvision/NAME``, ``timm/NAME``, ``bundle:PATH`` (of several inputs ``bundle:PATH#INPUT``), or an encoder of
    pictures, such as ``{type: resnet, depth: 18}``."""
    weights: str | None = None
    """Where its weights come from: a file (``.npz``, ``.safetensors``), ``bundle:PATH``, ``none`` (it starts at random), or
    ``hub``, with which the library fetches them OVER THE NETWORK. Required, unless ``model`` is a bundle."""
    rename: dict[str, str | None] | str = Field(default_factory=dict)
    """From names of the file to names of the network: regular expressions and what replaces them, all applied in turn; ``null``
    leaves names out. Or the path of a YAML or JSON file that holds them."""
    expects: Expects | None = None
    """The pictures that it was trained with; known of libraries and bundles."""
    pool: Literal["avg", "max"] | None = None
    """How its last map becomes a vector; by default as it was trained."""
    lora: LowRank | None = None
    """Learn what is added to each weight by low rank, and leave the rest as it is; merged when training ends."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout of the vector that leaves."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The hash of the file of weights, written down when it is first read; another file is refused then."""

    @field_validator("model", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return Encoder.parse(value)
        library, _, name = value.partition("/")
        if (library in LIBRARIES and name) or (value.startswith(BUNDLE) and value != BUNDLE):
            return value
        if value in Encoder.types():
            return Encoder.parse(value)
        known = [*(f"{each}/" for each in LIBRARIES), BUNDLE, *Encoder.types()]
        raise ValueError(
            f"expected torchvision/NAME, timm/NAME, bundle:PATH or an encoder of pictures, got {value!r}{nearest(value, known)}"
        )

    @field_validator("model")
    @classmethod
    def _pictures(cls, value: str | Encoder, info: ValidationInfo) -> str | Encoder:
        if isinstance(value, Pretrained) or (isinstance(value, Encoder) and "image" not in value.accepts):
            raise ValueError(f"the encoder {value.type_name()} cannot be a pretrained network of pictures")
        return value

    @field_validator("rename")
    @classmethod
    def _regular(cls, value: dict[str, str | None] | str) -> dict[str, str | None] | str:
        if isinstance(value, dict):
            for pattern, new in value.items():
                regular(pattern, new)
        return value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.model_is_bundle and self.weights is not None:
            raise ValueError("model is a bundle, which brings its weights; leave weights out")
        if self.weights == "hub" and self._library is None:
            raise ValueError("weights: hub needs a network of torchvision/ or timm/")
        if self.lora is not None and self.weights == "none":
            raise ValueError("lora adapts weights that were learnt, and weights: none has none")
        return self

    @property
    def model_is_bundle(self) -> bool:
        """Whether the network is still to be looked up in a bundle."""
        return isinstance(self.model, str) and self.model.startswith(BUNDLE)

    @property
    def _library(self) -> tuple[str, str] | None:
        if not isinstance(self.model, str) or self.model_is_bundle:
            return None
        library, _, name = self.model.partition("/")
        return library, name

    @property
    def size(self) -> tuple[int | None, int | None]:
        """The height and width that it was trained with."""
        return (None, None) if self.expects is None else (self.expects.height, self.expects.width)

    @property
    def learnt(self) -> bool:
        """Whether it starts from weights that were learnt."""
        return self.weights != "none"

    def settled(self, where: str) -> Self:
        """Look up the network of a bundle, the pictures of a library's network, and the hash of the weights.

        Raises:
            RecipeError: The network is unknown (E104), or the weights are not named (E105).
            DataError: The file of weights is missing (E200), a pickle (E204), of another format (E202), or another one (E276).
            BundleError: The bundle cannot be opened, or has no encoder of pictures that fits (E306).
        """
        if self.model_is_bundle:
            return self._of_bundle(where).settled(where)
        if self.weights is None:
            raise RecipeError(
                "E105",
                "the recipe does not say where the weights come from",
                where=f"{where}.weights",
                expected="a file (.npz, .safetensors), bundle:PATH, hub or none",
                fix="weights: FILE, or weights: hub if the network may be used",
            )
        update: dict[str, Any] = {"expects": self._known(where), "sha256": self._digest(where)}
        if isinstance(self.rename, str):
            update["rename"] = _rename_file(self.rename, f"{where}.rename")
        return self.model_copy(update=update)

    def _of_bundle(self, where: str) -> Self:
        """Return this encoder with the network of the bundle in its place."""
        held = _held(str(self.model), where)
        old = held.encoder
        update: dict[str, Any] = {"model": old, "weights": f"{BUNDLE}{held.found.bundle.path}#{held.found.name}"}
        image, order = held.image, "grey" if held.image.channels == 1 else "rgb"
        if isinstance(old, Pretrained):
            update |= {"model": old.model, "pool": self.pool or old.pool}
            image, order = old._wanted(image), old._order(image)
        image = replace(image, **held.moments())
        known = {"height": image.height, "width": image.width, "order": order, "mean": image.mean, "std": image.std}
        given = {} if self.expects is None else self.expects.model_dump(exclude_none=True)
        return self.model_copy(update=update | {"expects": Expects.model_validate({**known, **given})})

    def _known(self, where: str) -> Expects | None:
        """Return the pictures that the network was trained with, those declared first."""
        if self._library is None:
            return self.expects
        from deepwright.blocks.pretrained import nearest_names, pictures_of, timm_names, torchvision_names

        library, name = self._library
        names = timm_names() if library == "timm" else torchvision_names()
        if name.partition(".")[0] not in names:
            raise RecipeError(
                "E104",
                f"{library} has no network {name!r}{nearest(name, names)}",
                where=f"{where}.model",
                expected=nearest_names(name, names),
            )
        height, width, mean, std = pictures_of(library, name)
        usual = {"height": height, "width": width, "order": "rgb", "mean": mean, "std": std}
        given = {} if self.expects is None else self.expects.model_dump(exclude_none=True)
        if given.get("order", "rgb") == "grey":
            raise RecipeError(
                "E108", "the network takes three channels", where=f"{where}.expects.order", got="grey", expected="rgb or bgr"
            )
        return Expects.model_validate({**usual, **given})

    def _digest(self, where: str) -> str | None:
        """Return the hash of the weights, if they are in a file.

        Raises:
            DataError: The file is missing, of a wrong format, or not the one of the recipe.
        """
        if self.weights in (None, "none", "hub"):
            return None
        if str(self.weights).startswith(BUNDLE):
            digest = _held(str(self.weights), where).found.digest
        else:
            with _file(str(self.weights), where).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        expect_weights(self.sha256, digest, f"{where}.weights: {self.weights}")
        return digest

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network for pictures of ``facts.image``; no file is read.

        Raises:
            RecipeError: The input is not a picture, or its size does not fit (E108).
            MissingExtra: The library is not installed (E601).
        """
        from deepwright.blocks import pretrained as blocks

        where = f"inputs.{facts.name}.encoder"
        image = expect_image("pretrained", facts)
        wanted = self._wanted(image)
        dropped: tuple[str, ...] = ()
        if self._library is not None:
            library, name = self._library
            network, dropped = blocks.timm_network(name) if library == "timm" else blocks.torchvision_network(name)
            if self.pool is not None:
                blocks.repool(network, self.pool, f"{where}.pool")
            encoder: EncoderModule = blocks.library_encoder(network, wanted, where)
        elif isinstance(self.model, Encoder):
            encoder = self.model.build(replace(facts, image=wanted))
            if self.pool is not None:
                blocks.repool(encoder, self.pool, f"{where}.pool")
        else:
            raise RecipeError("E110", "the bundle's network was not looked up", where=f"{where}.model", got=str(self.model))
        return blocks.Pretrained(
            blocks.Channels(image.channels, self._order(image)),
            encoder,
            dropped,
            dropout=self.dropout,
            library=self._library is not None,
        )

    def _order(self, image: ImageFacts) -> Literal["rgb", "bgr", "grey"]:
        """Return the channels that the network gets."""
        declared = None if self.expects is None else self.expects.order
        return declared or ("grey" if image.channels == 1 else "rgb")

    def _wanted(self, image: ImageFacts) -> ImageFacts:
        """Return the pictures that the network gets, once the channels are converted."""
        expects = self.expects or Expects()
        mean, std = (_converted(values, expects.order) for values in (image.mean, image.std))
        same = len(mean) == image.channels and expects.order != "bgr"
        return ImageFacts(
            image.height,
            image.width,
            len(mean),
            _of(expects.mean, mean),
            _of(expects.std, std),
            image.patches if same else (),
        )

    def start(self, module: EncoderModule, where: str, examples: Examples | None = None) -> None:
        """Load the weights, and add what learns by low rank.

        Raises:
            DataError: The weights cannot be read (E202), fetched (E201), or do not fit the network (E276).
        """
        from deepwright.blocks import pretrained as blocks
        from deepwright.blocks.lora import add_low_rank
        from deepwright.blocks.weights import load_weights, renamed

        if not isinstance(module, blocks.Pretrained) or self.weights in (None, "none"):
            return
        rename = self.rename if isinstance(self.rename, dict) else {}
        place = f"{where}: {self.weights}"
        weights = renamed(self._read(place), rename, place)
        if self.expects is not None and self.expects.mean is not None:  # what is declared counts, not what a file holds beside it
            weights = {name: tensor for name, tensor in weights.items() if name not in ("entrance.mean", "entrance.std")}
        load_weights(module.core, weights, place, dropped=module.dropped)
        if self.lora is not None:
            count = add_low_rank(module.core, self.lora.rank, self.lora.alpha, self.lora.only)
            if not count:
                raise RecipeError("E106", "no layer's name fits lora.only", where=f"{where}.lora.only", got=self.lora.only)
            module.still = True

    def _read(self, where: str) -> dict[str, Tensor]:
        from deepwright.blocks.pretrained import hub_weights
        from deepwright.blocks.weights import read_weights

        source = str(self.weights)
        if source == "hub" and self._library is not None:
            try:
                return hub_weights(*self._library)
            except (OSError, RuntimeError) as error:
                raise DataError(
                    "E201",
                    "the weights cannot be fetched",
                    where=where,
                    got=str(error).splitlines()[0] if str(error) else type(error).__name__,
                    fix="check the connection, or fetch the file and name it:  weights: FILE.safetensors",
                ) from None
        if not source.startswith(BUNDLE):
            return read_weights(_file(source, where), where)
        held = _held(source, where)
        found = read_weights(held.found.bundle.file("weights.safetensors"), where)
        return {name.removeprefix(held.prefix): tensor for name, tensor in found.items() if name.startswith(held.prefix)}

    @classmethod
    def example(cls) -> Self:
        """Return a small network of its own that starts at random."""
        return cls.model_validate({"model": {"type": "cnn", "channels": [8, 16]}, "weights": "none"})


@dataclass(frozen=True)
class _Held:
    """An encoder of pictures in a bundle.

    Args:
        found: Where it is.
        encoder: The encoder.
        image: The pictures that it gets.
        prefix: What the names of its weights begin with.
    """

    found: HeldEncoder
    encoder: Encoder
    image: ImageFacts
    prefix: str

    def moments(self) -> dict[str, Any]:
        """Return the mean and deviation of the pictures that the network was trained with, if it standardises them itself."""
        from safetensors import safe_open

        begin = self.prefix.removesuffix("body.") + "entrance."
        with safe_open(self.found.bundle.file("weights.safetensors"), framework="np") as file:
            names = [name for name in (f"{begin}mean", f"{begin}std") if name in file.keys()]  # noqa: SIM118  no mapping
            return {name.removeprefix(begin): tuple(file.get_tensor(name).ravel().astype(float).tolist()) for name in names}


def _held(reference: str, where: str) -> _Held:
    """Find the encoder that ``bundle:PATH`` or ``bundle:PATH#INPUT`` names.

    Raises:
        BundleError: The bundle cannot be opened, or no encoder of pictures, or several, fit (E306).
    """
    path, name = reference.removeprefix(BUNDLE), ""
    if "#" in path and not Path(path).is_dir():
        path, _, name = path.rpartition("#")
    fix = f"{BUNDLE}{path}#INPUT"
    found = HeldEncoder.of(path, name or None, {"image"}, "pictures", where=f"{where}: {reference}", fix=fix)
    encoder, prefix = cast(Encoder, found.feature.encoder), found.prefix
    facts = found.feature.facts(found.name, found.state)
    if isinstance(encoder, Pretrained):
        prefix += "network." if isinstance(encoder.model, Encoder) else "network.body."
    return _Held(found, encoder, expect_image("pretrained", facts), prefix)


def _file(path: str, where: str) -> Path:
    """Return the path of a file of weights that may be read.

    Raises:
        DataError: It is missing, a pickle, or of another format.
    """
    file = Path(path).expanduser()
    suffix = file.suffix.lower()
    if suffix in PICKLES:
        raise DataError(
            "E204", "the weights are a pickle, which can run any code when it is opened", where=f"{where}: {path}", fix=CONVERT
        )
    if (file / "manifest.json").is_file():
        raise DataError("E202", "the weights are a bundle", where=f"{where}: {path}", fix=f"weights: {BUNDLE}{path}")
    if not file.is_file():
        beside = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
        raise DataError("E200", f"no such file{nearest(file.name, beside)}", where=f"{where}: {path}", fix="correct the path")
    if suffix not in FORMATS:
        raise DataError(
            "E202",
            "the file is not of a format that weights are read from",
            where=f"{where}: {path}",
            got=suffix or "no ending",
            expected=" or ".join(FORMATS),
            fix="numpy.savez(PATH, **arrays), or safetensors.torch.save_file(tensors, PATH)",
        )
    return file


def _rename_file(path: str, where: str) -> dict[str, str | None]:
    """Read a mapping of names.

    Raises:
        RecipeError: It cannot be read (E101), or holds other things than patterns and replacements (E103).
    """
    found = read_mapping(Path(path).expanduser())
    for pattern, new in found.items():
        try:
            if not isinstance(new, str | None):
                raise ValueError(f"{pattern!r} becomes {new!r}, which is no text and not null")
            regular(pattern, new)
        except ValueError as error:
            raise RecipeError("E103", str(error), where=f"{where}: {path}") from None
    return found


def _converted(values: tuple[float, ...], order: str | None) -> tuple[float, ...]:
    """Return the mean or deviation of channels as those of other channels."""
    if order == "grey" and len(values) == 3:
        return (sum(weight * value for weight, value in zip(_LUMA, values, strict=True)),)
    if order in ("rgb", "bgr") and len(values) == 1:
        return values * 3
    return values[::-1] if order == "bgr" else values


def _of(given: tuple[float, ...] | None, own: tuple[float, ...]) -> tuple[float, ...]:
    """Return what is declared, one value standing for every channel."""
    if given is None:
        return own
    return given * len(own) if len(given) == 1 else given
