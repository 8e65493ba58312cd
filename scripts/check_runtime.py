"""Show that an installation without torch predicts what torch predicts, and stays small.

    python scripts/check_runtime.py BUNDLE DATA REFERENCE.csv

REFERENCE.csv holds the predictions of the torch model for DATA, made in an environment that has torch.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

MOST_MEGABYTES = 450
"""The most that the installed packages may take on the disk."""
TOLERANCE = 1e-4
"""The most that two predictions may differ."""


def size(folder: Path) -> float:
    """Return the megabytes (10⁶ bytes) below ``folder``, byte code and pip aside, which are not the package's."""
    own = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    kept = (
        file
        for file in own
        if "__pycache__" not in file.parts and file.relative_to(folder).parts[0].split("-")[0] not in ("pip", "setuptools")
    )
    return sum(file.stat().st_size for file in kept) / 1e6


def rows(path: Path) -> list[list[str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def difference(ours: list[list[str]], theirs: list[list[str]]) -> float:
    """Return the largest difference of two tables of predictions; infinite where they do not fit each other."""
    if [len(row) for row in ours] != [len(row) for row in theirs] or ours[0] != theirs[0]:
        return float("inf")
    largest = 0.0
    for left, right in zip(ours[1:], theirs[1:], strict=True):
        for one, other in zip(left, right, strict=True):
            try:
                largest = max(largest, abs(float(one) - float(other)))
            except ValueError:
                largest = largest if one == other else float("inf")
    return largest


def main(bundle: str, data: str, reference: str) -> int:
    """Check everything; return the exit code."""
    if find_spec("torch") is not None:
        print("runtime: torch is installed here, so that nothing is shown")
        return 1
    script = "import sys, deepwright; deepwright.Recipe; deepwright.load; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
    command = Path(sys.executable).with_name("deepwright")
    subprocess.run([command, "--help"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "predictions.csv"
        subprocess.run([command, "predict", bundle, data, "-o", out], check=True)
        largest = difference(rows(out), rows(Path(reference)))
    megabytes = size(Path(sysconfig.get_paths()["purelib"]))
    print(f"runtime: largest difference from torch {largest:.2g} (at most {TOLERANCE:g})")
    print(f"runtime: installed size {megabytes:.0f} MB (at most {MOST_MEGABYTES})")
    return 0 if largest <= TOLERANCE and megabytes <= MOST_MEGABYTES else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
