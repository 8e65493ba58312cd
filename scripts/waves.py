"""Write examples/waves.zip: noisy waves of 100 steps, of three shapes, as two .ts files.

    python scripts/waves.py

The data are made here and belong to nobody: they are in the public domain (CC0).
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "examples" / "waves.zip"
SHAPES = ("saw", "sine", "square")
STEPS = 100


def wave(shape: str, draw: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return one wave of a random period, phase and height, with noise as high as half of it."""
    turns = np.arange(STEPS) / draw.uniform(15, 40) + draw.uniform()
    part = turns % 1
    plain = {"saw": 2 * part - 1, "sine": np.sin(2 * np.pi * turns), "square": np.where(part < 0.5, 1.0, -1.0)}[shape]
    return draw.uniform(0.8, 1.2) * plain + draw.normal(scale=0.5, size=STEPS)


def file(name: str, rows: int, seed: int) -> str:
    """Return the text of a .ts file with so many waves of each shape."""
    draw = np.random.default_rng(seed)
    labels = [SHAPES[row % len(SHAPES)] for row in range(rows * len(SHAPES))]
    lines = [",".join(f"{value:.2f}" for value in wave(label, draw)) + f":{label}" for label in labels]
    header = (
        f"# {name}: made by scripts/waves.py, public domain",
        "@problemName Waves",
        "@timeStamps false",
        "@missing false",
        "@univariate true",
        "@equalLength true",
        f"@seriesLength {STEPS}",
        f"@classLabel true {' '.join(SHAPES)}",
        "@data",
    )
    return "\n".join([*header, *lines, ""])


def main() -> None:
    """Write the archive, with the same bytes each time."""
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED) as box:
        for name, rows, seed in (("Waves_TRAIN", 60, 0), ("Waves_TEST", 60, 1)):
            box.writestr(zipfile.ZipInfo(f"waves/{name}.ts", (2026, 1, 1, 0, 0, 0)), file(name, rows, seed), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
