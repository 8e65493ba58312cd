"""Modules that a program brings itself (``dw.train(..., modules={INPUT: MODULE})``) as encoders.

They are handed over beside the recipe, never inside it: a bundle holds their weights and their graph, and no code.
"""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import EncoderModule
from deepwright.blocks.image import ImageInput
from deepwright.blocks.pooling import GlobalPool
from deepwright.blocks.sequences import sequence_input
from deepwright.blocks.tabular import TableVector
from deepwright.errors import RecipeError, UsageError, nearest
from deepwright.facts import Facts

EXAMPLE = "example"
"""A tiny module that is always there, of which the checks of all encoders are made."""

_MODULES: ContextVar[Mapping[str, nn.Module]] = ContextVar("_MODULES")


@contextmanager
def supplied(modules: Mapping[str, object]) -> Iterator[None]:
    """Let the modules be found by their names inside the block.

    Raises:
        UsageError: One is no ``torch.nn.Module`` (E701).
    """
    found = {}
    for name, module in modules.items():
        if not isinstance(module, nn.Module):
            raise UsageError(
                "E701",
                f"modules[{name!r}] is not a module",
                got=type(module).__name__,
                expected="an instance of torch.nn.Module, such as torch.nn.Sequential(...)",
            )
        found[name] = module
    token = _MODULES.set(found)
    try:
        yield
    finally:
        _MODULES.reset(token)


def module_of(name: str, where: str) -> nn.Module:
    """Return a copy of the module of that name, with the weights that it has.

    Raises:
        RecipeError: There is none (E111).
    """
    known = _MODULES.get({})
    if name in known:
        return copy.deepcopy(known[name])
    if name == EXAMPLE:
        return nn.Sequential(_Numbers(), nn.Flatten(), nn.LazyLinear(8), nn.Tanh())
    raise RecipeError(
        "E111",
        f"the module {name!r} was not given{nearest(name, known)}",
        where=where,
        got="modules: " + (", ".join(known) or "none"),
        fix=f"dw.train(..., modules={{{name!r}: MODULE}}); a bundle predicts without it, by its graph",
    )


class _Numbers(nn.Module):
    """Ids as numbers, and numbers as they are."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float()


def digest(module: nn.Module) -> str:
    """Return a hash of a module's structure and weights, which tells whether it is the one of an earlier run."""
    sha = hashlib.sha256(repr(module).encode())
    for name, tensor in sorted(module.state_dict().items()):
        known = not nn.parameter.is_lazy(tensor)
        sha.update(name.encode() + (tensor.detach().cpu().contiguous().float().numpy().tobytes() if known else b""))
    return sha.hexdigest()


class Ids(nn.Module):
    """The ids of a text's tokens (B, T), as modules take them."""

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, None]:
        """Return them."""
        return inputs["tokens"].long(), None


class Filled(nn.Module):
    """A sequence (B, T) or (B, T, C) of always so many places, 0 behind each row's end.

    A module of anyone cannot be trusted to leave out what is behind the end, which depends on the other rows of a batch.

    Args:
        entrance: From the arrays of the wire to the sequence and its mask.
        length: T.
    """

    def __init__(self, entrance: nn.Module, length: int) -> None:
        super().__init__()
        self.entrance = entrance
        self.length = length

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Fill up, or cut, each row."""
        x: Tensor = self.entrance(inputs)[0]
        ended = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
        place = torch.arange(self.length, device=x.device).clamp(max=x.shape[1])
        return ended[:, place]


class Custom(EncoderModule):
    """A module of anyone behind what turns the wire into one tensor.

    Args:
        entrance: From the arrays of the wire to what the module takes.
        module: From that to a vector (B, D), or a map (B, C, H, W), of which the mean is taken.
        width: D.
        pooled: Whether it is a map.
    """

    def __init__(self, entrance: nn.Module, module: nn.Module, width: int, *, pooled: bool) -> None:
        super().__init__()
        self.entrance = entrance
        self.module = module
        self.exit = GlobalPool("avg") if pooled else nn.Identity()
        self.width = width

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        vector: Tensor = self.exit(self.module(self.entrance(inputs)).float())
        return vector


class Keras(nn.Module):
    """A Keras 3 model on its torch backend, which takes its mode from each call, and pictures as its own layers want them.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.channels_last = sys.modules["keras"].config.image_data_format() == "channels_last"

    def forward(self, inputs: Tensor) -> Tensor:
        """Run the model on pictures (B, C, H, W), sequences or vectors (B, N)."""
        turned = inputs.permute(0, 2, 3, 1) if self.channels_last and inputs.ndim == 4 else inputs
        outputs: Tensor = self.model(turned, training=self.training)
        return outputs.permute(0, 3, 1, 2) if self.channels_last and outputs.ndim == 4 else outputs


