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
    "inputs": {f"n{i}": {"type": "number", "view": "standard"} for i in range(25)},
    "outputs": {"y": "binary"},
    "tabular": {"type": "mlp", "hidden": [64, 64]},
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


def measure(folder: Path, cache: Path) -> dict[str, float]:
    """Encode the rows and train one epoch, in this process, and return the figures."""
    import os

    os.environ["DEEPWRIGHT_CACHE"] = str(cache)
    import torch

    from deepwright.engine.assembly import Encoded, assemble, optimizer_of, schedule_of
    from deepwright.engine.loop import Progress as Steps
    from deepwright.engine.loop import loop
    from deepwright.preparation import open_scan
    from deepwright.progress import silent
    from deepwright.recipe import Recipe
    from deepwright.store import default_store
    from deepwright.streaming import prepare_scan

    imported = peak()
    recipe = Recipe.parse({**RECIPE, "data": {"source": str(folder), "stream": True}})
    began, used = time.perf_counter(), time.process_time()
    scan = open_scan(recipe)
    prepared = prepare_scan(recipe, scan, None, "", default_store(), silent)
    encoded, encoded_cpu = time.perf_counter() - began, time.process_time() - used
    after = peak()
    train, held = (
        Encoded(part.arrays, part.targets, part.weights, stored=part.stored) for part in (prepared.train, prepared.validation)
    )
    losses: list[float] = []

    def score(outputs):
        target = held.targets["y"]
        losses.append(float(((outputs["y"].reshape(len(target), -1)[:, -1] > 0.5) == target).mean()))
        return {"score": losses[-1]}

    task, rates = assemble(prepared.recipe, prepared.data, train, held, score)
    optimizer, schedule = optimizer_of(prepared.recipe, rates), schedule_of(prepared.recipe)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    began, used = time.perf_counter(), time.process_time()
    for _ in loop(task, optimizer, schedule, Steps()):
        pass
    epoch, epoch_cpu = time.perf_counter() - began, time.process_time() - used
    highest = peak()
    began = time.perf_counter()
    prepare_scan(recipe, scan, None, "", default_store(), silent)
    return {
        "rows": len(scan),
        "bytes": sum(file.stat().st_size for file in folder.iterdir()),
        "encode_seconds": encoded,
        "encode_cpu": encoded_cpu,
        "epoch_seconds": epoch,
        "epoch_cpu": epoch_cpu,
        "again_seconds": time.perf_counter() - began,
        "accuracy": losses[-1],
        "imports_mb": imported,
        "encode_peak_mb": after,
        "peak_mb": highest,
    }


def peak() -> float:
    """Return the peak resident memory of this process in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6, 3e6, 10e6])
    parser.add_argument("--keep", action="store_true", help="keep the generated files")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.one, arguments.directory)))
        return
    root = arguments.directory or Path(tempfile.mkdtemp())
    results: list[dict[str, float]] = []
    for rows in map(int, arguments.rows):
        folder, cache = root / str(rows), root / f"cache-{rows}"
        if not folder.exists():
            generate(folder, rows)
        shutil.rmtree(cache, ignore_errors=True)  # of a run that was stopped
        command = [sys.executable, __file__, str(cache), "--one", str(folder)]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results.append(json.loads(found.stdout.splitlines()[-1]))
        shutil.rmtree(cache, ignore_errors=True)
        if not arguments.keep:
            shutil.rmtree(folder)
        report(results[-1], results[0])
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


def report(found: dict[str, float], first: dict[str, float]) -> None:
    rates = {key: found["rows"] / found[f"{key}_seconds"] for key in ("encode", "epoch", "again")}
    growth = {
        f"{key} {what}": found[f"{key}_{what}"] / found["rows"] / (first[f"{key}_{what}"] / first["rows"])
        for what in ("seconds", "cpu")
        for key in ("encode", "epoch")
    }
    print(
        f"{found['rows']:>12,} rows  {found['bytes'] / 1e9:.2f} GB   encode {rates['encode']:>9,.0f} rows/s   "
        f"epoch {rates['epoch']:>9,.0f} rows/s   from the cache {rates['again']:>11,.0f} rows/s   "
        f"peak {found['peak_mb']:,.0f} MB (imports {found['imports_mb']:,.0f}, encoding {found['encode_peak_mb']:,.0f})   "
        f"accuracy {found['accuracy']:.4f}",
        "             a row against the first: " + ", ".join(f"{key} {value:.2f}" for key, value in growth.items()),
        sep="\n",
        flush=True,
    )


if __name__ == "__main__":
    main()
