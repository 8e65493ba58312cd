"""Write examples/dialled.zip: telephone numbers of 3 to 7 digits as the tones of their keys, named for the digits.

    python scripts/dialled.py

Each key is a pair of tones (ITU-T Q.23), of a random length and loudness, with random pauses and noise. The data are made here and
belong to nobody: they are in the public domain (CC0).
"""

from __future__ import annotations

import io
import wave
import zipfile
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "examples" / "dialled.zip"
RATE = 4000
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477)
KEYS = ("123", "456", "789", "*0#")


def key(digit: str, draw: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the sound of a key, with a pause behind it."""
    row = next(index for index, keys in enumerate(KEYS) if digit in keys)
    time = np.arange(int(RATE * draw.uniform(0.06, 0.14))) / RATE
    pair = (LOW[row], HIGH[KEYS[row].index(digit)])
    tones = sum(np.sin(2 * np.pi * tone * time + draw.uniform(0, 6)) for tone in pair) * draw.uniform(0.05, 0.2)
    return np.concatenate([tones, np.zeros(int(RATE * draw.uniform(0.02, 0.08)))])


def main() -> None:
    """Write the archive, with the same bytes each time."""
    draw = np.random.default_rng(0)
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED) as box:
        for number in range(240):
            digits = "".join(draw.choice([*"0123456789"], draw.integers(3, 8)))
            sound = np.concatenate([key(digit, draw) for digit in digits])
            sound += draw.normal(scale=0.02, size=len(sound))
            file = io.BytesIO()
            with wave.open(file, "wb") as out:
                out.setnchannels(1)
                out.setsampwidth(1)
                out.setframerate(RATE)
                out.writeframes((128 + 127 * sound.clip(-1, 1)).astype(np.uint8).tobytes())
            box.writestr(
                zipfile.ZipInfo(f"dialled/{digits}_{number}.wav", (2026, 1, 1, 0, 0, 0)), file.getvalue(), zipfile.ZIP_DEFLATED
            )


if __name__ == "__main__":
    main()
