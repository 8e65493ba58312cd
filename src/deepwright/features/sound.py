"""Sounds."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepwright import sounds
from deepwright.encoding import no_values
from deepwright.facts import Dtype, Facts, SoundFacts
from deepwright.families import Augmentation, Feature, State

_RATE = 16_000
"""The most samples a second unless the recipe says otherwise: speech needs no more."""
_SECONDS = 30.0
"""The longest sound unless the recipe says otherwise."""
_COVERED = 0.999
"""The share of the training sounds that stay whole, up to :data:`_SECONDS`: one long recording would lengthen all rows."""
_SAMPLE = 4096
"""How many sounds, evenly spaced over the training rows, the mean and the deviation are learnt from."""
_CHUNK = 256


class SoundState(State):
    """What a sound column taught."""

    rate: int
    """The samples a second that sounds are brought to."""
    length: int
    """Samples of a sound at most; what is longer is cut."""
    mean: float
    """The mean of the log-mel spectrogram."""
    std: float
    """Its standard deviation, 1 for a constant."""


class Sound(Feature):
    """A sound: the bytes of a file or its path (extra ``audio``).

    WAV, FLAC, OGG (Vorbis, Opus) and MP3 are read, channels are mixed down, and every sound is brought to one rate. The network
    begins with the log-mel spectrogram, which is computed inside the exported graph. A missing sound has no sample at all.
    """

    dtype: ClassVar[Dtype] = "sound"
    state: ClassVar[type[State]] = SoundState
    usual_encoder: ClassVar[str] = "sound_cnn"

    rate: int | None = Field(None, ge=1000, le=192_000)
    """Samples a second; by default the most frequent rate of the training files, at most 16,000."""
    max_seconds: float | None = Field(None, gt=0, le=600)
    """The longest sound; of longer ones the start stays. By default as long as 99.9 % of the training sounds are at most, but no
    more than 30 seconds."""
    mels: int = Field(40, ge=4, le=256)
    """The bands of the spectrogram, evenly spaced on the mel scale from 20 Hz to half the rate."""
    window: float = Field(32.0, ge=1, le=1000)
    """Milliseconds of a frame of the spectrogram."""
    hop: float = Field(10.0, ge=1, le=1000)
    """Milliseconds from one frame to the next."""
    cepstra: int | None = Field(None, ge=2, le=256)
    """How many mel-frequency cepstral coefficients (MFCC) take the place of the bands; by default none do."""
    augment: tuple[Augmentation, ...] | None = None
    """Random changes of training sounds; by default chosen by the data; ``[]``: none."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.hop > self.window:
            raise ValueError(f"hop ({self.hop:g} ms) must be at most window ({self.window:g} ms), or sound would be skipped")
        if self.cepstra is not None and self.cepstra > self.mels:
            raise ValueError(f"cepstra ({self.cepstra}) must be at most mels ({self.mels})")
        return self

    def fit(self, column: pl.Series) -> SoundState:
        """Learn the rate and the length, and the mean and deviation of the spectrogram (from at most 4,096 sounds, evenly spaced).

        Raises:
            DataError: There is no sound (E260), or sounds cannot be read (E266, all of them listed).
            MissingExtra: The library that reads sounds is not installed (E601).
        """
        known = column.drop_nulls()
        if known.is_empty():
            raise no_values(column, "sound")
        heads = sounds.headers(column)
        rate = self.rate or min(_RATE, _most_frequent(heads[:, 1]))
        seconds = heads[:, 0] / heads[:, 1]
        usual = min(_SECONDS, float(np.quantile(seconds, _COVERED, method="higher")))
        longest = usual if self.max_seconds is None else min(self.max_seconds, float(seconds.max()))
        length = max(1, math.ceil(longest * rate))
        sample = known.gather(np.unique(np.linspace(0, len(known) - 1, _SAMPLE).astype(np.int64)))
        mean, std = self._moments(sample, sounds.Form(rate, length))
        return SoundState(rate=rate, length=length, mean=mean, std=std)

    def _moments(self, column: pl.Series, form: sounds.Form) -> tuple[float, float]:
        """Return mean and deviation of the log-mel spectrograms; sums are exact, so that the order of the rows does not matter."""
        count, totals, squares = 0, list[float](), list[float]()
        for start in range(0, len(column), _CHUNK):
            rows, lengths = sounds.decode(column[start : start + _CHUNK], form)
            for row, length in zip(rows, lengths, strict=True):
                mel = sounds.log_mel(row[:length], form.rate, *self._frame(form.rate), self.mels)
                count += mel.size
                totals.append(float(mel.sum()))
                squares.append(float((mel**2).sum()))
        mean = math.fsum(totals) / count
        std = math.sqrt(max(math.fsum(squares) / count - mean**2, 0.0))
        return mean, std if std > 1e-3 else 1.0

    def _frame(self, rate: int) -> tuple[int, int]:
        """Return the samples of a frame, and from one frame to the next."""
        hop = max(1, round(self.hop * rate / 1000))
        return max(hop, 2, round(self.window * rate / 1000)), hop

    def encode(self, column: pl.Series, state: SoundState) -> dict[str, NDArray[np.generic]]:
        """Return ``sound`` (B, T) int16 and ``lengths`` (B,) int32, in samples.

        Raises:
            DataError: Sounds cannot be read (E266, all of them listed).
            MissingExtra: The library that reads sounds is not installed (E601).
        """
        rows, lengths = sounds.decode(column, sounds.Form(state.rate, state.length))
        return {"sound": rows, "lengths": lengths}

    def facts(self, name: str, state: SoundState) -> Facts:
        """Return the sound's facts."""
        window, hop = self._frame(state.rate)
        facts = SoundFacts(state.rate, state.length, self.mels, window, hop, state.mean, state.std, self.cepstra or 0)
        return Facts(name, sound=facts)

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return tones, noise and stereo of several lengths, rates and formats as the bytes of files, and a missing one."""
        draw = np.random.default_rng(0)
        tones = [np.sin(np.arange(n) * pitch).astype(np.float32) / 2 for n, pitch in ((400, 0.2), (90, 0.7), (800, 0.05))]
        plain = [sounds.wav(tone, 8000, subtype="PCM_16") for tone in tones]
        noise = draw.normal(0, 0.1, (600, 2)).astype(np.float32)
        mixed = [sounds.wav(noise, rate, subtype="FLOAT") for rate in (8000, 11025)]
        return {
            "tones": [*plain, None],
            "mixed": [None, *mixed, plain[0], sounds.wav(tones[2], 8000, kind="FLAC")],
            "silence": [sounds.wav(np.zeros(64, np.int16), 8000), plain[1]],
        }


def _most_frequent(rates: NDArray[np.int64]) -> int:
    """Return the most frequent rate, of equally frequent ones the highest."""
    counts: Counter[int] = Counter(rates.tolist())
    return max(counts, key=lambda rate: (counts[rate], rate))
