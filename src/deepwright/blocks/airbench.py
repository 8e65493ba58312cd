"""The network of the CIFAR-10 speed runs (K. Jordan, arXiv 2404.00498, section 3.1 and appendix A)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from deepwright.blocks.activations import ActivationName, activation
from deepwright.blocks.convolution import ConvolutionStart, convolution, initialize_convolutions, scale_bias_rates
from deepwright.blocks.normalization import MapNormalizationName, map_normalization
from deepwright.blocks.whitening import Whitening


def airbench_network(
    channels: int,
    widths: Sequence[int],
    *,
    depth: int,
    std: Sequence[float],
    patches: Sequence[Sequence[float]] | None,
    start: ConvolutionStart,
    bias_rate: float,
    norm: MapNormalizationName,
    act: ActivationName,
) -> nn.Sequential:
    """Build the network up to its last map: (B, C, H, W) to (B, widths[-1], (H - 1) / 2ⁿ, (W - 1) / 2ⁿ), n the number of groups.

    Args:
        channels: Channels of the pictures.
        widths: Channels of each group.
        depth: Convolutions of each group; the first is followed by a maximum of 2 × 2.
        std: The deviation that each channel of the pictures was divided by.
        patches: The covariance of 2 × 2 patches to whiten by (see :class:`~deepwright.blocks.whitening.Whitening`); ``None``: the
            first convolution is learnt.
        start: The first weights of the convolutions.
        bias_rate: How many times as fast as the rest the biases of normalisations learn.
        norm: The normalisation.
        act: The activation.
    """
    first = nn.Conv2d(channels, 8 * channels, 2) if patches is None else Whitening(channels, std, patches)
    layers: list[nn.Module] = [first, activation(act)]
    inputs = 8 * channels
    for width in widths:
        layers.append(nn.Conv2d(inputs, width, 3, padding=1, bias=norm == "none"))
        layers += [nn.MaxPool2d(2), map_normalization(norm, width), activation(act)]
        layers += [convolution(width, width, 3, norm=norm, act=act) for _ in range(depth - 1)]
        inputs = width
    network = nn.Sequential(*layers)
    initialize_convolutions(network, start)
    scale_bias_rates(network, bias_rate)
    return network
