"""Rows that need not fit into memory: encode and train one epoch from Parquet at 1, 3 and 10 million rows, a fresh process each.

    python bench/large.py [DIRECTORY] [--rows 1e6 3e6 10e6] [--keep] [--out FILE.json]

Generates rows of 30 columns (25 numbers, of which 4 have gaps, 2 integers, categories of 500 and 20,000 values, a binary target
that some of them explain) into DIRECTORY (a temporary one by default), about 205 bytes a row. Printed are the rates of encoding
and of one epoch, the peak resident memory of the process, and how the time of a row grows with the rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILE_ROWS = 500_000
RECIPE = {
    "outputs": {"y": "binary"},
    "tabular": {"type": "mlp", "width": 64, "depth": 2},
    "training": {"epochs": 1, "batch": 1024, "precision": "fp32", "optimizer": {"type": "adamw", "lr": 2e-3}},
}


def generate(folder: Path, rows: int) -> int:
    """Write the rows as Parquet files of 500,000, and return their bytes."""
    import numpy as np
    import polars as pl

    folder.mkdir(parents=True, exist_ok=True)
    for part, start in enumerate(range(0, rows, FILE_ROWS)):
        count = min(FILE_ROWS, rows - start)
        rng = np.random.default_rng([0, part])
        columns: dict[str, pl.Series] = {}
        for i in range(25):
            values = rng.normal(size=count) if i % 3 else rng.lognormal(sigma=1.0, size=count)
            series = pl.Series(values)
            columns[f"n{i}"] = series.scatter(np.flatnonzero(rng.random(count) < 0.05), None) if i % 6 == 5 else series
        for i, high in enumerate((100, 2**62)):
            columns[f"i{i}"] = pl.Series(rng.integers(0, high, count))
        for i, size in enumerate((500, 20_000)):
            codes = np.minimum(rng.zipf(1.3, count) - 1, size - 1)
            columns[f"c{i}"] = pl.Series([f"value {k}" for k in range(size)]).gather(codes)
            columns[f"_{i}"] = pl.Series(codes)
        score = columns["n0"] * 0.5 - columns["n1"] + columns["n2"].abs() + (columns["_0"] % 3) - columns["i0"] / 50
        y = rng.random(count) < 1 / (1 + np.exp(-score.to_numpy()))
        frame = pl.DataFrame(columns).drop([f"_{i}" for i in range(2)]).with_columns(y=pl.Series(y.astype(np.int8)))
        frame.write_parquet(folder / f"part-{part:04}.parquet", compression="zstd", compression_level=1, row_group_size=125_000)
    return sum(file.stat().st_size for file in folder.iterdir())
