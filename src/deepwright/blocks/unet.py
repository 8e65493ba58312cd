"""The U-Net (Ronneberger et al., arXiv 1505.04597): a path down, a path up, and what each stage saw handed across."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.activations import ActivationName
from deepwright.blocks.contract import MapEncoderModule
from deepwright.blocks.convolution import convolution, initialize_convolutions
from deepwright.blocks.normalization import MapNormalizationName

UpName = Literal["bilinear", "transposed"]
"""How a map becomes twice as large."""


class Rise(nn.Module):
    """(B, C, h, w) and a map of the stage above, (B, D, H, W), to (B, outputs, H, W).

    Args:
        inputs: C.
        outputs: The channels that leave, and D.
        up: How the map becomes twice as large.
        norm: The normalisation.
        act: The activation.
    """

    def __init__(self, inputs: int, outputs: int, *, up: UpName, norm: MapNormalizationName, act: ActivationName) -> None:
        super().__init__()
        self.up: nn.Module
        if up == "transposed":
            self.up = nn.ConvTranspose2d(inputs, outputs, 2, 2)
        else:
            self.up = nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), convolution(inputs, outputs, norm=norm, act=act)
            )
        self.body = _twice(2 * outputs, outputs, norm=norm, act=act)

    def forward(self, maps: Tensor, across: Tensor) -> Tensor:
        """Enlarge, join and convolve; of a side that was odd, the last place that enlarging made is cut off."""
        large = self.up(maps)[:, :, : across.shape[2], : across.shape[3]]
        result: Tensor = self.body(torch.cat([across, large], 1))
        return result


class UNetModule(MapEncoderModule):
    """``{"image": (B, H, W, C)}`` to a vector for each pixel, (B, maps_width, H, W), or one for the picture, (B, width).

    Args:
        entrance: From the picture to standardised maps.
        channels: C.
        width: Channels at full size.
        depth: How often the size is halved, sides rounded up.
        up: How maps become twice as large.
        norm: The normalisation.
        act: The activation.
        dropout: The fraction of the channels of the smallest map dropped in training.
        picture: Whether the standardised picture is joined to the map that leaves.
    """

    def __init__(
        self,
        entrance: nn.Module,
        channels: int,
        *,
        width: int,
        depth: int,
        up: UpName = "bilinear",
        norm: MapNormalizationName = "batch",
        act: ActivationName = "relu",
        dropout: float = 0.0,
        picture: bool = True,
    ) -> None:
        super().__init__()
        self.entrance = entrance
        widths = [width << stage for stage in range(depth + 1)]
        self.down = nn.ModuleList(
            _twice(before, after, norm=norm, act=act) for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.rise = nn.ModuleList(
            Rise(below, above, up=up, norm=norm, act=act) for below, above in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.picture = picture
        self.width = widths[-1]
        self.maps_width = width + (channels if picture else 0)
        initialize_convolutions(self)

    def _descend(self, maps: Tensor) -> list[Tensor]:
        """Return the map of each stage, the smallest last."""
        stages: list[Tensor] = []
        for index, stage in enumerate(self.down):
            maps = stage(F.max_pool2d(maps, 2, ceil_mode=True) if index else maps)
            stages.append(maps)
        stages[-1] = self.dropout(stages[-1])
        return stages

    def maps(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return a vector for every pixel."""
        picture = self.entrance(inputs)
        *across, maps = self._descend(picture)
        for rise, beside in zip(self.rise, reversed(across), strict=True):
            maps = rise(maps, beside)
        return torch.cat([maps, picture], 1) if self.picture else maps

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return a vector for every picture."""
        vector: Tensor = self._descend(self.entrance(inputs))[-1].mean((2, 3))
        return vector


def _twice(inputs: int, outputs: int, *, norm: MapNormalizationName, act: ActivationName) -> nn.Sequential:
    """Build two 3×3 convolutions."""
    return nn.Sequential(convolution(inputs, outputs, norm=norm, act=act), convolution(outputs, outputs, norm=norm, act=act))
