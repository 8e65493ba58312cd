"""Unusual rows of the Numenta Anomaly Benchmark (realKnownCause): what is found, and how many alarms are false.

    python bench/anomalies.py DATA_DIRECTORY [FILE ...] [--set KEY=VALUE ...] [--out FILE.json]

Of each file the first 10 % of the rows train, the next 5 % validate and set the threshold, and the rest is judged, as the benchmark
leaves 15 % for this. No label is looked at before. Two ways: forecast errors, and windows rebuilt through a bottleneck.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
from common import arguments, machine, peak_memory, write

from deepwright.detecting import judged

NAMES = (
    "ambient_temperature_system_failure",
    "cpu_utilization_asg_misconfiguration",
    "ec2_request_latency_system_failure",
    "machine_temperature_system_failure",
    "nyc_taxi",
    "rogue_agent_key_hold",
    "rogue_agent_key_updown",
)
"""The files."""
LEARNT = 0.15
"""The share of a file's rows that are not judged."""
WAYS: dict[str, dict[str, Any]] = {
    "forecast": {"outputs": {"future": {"type": "forecast", "horizon": 12}}},
    "reconstruction": {
        "inputs": {"window": {"type": "window", "length": 48, "encoder": {"type": "bottleneck", "width": 4}}},
        "outputs": {"again": {"type": "forecast", "horizon": 48, "past": True}},
    },
}


def files(data: Path) -> dict[str, pl.DataFrame]:
    """Return the rows of each file, with the truth: rows within a labelled window."""
    with zipfile.ZipFile(data / "nab/nab_realKnownCause.zip") as archive:
        windows = json.loads(archive.read("combined_windows.json"))
        found = {}
        for name in sorted(archive.namelist()):
            if not name.endswith(".csv"):
                continue
            frame = pl.read_csv(io.BytesIO(archive.read(name)), try_parse_dates=True)
            inside = pl.lit(False)
            for first, last in windows[name]:
                begin, end = (pl.lit(text).str.to_datetime("%Y-%m-%d %H:%M:%S%.f") for text in (first, last))
                inside = inside | pl.col("timestamp").is_between(begin, end)
            # Two rows of one time, as a clock that is set back makes them: the first counts.
            found[Path(name).stem] = frame.unique("timestamp", keep="first", maintain_order=True).with_columns(odd=inside)
    return found


def run(frame: pl.DataFrame, way: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """Train on the beginning of a file and judge the rest."""
    import deepwright as dw

    rows = len(frame)
    split = {"by": "time", "train": f"{round(rows * 0.1)} rows", "validation": f"{round(rows * 0.05)} rows"}
    recipe = {"data": {"time": "timestamp", "drop": ["odd"], "split": split}, **way}
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        model = dw.train(frame, recipe=recipe, out=Path(scratch) / "model", settings=settings)
        found = model.detect(frame)
        seconds = time.perf_counter() - began
    later = found.join(frame.select("timestamp", "odd"), on="timestamp", how="left", maintain_order="left")
    later = later[round(len(later) * LEARNT) :].filter(pl.col("score").is_not_null() & pl.col("odd").is_not_null())
    return {**judged(later["alarm"].to_numpy(), later["odd"].to_numpy()), "seconds": seconds}


def main() -> None:
    options = arguments(__doc__, NAMES).parse_args()
    tables = files(options.data)
    results: dict[str, Any] = {"machine": machine(), "files": {}}
    for name in options.names or NAMES:
        for way, parts in WAYS.items():
            found = run(tables[name], parts, options.settings)
            results["files"][f"{name} {way}"] = found
            shown = "   ".join(f"{key} {_shown(value)}" for key, value in found.items())
            print(f"{name} {way}: {shown}", flush=True)
    for way in WAYS:
        mine = [found for key, found in results["files"].items() if key.endswith(f" {way}")]
        total = {
            key: sum(each[key] for each in mine) for key in ("stretches", "stretches_found", "runs_of_alarms", "alarms", "rows")
        }
        right = sum((each["run_precision"] or 0) * each["runs_of_alarms"] for each in mine)
        precision = right / total["runs_of_alarms"] if total["runs_of_alarms"] else 0.0
        print(f"all {way}: {total}, precision of runs of alarms {precision:.3f}, {peak_memory() / 1e6:,.0f} MB")
    write(options.out, results)


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value:,}"


if __name__ == "__main__":
    main()
