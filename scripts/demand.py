"""Write examples/demand.csv: the hourly demand for power of two towns that do not exist, and for their heat, over 100 days.

    python scripts/demand.py

The data are made here and belong to nobody: they are in the public domain (CC0).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "examples" / "demand.csv"
HOURS = 100 * 24
START = dt.datetime(2026, 1, 1)


def main() -> None:
    """Write the file, with the same bytes each time."""
    draw, hour = np.random.default_rng(0), np.arange(HOURS)
    day, free = 2 * np.pi * (hour % 24) / 24, (hour // 24 + 3) % 7 >= 5
    # Cold comes and goes over days, as noise that remembers.
    cold = np.zeros(HOURS)
    for i in range(1, HOURS):
        cold[i] = 0.99 * cold[i - 1] + draw.normal(scale=0.14)
    daily = np.sin(day - 2) + 0.5 * np.sin(2 * day - 1)
    columns = {
        "north": 40 + 8 * daily * np.where(free, 0.6, 1) + 3 * cold + draw.normal(scale=1, size=HOURS),
        "south": 25 + 5 * daily * np.where(free, 0.4, 1) + 2 * cold + draw.normal(scale=0.8, size=HOURS),
        "heat": 15 + 2 * np.cos(day) + 4 * cold + draw.normal(scale=0.7, size=HOURS),
    }
    lines = ["time," + ",".join(columns)]
    for i in range(HOURS):
        time = START + dt.timedelta(hours=i)
        lines.append(f"{time:%Y-%m-%d %H:%M}," + ",".join(f"{values[i]:.2f}" for values in columns.values()))
    TARGET.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