def _is_keras(module: nn.Module) -> bool:
    return "keras" in sys.modules and isinstance(module, sys.modules["keras"].layers.Layer)


def custom_encoder(module: nn.Module, facts: Facts, where: str) -> Custom:
    """Return an encoder of a module, which is tried on two rows to see what leaves it.

    Args:
        module: Takes what :class:`deepwright.encoders.custom.Custom` says.
        facts: What it gets.
        where: The recipe's path.

    Raises:
        RecipeError: It does not take that, or gives neither a vector nor a map (E108).
    """
    entrance, inputs = _entrance(facts)
    module = Keras(module) if _is_keras(module) else module
    mode = module.training
    taken = None
    try:
        with torch.no_grad():
            taken = entrance(inputs)
            given = module.eval()(taken)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError, NotImplementedError) as error:
        got = "" if taken is None else f"a tensor of {tuple(taken.shape)}, {taken.dtype}; "
        raise RecipeError(
            "E108",
            "the module does not take this input",
            where=where,
            got=got + (str(error).splitlines()[0] if str(error) else type(error).__name__),
            fix="let its forward take one tensor of that shape",
        ) from error
    finally:
        module.train(mode)
    if not isinstance(given, Tensor) or given.ndim not in (2, 4) or len(given) != 2:
        kind = f"a tensor of {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise RecipeError(
            "E108",
            "the module gives neither a vector nor a map for each row",
            where=where,
            got=f"{kind} for 2 rows",
            expected="(2, D) or (2, C, H, W)",
        )
    return Custom(entrance, module, given.shape[1], pooled=given.ndim == 4)


def _entrance(facts: Facts) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return what turns the arrays of the wire into one tensor, and the arrays of two rows to try a module on."""
    if facts.image is not None:
        image = facts.image
        return ImageInput(image.mean, image.std), {
            "image": torch.zeros(2, image.height, image.width, image.channels, dtype=torch.uint8)
        }
    if facts.tokens is not None:
        length = facts.tokens.length
        return Filled(Ids(), length), {"tokens": torch.ones(2, length, dtype=torch.int32)}
    if facts.series is not None:
        length, channels = facts.series.length, facts.series.channels
        arrays = {"series": torch.zeros(2, length, channels), "lengths": torch.full((2,), length, dtype=torch.int32)}
        return Filled(sequence_input("custom", facts, 0), length), arrays
    if facts.window is not None:
        length, channels = facts.window.length, facts.window.channels
        return Filled(sequence_input("custom", facts, 0), length), {"window": torch.zeros(2, length, channels)}
    if facts.sound is not None:
        sound = facts.sound
        arrays = {
            "sound": torch.zeros(2, sound.length, dtype=torch.int16),
            "lengths": torch.full((2,), sound.length, dtype=torch.int32),
        }
        return Filled(sequence_input("custom", facts, 0), sound.length // sound.hop + 1), arrays
    return TableVector(facts.numbers, facts.categories), {
        "numbers": torch.zeros(2, len(facts.numbers)),
        "categories": torch.zeros(2, len(facts.categories), dtype=torch.int32),
    }
