"""How long it takes to begin: importing the package, the help, and a cold prediction; medians of fresh processes.

    python bench/start.py [BUNDLE ROWS_FILE] [--runs 7]

Run it in an environment that pip installed the package into, so that its modules are compiled, as a user's are.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(arguments: list[str]) -> float:
    """Run Python with arguments in a fresh process and return how long it took."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", metavar="BUNDLE ROWS_FILE")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "bare Python": ["-c", "pass"],
            "import deepwright": ["-c", "import deepwright"],
            "deepwright --help": ["-m", "deepwright", "--help"],
        }
        if options.files:
            bundle, rows = options.files
            predict = ["-m", "deepwright", "predict", bundle, rows, "-q", "-o", str(Path(folder) / "predictions.csv")]
            commands["deepwright predict"] = predict
        for name, arguments in commands.items():
            seconds(arguments)  # not counted: it may be the first to compile the modules
            times = sorted(seconds(arguments) for _ in range(options.runs))
            print(f"{name:20} {statistics.median(times):.2f} s   ({times[0]:.2f} … {times[-1]:.2f})", flush=True)


if __name__ == "__main__":
    main()
