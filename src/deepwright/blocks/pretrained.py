"""Networks of libraries without their classifier, and the wrapper of encoders that start with weights of others."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import EncoderModule
from deepwright.blocks.image import ImageInput
from deepwright.blocks.pipeline import Pipeline
from deepwright.blocks.pooling import GlobalPool, PoolName
from deepwright.errors import RecipeError, need
from deepwright.facts import ImageFacts

Order = Literal["rgb", "bgr", "grey"]
"""The channels that a network wants, in this order."""

LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in grey (ITU-R BT.601), which Pillow takes, too."""


class Channels(nn.Module):
    """``{"image": (B, H, W, C)}`` with the channels that a network wants: grey is repeated, RGB turned round or made grey.

    Args:
        channels: C of the pictures that come.
        order: What the network wants.
    """

    def __init__(self, channels: int, order: Order) -> None:
        super().__init__()
        self.channels = channels
        self.order = order

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Convert a batch."""
        pictures = inputs["image"]
        if self.order == "grey" and self.channels == 3:
            pictures = (pictures.float() * pictures.new_tensor(LUMA, dtype=torch.float32)).sum(-1, keepdim=True)
        elif self.order != "grey" and self.channels == 1:
            pictures = pictures.expand(-1, -1, -1, 3)
        elif self.order == "bgr":
            pictures = pictures.flip(-1)
        return {**inputs, "image": pictures}


class Pretrained(EncoderModule):
    """An encoder of pictures that was trained elsewhere, behind what makes the pictures fit it.

    Args:
        channels: What converts the channels.
        network: The encoder, from the pictures that it wants.
        dropped: Beginnings of names that files of its weights may hold, and it does not: those of its classifier.
        dropout: The probability that a value of the vector is dropped in training.
        library: Whether the network is one of a library, whose names are those of ``network.body``.

    Attributes:
        still: Whether its batch normalisations keep their statistics in training, too.
    """

    def __init__(
        self,
        channels: Channels,
        network: EncoderModule,
        dropped: tuple[str, ...] = (),
        *,
        dropout: float = 0.0,
        library: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.network = network
        self.dropout = nn.Dropout(dropout)
        self.dropped = dropped
        self.library = library
        self.width, self.members = network.width, network.members
        self.still = False

    @property
    def core(self) -> nn.Module:
        """The module whose names files of weights have."""
        return cast(nn.Module, self.network.body) if self.library else self.network

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        vector: Tensor = self.dropout(self.network(self.channels(inputs)))
        return vector

    def train(self, mode: bool = True) -> Pretrained:
        """Set the mode."""
        super().train(mode)
        self.hold()
        return self

    def hold(self) -> None:
        """Let a ``still`` network's batch normalisations keep their statistics, whatever the mode."""
        for module in self.modules() if self.still else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def torchvision_names() -> list[str]:
    """Return the names of torchvision's classifiers.

    Raises:
        MissingExtra: torchvision is not installed (E601).
    """
    models = need("torchvision.models", extra="vision")
    return list(models.list_models(module=models))


def timm_names() -> list[str]:
    """Return the names of timm's networks.

    Raises:
        MissingExtra: timm is not installed (E601).
    """
    return list(need("timm", extra="timm").list_models())


def torchvision_network(name: str) -> tuple[nn.Module, tuple[str, ...]]:
    """Return a classifier of torchvision up to its last layer, and the beginnings of the names that were left away.

    Layers of the classifier before its last one stay: they were learnt, too.

    Raises:
        MissingExtra: torchvision is not installed (E601).
    """
    models = need("torchvision.models", extra="vision")
    # These two return a second prediction in training, from a classifier half way.
    aside = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}.get(name, ())
    plain = {"aux_logits": False, "init_weights": True} if aside else {}
    network: nn.Module = models.get_model(name, weights=None, **plain)
    last = [key for key, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    network.set_submodule(last, nn.Identity())
    return network, (last + ".", *aside)


def timm_network(name: str) -> tuple[nn.Module, tuple[str, ...]]:
    """Return a network of timm without its classifier, and the beginnings of the names that were left away.

    Raises:
        MissingExtra: timm is not installed (E601).
    """
    timm = need("timm", extra="timm")
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
    heads = network.pretrained_cfg.get("classifier") or ()  # type: ignore[union-attr, operator]
    return network, tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))


def pictures_of(library: str, name: str) -> tuple[int, int, tuple[float, ...], tuple[float, ...]]:
    """Return (H, W, mean, std) of the pictures that a library's network was trained with, mean and std in 0…255."""
    if library == "timm":
        config = need("timm", extra="timm").get_pretrained_cfg(name)
        (_, height, width), mean, std = config.input_size, config.mean, config.std
    else:
        known = need("torchvision.models", extra="vision").get_model_weights(name).DEFAULT.transforms()
        height = width = known.crop_size[0]
        mean, std = known.mean, known.std
    return height, width, tuple(round(255 * value, 3) for value in mean), tuple(round(255 * value, 3) for value in std)


def nearest_names(name: str, known: Sequence[str]) -> str:
    """Return the names that are most like one, for a message."""
    return ", ".join(difflib.get_close_matches(name, known, 5, 0.4)) or f"{len(known)} names"


def library_encoder(network: nn.Module, image: ImageFacts, where: str) -> Pipeline:
    """Return an encoder of a library's network, which is tried on one picture to see what leaves it.

    Args:
        network: From (1, C, H, W) to a vector or a map.
        image: The pictures that it wants.
        where: The recipe's path.

    Raises:
        RecipeError: It does not take pictures of that size, or something else than a vector or a map leaves it (E108).
    """
    try:
        with torch.no_grad():
            tried = network.eval()(torch.zeros(1, image.channels, image.height, image.width))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise RecipeError(
            "E108",
            f"the network takes no pictures of {image.height} × {image.width}",
            where=where,
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            fix="leave height and width of the input out: the network's own are taken",
        ) from None
    finally:
        network.train()
    if not isinstance(tried, Tensor) or tried.ndim not in (2, 4):
        kind = f"a tensor of {tuple(tried.shape)}" if isinstance(tried, Tensor) else f"a {type(tried).__name__}"
        raise RecipeError("E108", "the network gives neither a vector nor a map", where=where, got=kind)
    exit_ = GlobalPool("avg") if tried.ndim == 4 else nn.Identity()
    return Pipeline(ImageInput(image.mean, image.std), network, exit_, tried.shape[1])


def repool(network: nn.Module, kind: PoolName, where: str) -> None:
    """Let the last global pooling of a network take the mean or the maximum.

    Raises:
        RecipeError: There is none (E108).
    """
    pools = [
        name
        for name, module in network.named_modules()
        if isinstance(module, GlobalPool) or (isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)))
    ]
    if not pools:
        raise RecipeError("E108", "the network has no global pooling to change", where=where, fix="pool: null")
    last = network.get_submodule(pools[-1])
    if isinstance(last, GlobalPool):
        last.kind = kind
    else:
        network.set_submodule(pools[-1], nn.AdaptiveMaxPool2d(1) if kind == "max" else nn.AdaptiveAvgPool2d(1))


def hub_weights(library: str, name: str) -> dict[str, Tensor]:
    """Fetch the weights of a library's network over the network, as tensors only.

    Raises:
        OSError: They cannot be fetched.
    """
    if library == "timm":
        return dict(need("timm", extra="timm").create_model(name, pretrained=True).state_dict())
    weights = need("torchvision.models", extra="vision").get_model_weights(name).DEFAULT
    found = weights.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
    # The files of DenseNets are older than the names of its modules.
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key): tensor for key, tensor in found.items()}
