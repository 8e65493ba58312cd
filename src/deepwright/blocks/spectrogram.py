"""Log-mel spectrograms inside the graph: framing and a discrete Fourier transform as one convolution."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Floats = NDArray[np.float64]


def mel_filters(rate: int, window: int, mels: int) -> Floats:
    """Return triangular filters (window // 2 + 1, mels), evenly spaced on the mel scale 2595 log₁₀(1 + f / 700), peaks of 1."""

    def to_mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    points = 700.0 * (10.0 ** (np.linspace(to_mel(20.0), to_mel(rate / 2), mels + 2) / 2595.0) - 1.0)
    frequency = np.arange(window // 2 + 1) * rate / window
    # A band that is narrower than a bin still holds one.
    width = np.maximum(np.diff(points), rate / window)
    rise = (frequency[:, None] - points[:-2]) / width[:-1]
    fall = (points[2:] - frequency[:, None]) / width[1:]
    return np.asarray(np.clip(np.minimum(rise, fall), 0.0, 1.0))


def frames_of(samples: int, hop: int) -> int:
    """Return how many frames a sound of so many samples has."""
    return -(-samples // hop)


class LogMel(nn.Module):
    """``log(mel power + 1e-5)`` of sounds (B, T) ``int16``, standardised: (B, frames, mels).

    A frame is centred on every ``hop``-th sample; a Hann window weighs it. Beyond the ends there is silence.

    Args:
        rate: Samples a second.
        window: Samples of a frame.
        hop: Samples from one frame to the next.
        mels: Bands.
        mean: Mean of the logarithms over the training rows.
        std: Their standard deviation.
    """

    filters: Tensor
    transform: Tensor

    def __init__(self, rate: int, window: int, hop: int, mels: int, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        self.window, self.hop, self.mean, self.std = window, hop, mean, std
        time = np.arange(window)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * time / window)
        angle = 2 * np.pi * np.outer(np.arange(window // 2 + 1), time) / window
        waves = np.concatenate([np.cos(angle), np.sin(angle)]) * hann
        self.register_buffer("transform", torch.tensor(waves[:, None], dtype=torch.float32), persistent=False)
        self.register_buffer("filters", torch.tensor(mel_filters(rate, window, mels), dtype=torch.float32), persistent=False)

    def forward(self, sound: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frames (B, frames, mels) and how many of them each row has (B,)."""
        with torch.autocast(sound.device.type, enabled=False):
            there = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
            wave = sound.float() / 32768.0 * there
            half = self.window // 2
            # As many samples behind the end as the last frame needs.
            wave = F.pad(wave, (half, half + self.hop))
            parts = F.conv1d(wave.unsqueeze(1), self.transform, stride=self.hop)
            real, imaginary = parts.chunk(2, 1)
            power = (real.square() + imaginary.square()).transpose(1, 2)
            mel = torch.log(power @ self.filters + 1e-5)
            count = (sound.shape[1] + self.hop - 1) // self.hop
            return (mel[:, :count] - self.mean) / self.std, (lengths + self.hop - 1) // self.hop
