"""From what the encoders make of a batch to an output's raw prediction: one route for each shape that an output is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import (
    EncoderModule,
    HeadModule,
    MapEncoderModule,
    Raw,
    ReaderModule,
    SequenceEncoderModule,
    WriterModule,
)
from deepwright.blocks.heads import ForecastHead
from deepwright.blocks.members import output_layer
from deepwright.blocks.windows import ForecastLayer, Path

Encoders = Mapping[str, EncoderModule]
"""The encoder of each group of inputs."""

Made = Literal["window", "sequence", "map", "vector"]
"""What an encoder makes: what a window foretells; states (B, T, D) and their mask (B, T); maps (B, D, H, W); a vector (B, D) or
(B, K, D)."""
MADE: tuple[Made, ...] = ("window", "sequence", "map", "vector")
"""The order in which an encoder makes several of them, which dropout's draws depend on."""


def make(encoder: EncoderModule, what: Made, inputs: dict[str, Tensor]) -> Any:
    """Return what an encoder makes of a batch."""
    if what == "window":
        return cast(Path, encoder).read(inputs)
    if what == "sequence":
        return cast(SequenceEncoderModule, encoder).states(inputs)
    return cast(MapEncoderModule, encoder).maps(inputs) if what == "map" else encoder(inputs)


@dataclass
class Encoded:
    """What the encoders make of a batch.

    Args:
        arrays: The batch; what is known of texts that are written is told to their heads.
        made: What was made of each group of inputs.
        fused: The vector of all of them, if an output is made of it.
    """

    arrays: Mapping[str, Tensor]
    made: dict[tuple[str, Made], Any] = field(default_factory=dict)
    fused: Tensor | None = None

    def vectors(self) -> dict[str, Tensor]:
        """Return the vectors that were made, by group."""
        return {group: value for (group, what), value in self.made.items() if what == "vector"}

    def states(self, group: str) -> tuple[Tensor, Tensor]:
        """Return the states of a group and their mask."""
        found: tuple[Tensor, Tensor] = self.made[group, "sequence"]
        return found


class Route:
    """What one output is made of, and how."""

    joins: ClassVar[bool] = False
    """Whether it is made of the fused vector."""
    alone: ClassVar[bool] = False
    """Whether it trains in one process only."""

    def wants(self) -> Mapping[str, Made]:
        """Return what must be made of which groups of inputs, the fused vector aside."""
        return {}

    def layer(self, head: HeadModule, encoders: Encoders) -> nn.Module:
        """Build the output layer."""
        raise NotImplementedError

    def raw(self, layer: nn.Module, head: HeadModule, encoded: Encoded) -> Raw:
        """Return the raw prediction."""
        raise NotImplementedError


@dataclass(frozen=True)
class FusedRoute(Route):
    """From the vector of all inputs.

    Args:
        width: Its width D.
        members: K.
    """

    joins: ClassVar[bool] = True

    width: int
    members: int

    def layer(self, head: HeadModule, encoders: Encoders) -> nn.Module:
        """Build a linear layer, one for each member."""
        return _biased(output_layer(self.width, head.size, self.members), head)

    def raw(self, layer: nn.Module, head: HeadModule, encoded: Encoded) -> Raw:
        """Return (B, O) or (B, K, O)."""
        values: Tensor = layer(encoded.fused)
        return values


