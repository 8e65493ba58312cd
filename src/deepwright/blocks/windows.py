"""Windows of latest rows, (B, L, C), and the forecasts that are made of them.

Encoders see a window normalised, usually one column of it at a time: (B, L, 1) → (B, width). What they see is made here, and so
is the forecast: one linear layer for all columns, and what was taken from the window given back.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.contract import EncoderModule
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.sequencing import PositionName
from deepwright.blocks.transformer import TransformerBody
from deepwright.facts import Normalization

_EPS = 1e-5


class Path(EncoderModule):
    """What a window foretells of each column, before the layer that says it.

    Args:
        encoder: From a normalised window (B, L, 1), or (B, L, C) with ``mix``, to a vector.
        normalize: What is taken from each column before; see :data:`deepwright.facts.Normalization`.
        order: The window's column of each column that is foretold; -1 if the window does not have it.
        mix: Whether the encoder sees all columns together.
    """

    def __init__(self, encoder: EncoderModule, normalize: Normalization, order: tuple[int, ...], *, mix: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.normalize: Normalization = normalize
        self.order = order
        self.mix = mix
        self.phases = encoder.phases
        self.width = encoder.width

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return what the encoder makes of the window, (B, columns × width)."""
        return self.read(inputs)[0].flatten(1)

    def read(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the encoder's vectors by phase, (B, columns, P, D), and the scale and offset of the forecast, (B, 1, C).

        With ``mix`` all columns share one vector: (B, 1, P, D).
        """
        window = inputs["window"]
        offset, scale = self._level(window)
        x = (window - offset) / scale
        columns = 1 if self.mix else x.shape[2]
        if not self.mix:
            x = x.transpose(1, 2).reshape(-1, x.shape[1], 1)
        states = self.encoder({"window": x}).view(-1, columns, self.phases, self.width // self.phases)
        if self.order != tuple(range(window.shape[2])):
            there = [max(0, place) for place in self.order]
            known = torch.tensor([float(place >= 0) for place in self.order], device=window.device)
            offset, scale = offset[:, :, there] * known, scale[:, :, there] * known + (1 - known)
            states = states if self.mix else states[:, there]
        return states, scale, offset

    def _level(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is taken from each column, and what it is divided by, (B, 1, C)."""
        last = window[:, -1:]
        if self.normalize == "none":
            return torch.zeros_like(last), torch.ones_like(last)
        if self.normalize == "last":
            return last, torch.ones_like(last)
        mean = window.mean(1, keepdim=True)
        if self.normalize == "mean":
            return mean, torch.ones_like(last)
        return mean, torch.sqrt(((window - mean) ** 2).mean(1, keepdim=True) + _EPS)


class ForecastLayer(nn.Module):
    """From what windows foretell to the forecast: (B, K, H × C × Q), one of K for each window.

    Step h of a forecast is read from phase ``h mod P``, by one linear layer for all phases and columns. Where a window's level is
    taken away, the layer has no bias: a flat window is foretold as flat, and the drift of the training rows is not taken for a law.

    Args:
        paths: The windows.
        horizon: H.
        channels: C.
        levels: Q values of each column and step.
        ahead: The widths of what is known of each step that is foretold, which is added to its forecast; nothing at first.
    """

    def __init__(self, paths: list[Path], horizon: int, channels: int, levels: int, ahead: Sequence[int] = ()) -> None:
        super().__init__()
        self.horizon, self.channels, self.levels = horizon, channels, levels
        self.rows = [-(-horizon // path.phases) for path in paths]
        self.layers = nn.ModuleList(
            nn.Linear(
                path.width // path.phases,
                rows * levels * (channels if path.mix else 1),
                bias=levels > 1 or path.normalize == "none",
            )
            for path, rows in zip(paths, self.rows, strict=True)
        )
        self.effects = nn.ModuleList(nn.Linear(width, channels * levels) for width in ahead)
        # The first forecast is what was taken from the window. What data say little of stays near it; weights drawn at random would
        # have to be unlearnt: on ETTh1 a linear layer of 720 rows then is no better than one of 336.
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, found: list[tuple[Tensor, Tensor, Tensor]], ahead: Sequence[Tensor] = ()) -> Tensor:
        """Map what :meth:`Path.read` returned for each window, and what is known of each step, (B, H, D)."""
        forecasts = []
        effects = [layer(known).flatten(1) for layer, known in zip(self.effects, ahead, strict=True)]
        for (states, scale, offset), rows, layer in zip(found, self.rows, self.layers, strict=True):
            size, columns, phases = states.shape[:3]
            told = layer(states).view(size, columns, phases, rows, self.levels, -1)
            # (B, columns, P, rows, Q, C or 1) → (B, rows × P, C, Q)
            told = told.permute(0, 3, 2, 1, 5, 4).reshape(size, rows * phases, self.channels, self.levels)[:, : self.horizon]
            forecasts.append(sum(effects, (told * scale.unsqueeze(-1) + offset.unsqueeze(-1)).flatten(1)))
        return torch.stack(forecasts, 1)


class Plain(EncoderModule):
    """The window as it is, (B, L × C).

    Args:
        length: L.
        channels: C.
        dropout: The fraction of values dropped in training.
    """

    def __init__(self, length: int, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = length * channels
        self.dropout = Dropout(dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Flatten."""
        flat: Tensor = self.dropout(inputs["window"].flatten(1))
        return flat


class Narrow(EncoderModule):
    """A window through a multilayer perceptron that ends narrow, (B, width).

    Args:
        inputs: Its values.
        hidden: The widths of the layers before the last.
        width: The width of the last.
        dropout: The fraction of values behind each layer but the last dropped in training.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...], width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = width
        sizes = (inputs, *hidden)
        self.layers = nn.ModuleList(nn.Linear(before, behind) for before, behind in itertools.pairwise(sizes))
        self.last = nn.Linear(sizes[-1], width)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode."""
        x = inputs["window"].flatten(1)
        for layer in self.layers:
            x = self.dropout(F.gelu(layer(x)))
        narrow: Tensor = self.last(x)
        return narrow


class Decomposition(EncoderModule):
    """A window's moving mean, and what remains, (B, 2 × L × C) (Zeng et al. 2022, arXiv 2205.13504).

    Args:
        length: L.
        channels: C.
        kernel: Rows of the mean, odd; the ends are repeated.
        dropout: The fraction of values dropped in training.
    """

    def __init__(self, length: int, channels: int, kernel: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = 2 * length * channels
        self.kernel = kernel
        self.dropout = Dropout(dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Decompose."""
        x = inputs["window"]
        around = self.kernel // 2
        padded = torch.cat([x[:, :1].expand(-1, around, -1), x, x[:, -1:].expand(-1, around, -1)], 1)
        trend = F.avg_pool1d(padded.transpose(1, 2), self.kernel, 1).transpose(1, 2)
        parts: Tensor = self.dropout(torch.cat([trend, x - trend], 1).flatten(1))
        return parts


class Phases(EncoderModule):
    """A window by phases of a season: one row of each season, for every phase (Lin et al. 2024, arXiv 2405.00946).

    A convolution over a season is added to the window first. (B, P × n × C), phase by phase, of the last n seasons.

    Args:
        length: L, at least P.
        channels: C.
        period: P.
        dropout: The fraction of values dropped in training.
    """

    def __init__(self, length: int, channels: int, period: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.phases = period
        self.seasons = length // period
        self.width = period * self.seasons * channels
        around = period // 2
        self.around = nn.Conv1d(1, 1, 1 + 2 * around, padding=around, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Divide by phase."""
        x = inputs["window"]
        rows, length, channels = x.shape
        columns = x.transpose(1, 2).reshape(-1, 1, length)
        smooth = (columns + self.around(columns)).view(rows, channels, length)[:, :, -self.seasons * self.phases :]
        # (B, C, n, P) → (B, P, C × n)
        parts: Tensor = self.dropout(smooth.view(rows, channels, self.seasons, self.phases).permute(0, 3, 1, 2).flatten(1))
        return parts


class Patches(EncoderModule):
    """A transformer over patches of a window, (B, patches × width) (Nie et al. 2023, arXiv 2211.14730).

    Args:
        length: L.
        channels: C.
        patch: Rows of a patch.
        stride: Rows from one patch to the next; the last row is repeated until a whole patch is full.
        width: The width of a patch's vector.
        depth: Layers.
        heads: Heads of each.
        hidden: The inner width of their feed-forward layers.
        dropout: Dropout of the layers.
        positions: How places are told.
    """

    places: Tensor

    def __init__(
        self,
        length: int,
        channels: int,
        patch: int,
        stride: int,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        dropout: float,
        positions: PositionName = "learned",
    ) -> None:
        super().__init__()
        patch = min(patch, length)
        count = (length - patch) // stride + 2 if length > patch else 1
        starts = torch.arange(count) * stride
        # Rows behind the end are the last one again.
        places = (starts[:, None] + torch.arange(patch)).clamp_max(length - 1)
        self.register_buffer("places", places, persistent=False)
        self.width = count * width
        self.body = TransformerBody(patch * channels, width, depth, heads, hidden, dropout, positions=positions, length=count)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode patches."""
        x = inputs["window"]
        count, patch = self.places.shape
        parts = x.index_select(1, self.places.flatten()).view(x.shape[0], count, patch * x.shape[2])
        mask = torch.ones(parts.shape[:2], dtype=torch.bool, device=x.device)
        vector: Tensor = self.dropout(self.body(parts, mask).flatten(1))
        return vector
