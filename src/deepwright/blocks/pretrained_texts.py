"""Transformers of Hugging Face's library that were trained before on texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from deepwright.blocks.contract import SequenceEncoderModule
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.weights import load_weights, read_weights
from deepwright.errors import RecipeError, need
from deepwright.words import SPECIAL

HEADS = ("cls.", "lm_head.", "classifier.", "qa_outputs.", "pooler.", "vocab_", "pre_classifier.", "score.", "predictions.")
"""Beginnings of names of what networks have on top for what they were trained for, which is left away."""


class TextNetwork(SequenceEncoderModule):
    """``{"tokens": (B, T)}`` to a vector (B, width); ids of tokens are those of the network plus two.

    Args:
        config: The network's configuration.
        size: The number of ids of tokens.
        length: The most tokens of a text.
        pool: How the states become a vector.
        dropout: The fraction of the vector's values dropped in training.
        where: The recipe's path, for messages.

    Raises:
        RecipeError: The network is unknown (E104), or does not take texts of so many ids or tokens (E108).
        MissingExtra: The library is not installed (E601).
    """

    def __init__(
        self, config: Mapping[str, Any], size: int, length: int, pool: Literal["first", "mean"], dropout: float, where: str
    ) -> None:
        super().__init__()
        library = need("transformers", extra="transformers")
        rest = {key: value for key, value in config.items() if key != "model_type"}
        try:
            made = library.AutoConfig.for_model(config["model_type"], **rest)
            made.use_cache = False
            network: nn.Module = library.AutoModel.from_config(made)
        except (ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
            raise RecipeError(
                "E104",
                "the library cannot build the network",
                where=f"{where}.config",
                got=str(error).splitlines()[0] if str(error) else type(error).__name__,
                expected="the configuration of a Transformer for texts, such as BERT's",
            ) from None
        if getattr(made, "is_encoder_decoder", False):
            raise RecipeError("E108", "the network writes texts; its encoder alone is not taken", where=where, got=made.model_type)
        if hasattr(network, "pooler"):
            network.register_module("pooler", None)
        most = int(getattr(made, "max_position_embeddings", length) or length)
        beyond = [
            f"{name}: {got:,}, the network has {has:,}"
            for name, got, has in (("ids of tokens", size - len(SPECIAL), int(made.vocab_size)), ("tokens of a text", length, most))
            if got > has
        ]
        if beyond:
            raise RecipeError(
                "E108",
                "the network does not take what the tokenizer gives",
                where=where,
                got="; ".join(beyond),
                fix="take the tokenizer of the network's folder, and max_length: as many as it has",
            )
        self.network = network
        self.pool = pool
        self.dropout = Dropout(dropout)
        self.width = self.states_width = int(made.hidden_size)

    def states(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return a vector for every token, or of lists of words for the first token of each, and the mask."""
        states, mask = self._read(inputs["tokens"])
        if "words" in inputs:
            words = inputs["words"].long()
            place = (words - 1).clamp(0, states.shape[1] - 1)
            states, mask = states.gather(1, place.unsqueeze(2).expand(-1, -1, states.shape[2])), words != 0
        return self.dropout(states), mask

    def _read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        mask = tokens != 0
        ids = (tokens.long() - len(SPECIAL)).clamp_min(0)
        states: Tensor = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states, mask

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        states, mask = self._read(inputs["tokens"])
        there = mask.unsqueeze(-1).to(states.dtype)
        # A text without a token has a vector of zeros.
        vector = states[:, 0] * there[:, 0] if self.pool == "first" else (states * there).sum(1) / there.sum(1).clamp_min(1)
        pooled: Tensor = self.dropout(vector)
        return pooled

    def load(self, files: Sequence[Path], where: str) -> None:
        """Take the weights of files.

        Raises:
            DataError: They cannot be read (E202), or do not fit the network (E276).
        """
        found: dict[str, Tensor] = {}
        for place in files:
            found |= read_weights(place, str(place))
        begin = str(getattr(self.network, "base_model_prefix", "")) + "."
        inside = any(name.startswith(begin) for name in found)
        weights = {name.removeprefix(begin): tensor for name, tensor in found.items() if not inside or name.startswith(begin)}
        # As files of the first releases call them.
        renamed = {
            name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): t
            for name, t in weights.items()
        }
        kept = {name: tensor for name, tensor in renamed.items() if not name.endswith("position_ids")}
        load_weights(self.network, kept, where, dropped=HEADS)
