"""The encoder ``pretrained_text``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from deepwright.blocks.adapting import LowRank
from deepwright.blocks.shapes import expect
from deepwright.bundle import expect_weights
from deepwright.errors import DataError, RecipeError, nearest
from deepwright.facts import Examples, Facts, Shape, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule

UNUSED = ("_name_or_path", "architectures", "auto_map", "dtype", "id2label", "label2id", "torch_dtype", "transformers_version")
"""Entries of a network's configuration that say nothing of its layers."""
CONVERT = "AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER, safe_serialization=True)"
"""The line that turns weights in a pickle into a file without code."""


class PretrainedText(Encoder):
    """A Transformer that was trained before on other texts, as Hugging Face's library saves it (extra ``transformers``).

    Its folder holds ``config.json``, ``tokenizer.json`` and ``model.safetensors``. The input's ``tokenizer`` is that of the folder
    unless it declares another; training, prediction and serving split texts by it without torch. Weights and configuration go into
    the bundle, which does not need the folder again. Code that comes with a model is never run.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("tokens",)
    produces: ClassVar[tuple[Shape, ...]] = ("vector", "sequence")

    model: str = Field(min_length=1)
    """The folder; with ``weights: hub`` the name of a model, such as ``google-bert/bert-base-uncased``."""
    weights: Literal["folder", "hub", "none"] = "folder"
    """Where its weights come from: the folder; ``hub``, with which they are fetched OVER THE NETWORK; ``none``: they are random."""
    config: dict[str, Any] | None = None
    """What its ``config.json`` says of its layers, written down when it is first read."""
    pool: Literal["first", "mean"] = "mean"
    """How the states become a vector: that of the ``first`` token, which stands for the text in BERT, or their ``mean``."""
    lora: LowRank | None = None
    """Learn what is added to each weight by low rank, and leave the rest as it is; merged when training ends."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of the vector that leaves."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The hash of the weights, written down when they are first read; others are refused then."""

    @property
    def learnt(self) -> bool:
        """Whether it starts from weights that were learnt."""
        return self.weights != "none"

    @property
    def tokenizer(self) -> str | None:
        """The file that tells how its texts are split; weights mean nothing without it."""
        place = Path(self.model).expanduser() / "tokenizer.json"
        return str(place) if self.learnt or place.is_file() else None

    def settled(self, where: str) -> Self:
        """Read the configuration, and the hash of the weights; fetch the files if they are on the hub.

        Raises:
            DataError: The folder or a file is missing (E200), damaged (E202), a pickle (E204), another one (E276), or cannot be
                fetched (E201).
        """
        if self.config is not None and (self.weights == "none" or self.sha256 is not None) and not self._folder().is_dir():
            return self
        part = (
            self
            if self.weights != "hub" or self._folder().is_dir()
            else self.model_copy(update={"model": _fetched(self.model, where)})
        )
        folder = part._folder()
        if not folder.is_dir():
            beside = [other.name for other in folder.parent.iterdir()] if folder.parent.is_dir() else []
            raise DataError(
                "E200",
                f"no such folder{nearest(folder.name, beside)}",
                where=f"{where}.model: {self.model}",
                fix="correct the path, or let the network be used:  weights: hub",
            )
        config = self.config or _config(folder, where)
        digest = None if self.weights == "none" else _digest(_files(folder, where))
        expect_weights(self.sha256, digest, f"{where}.model: {self.model}")
        return part.model_copy(update={"config": config, "sha256": digest})

    def _folder(self) -> Path:
        return Path(self.model).expanduser()

    def build(self, facts: Facts) -> EncoderModule:
        """Build the network; no file is read.

        Raises:
            RecipeError: The input is not a text, or has more tokens than the network (E108).
            MissingExtra: The library is not installed (E601).
        """
        from deepwright.blocks.pretrained_texts import TextNetwork

        where = f"inputs.{facts.name}.encoder"
        tokens = expect("pretrained_text", facts, facts.tokens, "text")
        if self.config is None:
            raise RecipeError("E110", "the configuration was not read", where=f"{where}.config")
        return TextNetwork(self.config, tokens.size, tokens.length, self.pool, self.dropout, where)

    def start(self, module: EncoderModule, where: str, examples: Examples | None = None) -> None:
        """Load the weights, and add what learns by low rank.

        Raises:
            DataError: The weights cannot be read (E202), or do not fit the network (E276).
            RecipeError: No layer's name fits ``lora.only`` (E106).
        """
        from deepwright.blocks.lora import add_low_rank
        from deepwright.blocks.pretrained_texts import TextNetwork

        if not isinstance(module, TextNetwork):
            return
        if self.weights != "none":
            module.load(_files(self._folder(), where), f"{where}: {self.model}")
        if self.lora is not None and not add_low_rank(module.network, self.lora.rank, self.lora.alpha, self.lora.only):
            raise RecipeError("E106", "no layer's name fits lora.only", where=f"{where}.lora.only", got=self.lora.only)

    @classmethod
    def example(cls) -> Self:
        """Return a tiny network that starts at random."""
        sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
        config = {"model_type": "bert", "vocab_size": 32, "max_position_embeddings": 64, **sizes}
        return cls(model="example", weights="none", config=config)


def _config(folder: Path, where: str) -> dict[str, Any]:
    """Read the configuration of a network."""
    place = folder / "config.json"
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
            raise ValueError("no model_type")
    except FileNotFoundError:
        raise DataError(
            "E200", "the folder has no config.json", where=f"{where}.model: {folder}", fix="save the model there again"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            "E202", "config.json cannot be read", where=f"{where}.model: {place}", got=error, fix="save it again"
        ) from None
    return {key: value for key, value in found.items() if key not in UNUSED}


def _files(folder: Path, where: str) -> list[Path]:
    """Return the files of weights of a folder, in order.

    Raises:
        DataError: There is none (E200), or a pickle only (E204).
    """
    found = sorted(folder.glob("*.safetensors"))
    if found:
        return found
    pickles = sorted(place.name for ending in ("*.bin", "*.pt", "*.pth", "*.h5") for place in folder.glob(ending))
    if pickles:
        raise DataError(
            "E204",
            "the weights are a pickle, which can run any code when it is opened",
            where=f"{where}.model: {folder}",
            got=", ".join(pickles),
            expected="model.safetensors",
            fix=CONVERT,
        )
    raise DataError(
        "E200", "the folder holds no weights", where=f"{where}.model: {folder}", expected="model.safetensors", fix=CONVERT
    )


def _digest(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for place in files:
        with place.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _fetched(name: str, where: str) -> str:
    """Fetch a model from Hugging Face's hub, and return the folder that holds it.

    Raises:
        DataError: It cannot be fetched (E201).
    """
    from deepwright.errors import need

    hub = need("huggingface_hub", extra="transformers")
    try:
        return str(hub.snapshot_download(name, allow_patterns=["config.json", "tokenizer.json", "*.safetensors"]))
    except (OSError, ValueError) as error:
        raise DataError(
            "E201",
            "the model cannot be fetched",
            where=f"{where}.model: {name}",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            fix="check the name and the connection, or name a folder that holds it",
        ) from None
