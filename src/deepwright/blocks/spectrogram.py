"""Log-mel spectrograms inside the graph: framing and a discrete Fourier transform as one convolution.

The same in NumPy is :func:`deepwright.sounds.log_mel`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.sounds import cosine_transform, hann, mel_filters


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
        cepstra: If not 0, so many coefficients of the cosine transform of the bands take their place (MFCC).
    """

    filters: Tensor
    transform: Tensor
    cosines: Tensor | None

    def __init__(self, rate: int, window: int, hop: int, mels: int, mean: float = 0.0, std: float = 1.0, cepstra: int = 0) -> None:
        super().__init__()
        self.window, self.hop, self.mean, self.std = window, hop, mean, std
        time = np.arange(window)
        angle = 2 * np.pi * np.outer(np.arange(window // 2 + 1), time) / window
        waves = np.concatenate([np.cos(angle), np.sin(angle)]) * hann(window)
        self.register_buffer("transform", torch.tensor(waves[:, None], dtype=torch.float32), persistent=False)
        self.register_buffer("filters", torch.tensor(mel_filters(rate, window, mels), dtype=torch.float32), persistent=False)
        cosines = torch.tensor(cosine_transform(mels, cepstra), dtype=torch.float32) if cepstra else None
        self.register_buffer("cosines", cosines, persistent=False)

    def forward(self, sound: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frames (B, frames, mels or cepstra) and how many of them each row has (B,)."""
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
            frames = (mel[:, :count] - self.mean) / self.std
            return frames if self.cosines is None else frames @ self.cosines, (lengths + self.hop - 1) // self.hop
