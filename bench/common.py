"""What the benchmarks share: their arguments, the machine in words, and results as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""The flags of CPUs that compute bf16 in hardware (x86 and Arm)."""


def arguments(doc: str | None, names: Iterable[str]) -> argparse.ArgumentParser:
    """Return a parser of what every benchmark takes: the data folder, tasks, recipe settings and the file of results."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = list(names)
    parser.add_argument("data", type=Path, help="the folder that holds the data sets")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE", help="a setting of the recipe")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    return parser


def write(path: Path | None, results: Any) -> None:
    """Write results as JSON, if a file is asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Return what figures depend on: CPU, number formats, cores, memory, system and Python; nothing that names the host."""
    info = _cpu_info()
    flags = set(info.get("flags", info.get("Features", "")).split())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "family": "/".join(info[key] for key in ("cpu family", "model") if key in info),
        "flags": sorted(flags & {"avx2", "fma", "avx512f", "avx512_vnni", "amx_tile", "neon", "asimd", "sve", *BF16}),
        "cores": cores(),
        "memory_gib": round(pages / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bf16() -> bool:
    """Return whether the CPU computes bf16 in hardware."""
    return bool(set(BF16) & set(machine()["flags"]))


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024
    # Not ru_maxrss: on Linux it starts at what the parent process held.
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _cpu_info() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}
