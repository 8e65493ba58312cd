"""Reading sounds: files and bytes into one array of samples, and their log-mel spectrograms (floor 2, free of torch)."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import need
from deepwright.media import Medium, each

if TYPE_CHECKING:
    import soundfile

Samples = NDArray[np.int16]
Floats = NDArray[np.float64]

FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3")
"""What is read, of the many formats that libsndfile knows."""
RATES = (1_000, 1_000_000)
"""Samples a second that a file may claim."""
LOUDEST = 16.0
"""The largest value that samples in floating point may have, whose full scale is 1; they are cut off at 1."""

_FULL = 32768.0
_STREAMED = 0x7FFF0000
"""Writers that could not go back to tell the length leave one of at least this many bytes."""
_CHUNKS = 100
_EMPTY = "holds no sample"
_UNKNOWN = "not a sound of a known format, or damaged at its start"


@dataclass(frozen=True)
class Form:
    """What every sound is brought to.

    Args:
        rate: Samples a second.
        length: Samples at most; of longer sounds the start stays.
    """

    rate: int
    length: int


def headers(column: pl.Series) -> NDArray[np.int64]:
    """Return (samples, samples a second) of every sound that is not missing, from the files' headers: (n, 2).

    Raises:
        DataError: Sounds cannot be read (E266).
        MissingExtra: The library that reads sounds is not installed (E601).
    """
    need("soundfile", extra="audio")
    found = [header for header in each(column, _header, MEDIUM) if header is not None]
    return np.asarray(found, dtype=np.int64).reshape(-1, 2)


def decode(column: pl.Series, form: Form) -> tuple[Samples, NDArray[np.int32]]:
    """Return all sounds, their channels mixed down, (B, T) and 0 behind their ends, and their lengths (B,), 0 if missing.

    Args:
        column: Binary (bytes of files) or String (paths).
        form: What to bring them to.

    Raises:
        DataError: Sounds cannot be read (E266, all rows counted, the first ten listed).
        MissingExtra: A library that reads or resamples sounds is not installed (E601).
    """
    out = np.zeros((len(column), form.length), np.int16)
    lengths = np.zeros(len(column), np.int32)
    if column.null_count() < len(column):
        need("soundfile", extra="audio")
    for row, sound in enumerate(each(column, lambda value: _read(value, form), MEDIUM)):
        if sound is not None:
            out[row, : len(sound)] = sound
            lengths[row] = len(sound)
    return out, lengths


def drawn(data: bytes, seconds: float = 10.0) -> NDArray[np.uint8]:
    """Return the spectrogram of a file's first seconds as a grey picture (bands, frames), low bands at the bottom.

    Raises:
        DataError: It cannot be read (E266).
        MissingExtra: The library that reads sounds is not installed (E601).
    """
    column = pl.Series("sound", [data])
    rate = min(16_000, int(headers(column)[0, 1]))
    rows, lengths = decode(column, Form(rate, math.ceil(seconds * rate)))
    mel = log_mel(rows[0, : lengths[0]], rate, max(2, rate // 30), max(1, rate // 60), 48)
    low, high = mel.min(), mel.max()
    return np.asarray((mel.T[::-1] - low) / max(high - low, 1e-6) * 255, dtype=np.uint8)


def libraries() -> list[str]:
    """Return the versions of what decodes and resamples, empty where it is not installed."""
    return [_version(name) for name in ("soundfile", "soxr")]


def wav(samples: NDArray[np.generic], rate: int, *, subtype: str | None = None, kind: str = "WAV") -> bytes:
    """Return the bytes of a sound file for samples (T,) or (T, channels): int16, or floats in ±1.

    Raises:
        MissingExtra: The library is not installed (E601).
    """
    need("soundfile", extra="audio")
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype, format=kind)
    return file.getvalue()


# Files ----------------------------------------------------------------------------------------------------------------------


class _BrokenError(ValueError):
    """A file that is no sound, or none that can be true."""


MEDIUM = Medium(
    "sounds",
    "E266",
    "whole files in one of WAV, FLAC, OGG, MP3",
    (ValueError, OSError, OverflowError, MemoryError, struct.error),
    lambda error: str(error),
)


@contextmanager
def _opened(value: bytes | str) -> Iterator[soundfile.SoundFile]:
    """Open a file without decoding it.

    Raises:
        _BrokenError: It is no sound, or its header claims what cannot be; also for what is raised while it is open.
    """
    import soundfile

    readable = False
    try:
        with io.BytesIO(value) if isinstance(value, bytes) else open(value, "rb") as raw:
            _check_riff(raw)
            raw.seek(0)
            # a file of its own is read by the library alone; of anything else it would ask us for each piece
            with soundfile.SoundFile(raw if isinstance(value, bytes) else value) as sound:
                if sound.format not in FORMATS:
                    raise _BrokenError(f"a sound in the format {sound.format}, which is not read")
                if not RATES[0] <= sound.samplerate <= RATES[1]:
                    raise _BrokenError(f"claims {sound.samplerate:,} samples a second")
                readable = True
                yield sound
    except (soundfile.SoundFileError, TypeError) as error:
        # What the library says of files that it cannot open is often wrong, such as that they do not exist.
        why = getattr(error, "error_string", str(error)).removeprefix("Error : ").rstrip(".") if readable else _UNKNOWN
        raise _BrokenError(why) from error


def _check_riff(file: BinaryIO) -> None:
    """Refuse a WAV file that was cut short: libsndfile would read what there is without a word."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    end, at = file.seek(0, io.SEEK_END), 12
    for _ in range(_CHUNKS):
        file.seek(at)
        entry = file.read(8)
        if len(entry) < 8:
            return
        name, size = struct.unpack("<4sI", entry)
        if name == b"data":
            if end - at - 8 < size < _STREAMED:
                raise _BrokenError(f"cut short: the header tells of {size:,} bytes of sound, and {end - at - 8:,} are there")
            return
        at += 8 + size + size % 2


