"""Residual networks over maps (B, C, H, W): ResNet (arXiv 1512.03385) and a compact one for small pictures and CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.activations import ActivationName, activation
from deepwright.blocks.convolution import ConvolutionStart, convolution, initialize_convolutions, padded
from deepwright.blocks.normalization import MapNormalizationName
from deepwright.blocks.shapes import slide

ShortcutName = Literal["project", "pad"]
"""How a skip changes the width: by a learnt 1×1 convolution, or with channels of zeros on both sides (option A of the paper)."""


class Residual(nn.Module):
    """``after(skip(x) + body(x))``.

    Args:
        body: What is learnt on top of the input.
        skip: What the input passes through to fit the body's output; by default nothing.
        after: What follows the sum; by default nothing.
    """

    def __init__(self, body: nn.Module, skip: nn.Module | None = None, after: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.skip = nn.Identity() if skip is None else skip
        self.after = nn.Identity() if after is None else after

    def forward(self, maps: Tensor) -> Tensor:
        """Add."""
        result: Tensor = self.after(self.skip(maps) + self.body(maps))
        return result


class PadShortcut(nn.Module):
    """Every ``stride``-th place of a map (B, C, H, W), with channels of zeros on both sides up to ``outputs``; nothing is learnt.

    Args:
        inputs: C.
        outputs: The channels that leave.
        stride: The step along height and width.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        before = (outputs - inputs) // 2
        self.edges = (0, 0, 0, 0, before, outputs - inputs - before)

    def forward(self, maps: Tensor) -> Tensor:
        """Take and pad."""
        return F.pad(maps[:, :, :: self.stride, :: self.stride], self.edges)


def resnet_block(
    inputs: int,
    width: int,
    stride: int,
    *,
    bottleneck: bool,
    norm: MapNormalizationName,
    act: ActivationName,
    shortcut: ShortcutName = "project",
) -> tuple[Residual, int]:
    """Build one block of a ResNet.

    A basic block is two 3×3 convolutions; a bottleneck is 1×1, 3×3 and 1×1 to four times the width, with the stride at the 3×3
    ("v1.5", which is more accurate than the paper's stride at the first 1×1). The last normalisation starts at zero, so that each
    block starts as the identity (arXiv 1706.02677, section 5.1).

    Returns:
        The block, and its output channels.
    """
    outputs = width * 4 if bottleneck else width
    if bottleneck:
        steps = [
            convolution(inputs, width, 1, norm=norm, act=act),
            convolution(width, width, 3, stride, norm=norm, act=act),
            convolution(width, outputs, 1, norm=norm, act="none"),
        ]
    else:
        steps = [
            convolution(inputs, width, 3, stride, norm=norm, act=act),
            convolution(width, outputs, 3, norm=norm, act="none"),
        ]
    same = stride == 1 and inputs == outputs
    skip: nn.Module | None = None
    if not same:
        # Padding can only widen.
        pads = shortcut == "pad" and outputs >= inputs
        skip = PadShortcut(inputs, outputs, stride) if pads else convolution(inputs, outputs, 1, stride, norm=norm, act="none")
    return Residual(nn.Sequential(*steps), skip, activation(act)), outputs


def resnet(
    channels: int,
    blocks: Sequence[int],
    *,
    width: int = 64,
    bottleneck: bool = False,
    small: bool = False,
    norm: MapNormalizationName = "batch",
    act: ActivationName = "relu",
    shortcut: ShortcutName = "project",
) -> tuple[nn.Sequential, int]:
    """Build a ResNet without its head.

    Args:
        channels: Channels of the pictures.
        blocks: The number of blocks of each stage; the first stage keeps the size, each later one halves it and doubles the width.
        width: Channels of the stem and the first stage.
        bottleneck: Whether blocks are bottlenecks.
        small: The stem: 3×3 at full size for small pictures, else 7×7 and a pool that together divide the size by 4.
        norm: The normalisation.
        act: The activation.
        shortcut: How skips change the width.

    Returns:
        The network, and its output channels.
    """
    stages: list[nn.Module] = [convolution(channels, width, 3 if small else 7, 1 if small else 2, norm=norm, act=act)]
    if not small:
        stages.append(nn.MaxPool2d(3, 2, 1))
    current = width
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage and not index else 1
            block, current = resnet_block(
                current, width << stage, stride, bottleneck=bottleneck, norm=norm, act=act, shortcut=shortcut
            )
            stages.append(block)
    network = nn.Sequential(*stages)
    initialize_convolutions(network)
    for module in network:
        if isinstance(module, Residual) and isinstance(module.body, nn.Sequential):
            _start_as_identity(module.body[-1])
    return network, current


def _start_as_identity(last: nn.Module) -> None:
    """Zero the scale of a block's last normalisation; without one, that convolution's weights."""
    scaled = [module for module in last.modules() if getattr(module, "weight", None) is not None]
    nn.init.zeros_(scaled[-1].weight)  # type: ignore[arg-type]


def compact_network(
    shape: tuple[int, int, int],
    widths: Sequence[int],
    *,
    patch: int,
    depth: int = 1,
    norm: MapNormalizationName = "batch",
    act: ActivationName = "relu",
    start: ConvolutionStart = "he",
) -> nn.Sequential:
    """Build the compact network: a strided stem, then stages that halve the size by an overlapping max pool.

    Each stage is one convolution to its width and ``depth`` convolutions with a skip around each, as in the fast networks of the
    DAWNBench and airbench speed runs (ResNet-9 by D. Page, 2018; arXiv 2404.00498). The last stage, whose map is smallest and
    whose weights are most, has no skips.

    Args:
        shape: (C, H, W) of the pictures.
        widths: Channels of each stage.
        patch: By how much the stem divides the size. Its windows overlap by half up to 4, and not where they would be larger, since
            the stem alone would cost more than all the rest.
        depth: Residual convolutions in each stage but the last.
        norm: The normalisation.
        act: The activation.
        start: The first weights of the convolutions.
    """
    channels, height, width = shape
    kernel = 3 if patch == 1 else 2 * patch if patch <= 4 else patch
    inside, layers = padded((slide(height, kernel, patch, "same"), slide(width, kernel, patch, "same")))
    layers.append(convolution(channels, widths[0], kernel, patch, padding=inside, norm=norm, act=act))
    for stage, outputs in enumerate(widths):
        if stage:
            layers += [nn.MaxPool2d(3, 2, 1), convolution(widths[stage - 1], outputs, 3, norm=norm, act=act)]
        if stage < len(widths) - 1 or stage == 0:
            layers += [Residual(convolution(outputs, outputs, 3, norm=norm, act=act)) for _ in range(depth)]
    network = nn.Sequential(*layers)
    initialize_convolutions(network, start)
    return network