@dataclass(frozen=True)
class PairRoute(Route):
    """From the vectors of two groups of inputs, which the output compares."""

    groups: tuple[str, str]

    def wants(self) -> Mapping[str, Made]:
        """Return the two vectors."""
        return dict.fromkeys(self.groups, "vector")

    def layer(self, head: HeadModule, encoders: Encoders) -> nn.Module:
        """Build what brings each of the vectors to the head's size; 0: they stay."""
        widths = [encoders[group].width for group in self.groups]
        return nn.ModuleList(nn.Linear(width, head.size, bias=False) if head.size else nn.Identity() for width in widths)

    def raw(self, layer: nn.Module, head: HeadModule, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Return two times (B, D)."""
        first, second = layer.children()
        one, other = (encoded.made[group, "vector"] for group in self.groups)
        return first(one), second(other)


@dataclass(frozen=True)
class SequenceRoute(Route):
    """From the states of one input."""

    alone: ClassVar[bool] = True

    group: str

    def wants(self) -> Mapping[str, Made]:
        """Return the states."""
        return {self.group: "sequence"}

    def layer(self, head: HeadModule, encoders: Encoders) -> nn.Module:
        """Build a linear layer for each place, one for each member."""
        return _biased(output_layer(_states_width(encoders, self.group), head.size, encoders[self.group].members), head)

    def raw(self, layer: nn.Module, head: HeadModule, encoded: Encoded) -> Raw:
        """Return (B, T, O) or (B, K, T, O), and the mask."""
        values, mask = encoded.states(self.group)
        if values.ndim == 3:
            return layer(values), mask
        rows, members, count, width = values.shape
        each: Tensor = layer(values.transpose(1, 2).reshape(-1, members, width))
        return each.view(rows, count, members, -1).transpose(1, 2), mask


@dataclass(frozen=True)
class AnswerRoute(Route):
    """From the states of one input, read with those of another in mind.

    Args:
        group: What is read.
        asked: What is had in mind.
        alike: Whether both have the same encoder, so that their tokens can be compared.
    """

    alone: ClassVar[bool] = True

    group: str
    asked: str
    alike: bool

    def wants(self) -> Mapping[str, Made]:
        """Return the states of both."""
        return {self.group: "sequence", self.asked: "sequence"}

    def layer(self, head: HeadModule, encoders: Encoders) -> nn.Module:
        """Build a linear layer for each place of what is read."""
        return _biased(output_layer(cast(ReaderModule, head).states_width, head.size, 1), head)

    def raw(self, layer: nn.Module, head: HeadModule, encoded: Encoded) -> Raw:
        """Return (B, T, O) and the mask."""
        asked = encoded.states(self.asked)
        values, mask = cast(ReaderModule, head).read(encoded.states(self.group), asked, self._same(encoded))
        return layer(values), mask

    def _same(self, encoded: Encoded) -> Tensor:
        """Return which known tokens of the two are the same, (B, T, J) of 0 and 1; none if they do not share an encoder."""
        one, other = (encoded.arrays.get(f"{group}.tokens") for group in (self.group, self.asked))
        if one is None or other is None or not self.alike:
            (x, _), (asked, _) = encoded.states(self.group), encoded.states(self.asked)
            return x.new_zeros(()).expand(x.shape[0], x.shape[1], asked.shape[1])
        return ((one.unsqueeze(2) == other.unsqueeze(1)) & (one > 1).unsqueeze(2)).float()


@dataclass(frozen=True)
class MapRoute(Route):
    """From the maps of one picture."""

    alone: ClassVar[bool] = True

    group: str

    def wants(self) -> Mapping[str, Made]:
        """Return the maps."""
        return {self.group: "map"}

    def layer(self, head: HeadModule, encoders: Encoders) -> nn.Module:
        """Build a linear layer for each pixel."""
        return _biased(nn.Conv2d(cast(MapEncoderModule, encoders[self.group]).maps_width, head.size, 1), head)

    def raw(self, layer: nn.Module, head: HeadModule, encoded: Encoded) -> Raw:
        """Return (B, O, H, W)."""
        values: Tensor = layer(encoded.made[self.group, "map"])
        return values


@dataclass(frozen=True)
class WriterRoute(Route):
    """From a text that is known to the scores of its next tokens; else to the memory that one is written from.

    Args:
        name: The output.
        group: What is read, if anything is.
    """

    alone: ClassVar[bool] = True

    name: str
    group: str | None

    def wants(self) -> Mapping[str, Made]:
        """Return the states of what is read."""
        return {} if self.group is None else {self.group: "sequence"}

    def layer(self, head: HeadModule, encoders: Encoders) -> nn.Module:
        """Build nothing: what writes has all that it needs."""
        return nn.Identity()

    def raw(self, layer: nn.Module, head: HeadModule, encoded: Encoded) -> Raw:
        """Return the scores (N, V) and the tokens (B, U), or the memory (B, T, M)."""
        writer = cast(WriterModule, head)
        states = None if self.group is None else encoded.states(self.group)
        written = encoded.arrays.get(f"{self.name}.written")
        if written is not None:
            values, mask = states if states is not None else (None, None)
            raw: tuple[Tensor, Tensor] = writer(values, mask, written)
            return raw
        if states is not None:
            return writer.remember(*states)
        # Nothing was read: a memory of no place, for each row that is to be continued.
        return torch.full_like(encoded.arrays[f"{self.name}.prompt"][:, :1, None], torch.nan, dtype=torch.float32)


@dataclass(frozen=True)
class ForecastRoute(Route):
    """From all windows, and from what is known of each row that is foretold.

    Args:
        windows: The groups of inputs that are windows.
        ahead: Those that are known ahead.
    """

    windows: tuple[str, ...]
    ahead: tuple[str, ...]

    def wants(self) -> Mapping[str, Made]:
        """Return what windows foretell, and the states of the rows ahead."""
        told: dict[str, Made] = dict.fromkeys(self.windows, "window")
        known: dict[str, Made] = dict.fromkeys(self.ahead, "sequence")
        return told | known

    def layer(self, head: HeadModule, encoders: Encoders) -> nn.Module:
        """Build what adds up forecasts."""
        windows = [cast(Path, encoders[group]) for group in self.windows]
        return ForecastLayer(
            windows, *cast(ForecastHead, head).facts.shape, [_states_width(encoders, group) for group in self.ahead]
        )

    def raw(self, layer: nn.Module, head: HeadModule, encoded: Encoded) -> Raw:
        """Return (B, K, O) of K windows."""
        told = [encoded.made[group, "window"] for group in self.windows]
        values: Tensor = layer(told, [encoded.states(group)[0] for group in self.ahead])
        return values


def _states_width(encoders: Encoders, group: str) -> int:
    return cast(SequenceEncoderModule, encoders[group]).states_width


def _biased(layer: nn.Module, head: HeadModule) -> nn.Module:
    """Let the bias of an output layer start where its head says."""
    bias = getattr(head, "initial_bias", None)
    if bias is not None:
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                if name.endswith("bias"):
                    parameter.copy_(torch.as_tensor(bias).expand_as(parameter))
    return layer