@dataclass(frozen=True)
class Content:
    """What a sound holds.

    Args:
        size: (samples,), of one channel.
        rate: Samples a second.
        channels: How many.
        empty: Whether it is silent: all samples are the same.
    """

    size: tuple[int]
    rate: int
    channels: int
    empty: bool


def examined(value: bytes | str) -> Content:
    """Read a whole sound and return what it holds.

    Raises:
        ValueError: It is no sound, or damaged; what else the files of :data:`MEDIUM` raise.
    """
    with _opened(value) as sound:
        rate, channels, count = sound.samplerate, sound.channels, 0
        low, high = np.float32(math.inf), np.float32(-math.inf)
        while len(block := sound.read(rate, "float32")):
            count += len(block)
            low, high = np.minimum(low, block.min()), np.maximum(high, block.max())  # NaN if there is one
        if sound.format == "FLAC" and count < sound.frames:
            raise _cut_short(count, sound.frames)
    if not count:
        raise _BrokenError(_EMPTY)
    peak = float(np.maximum(-low, high))
    if not peak <= LOUDEST:
        raise _too_loud(peak)
    return Content((count,), rate, channels, bool(low == high))


def _header(value: bytes | str) -> tuple[int, int]:
    with _opened(value) as sound:
        if not sound.frames:
            raise _BrokenError(_EMPTY)
        return min(sound.frames, 2**40), sound.samplerate


def _read(value: bytes | str, form: Form) -> Samples:
    """Decode, mix down, resample and cut: (T,)."""
    with _opened(value) as sound:
        rate = sound.samplerate
        wanted = min(sound.frames, math.ceil(form.length * rate / form.rate) + rate)
        exact = rate == form.rate and sound.channels == 1 and sound.subtype == "PCM_16"
        dtype = "int16" if exact else "float32"
        # a second at a time, so that many channels do not fill the memory
        parts = []
        while wanted > 0 and len(block := sound.read(min(wanted, rate), dtype, always_2d=True)):
            with np.errstate(invalid="ignore"):  # what is not finite is told below
                parts.append(block.mean(1, dtype=block.dtype) if block.shape[1] > 1 else block[:, 0])
            wanted -= len(block)
        if sound.format == "FLAC" and wanted > 0:
            raise _cut_short(sound.frames - wanted, sound.frames)
    mono = np.concatenate(parts) if parts else np.zeros(0, dtype)
    if not len(mono):
        raise _BrokenError(_EMPTY)
    if not exact:
        peak = float(np.abs(mono).max())  # NaN if there is one
        if not peak <= LOUDEST:
            raise _too_loud(peak)
        if rate != form.rate:
            mono = need("soxr", extra="audio").resample(mono, rate, form.rate)
        mono = np.clip(np.rint(mono * _FULL), -_FULL, _FULL - 1).astype(np.int16)
    return mono[: form.length]


def _cut_short(there: int, claimed: int) -> _BrokenError:
    return _BrokenError(f"cut short: {there:,} of {claimed:,} samples are there")


def _too_loud(peak: float) -> _BrokenError:
    what = f"samples up to {peak:,.6g}" if math.isfinite(peak) else "samples that are NaN or infinite"
    return _BrokenError(f"holds {what}, where full scale is 1")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


# Spectrograms ---------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
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


def hann(window: int) -> Floats:
    """Return a periodic Hann window."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window))


def log_mel(sound: Samples, rate: int, window: int, hop: int, mels: int) -> Floats:
    """Return ``log(mel power + 1e-5)`` of one sound (T,): (frames, mels), as :class:`deepwright.blocks.spectrogram.LogMel` does."""
    frames = -(-len(sound) // hop)
    wave = np.zeros((frames - 1) * hop + window if frames else window)
    count = min(len(sound), len(wave) - window // 2)
    wave[window // 2 : window // 2 + count] = sound[:count] / _FULL
    parts = np.lib.stride_tricks.sliding_window_view(wave, window)[::hop][:frames]
    power = np.abs(np.fft.rfft(parts * hann(window), axis=1)) ** 2
    return np.asarray(np.log(power @ mel_filters(rate, window, mels) + 1e-5))


def cosine_transform(bands: int, kept: int) -> Floats:
    """Return the first ``kept`` columns of the orthonormal cosine transform (DCT-II) of ``bands`` values: (bands, kept)."""
    waves = np.cos(np.pi / bands * np.outer(np.arange(bands) + 0.5, np.arange(kept))) * math.sqrt(2 / bands)
    waves[:, 0] /= math.sqrt(2)
    return np.asarray(waves)
